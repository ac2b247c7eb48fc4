// The one SQLite file: how it is opened, its tables, transactions, and what its errors mean to the user.
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import { MeshError } from '../protocol/index.ts'

const schemaVersion = 2

const schema = `
  CREATE TABLE logs (
    log INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    author BLOB NOT NULL,
    device BLOB NOT NULL,
    -- 1 once anything of it was handed to a peer: from then on a restart must ask before it appends.
    shared INTEGER NOT NULL DEFAULT 0,
    UNIQUE (scope, author, device)
  ) STRICT;
  CREATE TABLE records (
    log INTEGER NOT NULL REFERENCES logs (log),
    position INTEGER NOT NULL,
    id BLOB NOT NULL UNIQUE,
    envelope BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (log, position)
  ) STRICT;
  -- Proof that the author of a log signed two records at one position: the one in records, and this one.
  CREATE TABLE forks (
    log INTEGER PRIMARY KEY REFERENCES logs (log),
    position INTEGER NOT NULL,
    id BLOB NOT NULL,
    envelope BLOB NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE TABLE communities (
    id BLOB PRIMARY KEY,
    genesis BLOB,
    followed INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE pending (
    pending INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    time INTEGER NOT NULL
  ) STRICT;
  -- The highest sequence number of a BEP 44 pointer ever seen, so that nobody can take a reader back in time.
  CREATE TABLE pointers (
    publisher BLOB NOT NULL,
    name TEXT NOT NULL,
    base BLOB NOT NULL,
    seq INTEGER NOT NULL,
    value BLOB NOT NULL,
    signature BLOB NOT NULL,
    device BLOB NOT NULL,
    PRIMARY KEY (publisher, name, base)
  ) STRICT;
  -- Releases that were found by name, without their publisher's log.
  CREATE TABLE noted_releases (
    release BLOB PRIMARY KEY,
    sealed BLOB NOT NULL,
    infohash BLOB NOT NULL,
    source TEXT NOT NULL,
    time INTEGER NOT NULL
  ) STRICT;
  -- Which release id was first seen for a publisher's name, version and base: a second one is refused, also after a restart.
  CREATE TABLE name_owners (
    publisher BLOB NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    base BLOB NOT NULL,
    release BLOB NOT NULL,
    PRIMARY KEY (publisher, name, version, base)
  ) STRICT;
`

/** Since version 2. */
const governanceTables = `
  CREATE TABLE certificates (
    community BLOB NOT NULL,
    position INTEGER NOT NULL,
    id BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (community, position)
  ) STRICT;
  -- Communities in which this node settles proposals by itself while it is an admin.
  CREATE TABLE settled_here (community BLOB PRIMARY KEY) STRICT;
  -- When this node first held a proposal: nobody is outvoted by one that was dated back. And, as soon as its clock passed the deadline,
  -- the ids of the ballots and receipts it held by then, 32 bytes each.
  CREATE TABLE proposals_held (proposal BLOB PRIMARY KEY, time INTEGER NOT NULL, in_time BLOB) STRICT;
`

/** Facts about the file itself. */
const factsTable = 'CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;'
const ownLogsBeginHere = 'own-logs-begin-here'

export interface DatabaseOptions {
  /** A file, or `:memory:`. */
  readonly path: string
  /** Refuses to grow beyond this, as a full disk would. */
  readonly maxBytes?: number
  /** See `RegistryOptions`. Counts where the file is made, and is remembered in it. */
  readonly identityMayBeOlder?: boolean
}

export type Row = Readonly<Record<string, unknown>>

export class Database implements Disposable {
  readonly #sqlite: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  /** Throws `storage-failed` when the file can't be read, is no database, or was written by a newer version. */
  constructor(options: DatabaseOptions) {
    this.#sqlite = translated(() => new DatabaseSync(options.path))
    try {
      translated(() => this.#prepareFile(options))
    } catch (error) {
      this.#sqlite.close()
      throw error
    }
  }

  /** Whether the keys were made with this file, so that a log of one's own that is not in it is nowhere. */
  get holdsAllOwnLogs(): boolean {
    return this.get('SELECT value FROM facts WHERE name = ?', ownLogsBeginHere)?.['value'] === 1
  }

  /** All or nothing, and on the disk when it returns. `work` must not wait. */
  transaction<T>(work: () => T): T {
    return translated(() => {
      this.#sqlite.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        this.#sqlite.exec('COMMIT')
        return result
      } catch (error) {
        // SQLite has already rolled back after some failures, a full disk among them.
        if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK')
        throw error
      }
    })
  }

  run(sql: string, ...values: SQLInputValue[]): { readonly rowId: number; readonly changes: number } {
    const result = translated(() => this.#statement(sql).run(...values))
    return { rowId: Number(result.lastInsertRowid), changes: Number(result.changes) }
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return translated(() => this.#statement(sql).all(...values))
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return translated(() => this.#statement(sql).get(...values))
  }

  [Symbol.dispose](): void {
    if (this.#sqlite.isOpen) this.#sqlite.close()
  }

  #prepareFile(options: DatabaseOptions): void {
    this.#sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
    const version = Number(this.#sqlite.prepare('PRAGMA user_version').get()?.['user_version'])
    if (version > schemaVersion) {
      throw new MeshError(
        'storage-failed',
        'This data folder was written by a newer version of LoRA Mesh. Update this one, or use another --data folder.',
        { version, known: schemaVersion },
      )
    }
    if (version === 0) {
      const here = options.identityMayBeOlder === true ? 0 : 1
      this.#sqlite.exec(`BEGIN IMMEDIATE; ${schema}; ${governanceTables}; ${factsTable}
        INSERT INTO facts VALUES ('${ownLogsBeginHere}', ${here});
        PRAGMA user_version = ${schemaVersion}; COMMIT`)
    }
    if (version === 1) {
      this.#sqlite.exec(`BEGIN IMMEDIATE; ${governanceTables}; PRAGMA user_version = ${schemaVersion}; COMMIT`)
    }
    if (options.maxBytes !== undefined) {
      const pageSize = Number(this.#sqlite.prepare('PRAGMA page_size').get()?.['page_size'])
      this.#sqlite.exec(`PRAGMA max_page_count = ${Math.ceil(options.maxBytes / pageSize)}`)
    }
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) this.#statements.set(sql, (statement = this.#sqlite.prepare(sql)))
    return statement
  }
}

export function blob(row: Row, column: string): Uint8Array {
  const value = row[column]
  if (!(value instanceof Uint8Array)) throw new Error(`column ${column} holds no bytes`)
  return value
}

export function text(row: Row, column: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw new Error(`column ${column} holds no text`)
  return value
}

export function integer(row: Row, column: string): number {
  const value = row[column]
  if (typeof value !== 'number') throw new Error(`column ${column} holds no number`)
  return value
}

const sqliteFull = 13

function translated<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof Error) || !('errcode' in cause)) throw cause
    // Extended result codes keep the primary one in their low byte.
    if ((Number(cause.errcode) & 0xff) === sqliteFull) {
      throw new MeshError(
        'disk-full',
        'The disk is full: this was not saved; everything saved before is safe. Free some space and try again.',
        {},
        { cause },
      )
    }
    throw new MeshError(
      'storage-failed',
      `registry.sqlite in the data folder could not be used (${cause.message}): put back a copy of it. Without one, move it away; the node then asks its peers for what it said before.`,
      { errcode: Number(cause.errcode) },
      { cause },
    )
  }
}
