// Everybody's logs, on disk: only records that were verified, chained without gaps, each once. Two records at one position of a log are
// kept as proof against its author. What a record means is not this file's business.
import {
  bytesEqual,
  checkLogOpening,
  compareBytes,
  MeshError,
  noPrevious,
  toHex,
  verifyRecord,
} from '../protocol/index.ts'
import type { SignedRecord, VerifiedRecord } from '../protocol/index.ts'
import { blob, integer, text } from './database.ts'
import type { Database, Row } from './database.ts'
import { logKeyOf, logKeyText } from './log-key.ts'
import type { LogKey } from './log-key.ts'

/** What is known about a log without reading its records. */
export interface LogSummary {
  readonly key: LogKey
  readonly length: number
  /** Id of the last record; 32 zero bytes while there is none. */
  readonly head: Uint8Array
  /** Envelopes and bodies together. */
  readonly bytes: number
  /** Whether anything of it was handed to a peer, ever. */
  readonly shared: boolean
  /** The first position at which its author signed two records; from there on the log is void. */
  readonly forkedAt: number | undefined
}

export interface StoredRecord extends SignedRecord {
  readonly id: Uint8Array
}

/** What became of a record that was offered. Only `appended` and `fork` changed anything. */
export type OfferOutcome =
  | { readonly kind: 'appended'; readonly record: VerifiedRecord }
  | { readonly kind: 'known' }
  /** Its author signed another record at this position: proof, and kept as such. */
  | { readonly kind: 'fork'; readonly index: number }
  /** Records before it are missing. */
  | { readonly kind: 'gap'; readonly length: number }
  /** It continues another record than the last one held: the author forked somewhere before, or its signer never had a chain. */
  | { readonly kind: 'does-not-follow'; readonly index: number }

interface LogState {
  readonly row: number
  summary: LogSummary
}

export class LogStore {
  readonly #database: Database
  readonly #logs = new Map<string, LogState>()

  constructor(database: Database) {
    this.#database = database
    for (const row of database.all(`
      SELECT logs.log, scope, author, device, shared, forks.position AS forked,
        (SELECT count(*) FROM records WHERE records.log = logs.log) AS length,
        (SELECT coalesce(sum(length(envelope) + length(body)), 0) FROM records WHERE records.log = logs.log) AS bytes
      FROM logs LEFT JOIN forks ON forks.log = logs.log`)) {
      this.#load(row)
    }
  }

  /** Every log that holds a record. */
  *summaries(): Iterable<LogSummary> {
    for (const { summary } of this.#logs.values()) if (summary.length > 0) yield summary
  }

  summary(key: LogKey): LogSummary | undefined {
    return this.#logs.get(logKeyText(key))?.summary
  }

  /**
   * Stores records in one transaction: when this returns they are on the disk. Throws what `verifyRecord` and `checkLogOpening` throw
   * (and then stores none of them), `disk-full` or `storage-failed`.
   */
  offer(records: readonly SignedRecord[]): OfferOutcome[] {
    return this.offerVerified(records.map(verifyRecord))
  }

  /** Like `offer`, for records whose signatures were checked in this process. `alongside` happens in the same transaction. */
  offerVerified(records: readonly VerifiedRecord[], alongside?: () => void): OfferOutcome[] {
    const before = new Map<string, LogSummary | undefined>()
    try {
      return this.#database.transaction(() => {
        const outcomes = records.map((record) => {
          const name = logKeyText(record.fields)
          if (!before.has(name)) before.set(name, this.#logs.get(name)?.summary)
          return this.#offerOne(record)
        })
        alongside?.()
        return outcomes
      })
    } catch (error) {
      for (const [name, summary] of before) {
        const state = this.#logs.get(name)
        if (summary === undefined) this.#logs.delete(name)
        else if (state !== undefined) state.summary = summary
      }
      throw error
    }
  }

  /** Records `from` (inclusive) to `to` (exclusive), fewer where the log or the byte budget ends; always one if there is one. */
  records(key: LogKey, from: number, to: number, maxBytes = Number.POSITIVE_INFINITY): StoredRecord[] {
    const state = this.#logs.get(logKeyText(key))
    if (state === undefined) return []
    const found: StoredRecord[] = []
    let bytes = 0
    for (let at = from; at < to && at < state.summary.length; at++) {
      const row = this.#database.get(
        'SELECT id, envelope, body FROM records WHERE log = ? AND position = ?',
        state.row,
        at,
      )
      if (row === undefined) break
      const record = storedRecord(row)
      bytes += record.envelope.length + record.body.length
      if (found.length > 0 && bytes > maxBytes) break
      found.push(record)
    }
    return found
  }

  recordId(key: LogKey, index: number): Uint8Array | undefined {
    const state = this.#logs.get(logKeyText(key))
    const row = state && this.#database.get('SELECT id FROM records WHERE log = ? AND position = ?', state.row, index)
    return row && blob(row, 'id')
  }

  /** The two records that prove a fork, in the order of their ids. */
  forkProof(key: LogKey): readonly [StoredRecord, StoredRecord] | undefined {
    const state = this.#logs.get(logKeyText(key))
    if (state?.summary.forkedAt === undefined) return undefined
    const row = this.#database.get('SELECT id, envelope, body FROM forks WHERE log = ?', state.row)
    const kept = this.records(key, state.summary.forkedAt, state.summary.forkedAt + 1)[0]
    if (row === undefined || kept === undefined) throw new Error('a fork without its two records')
    const other = storedRecord(row)
    return compareBytes(kept.id, other.id) < 0 ? [kept, other] : [other, kept]
  }

  /** Notes, on the disk, that a peer is about to see this log. */
  markShared(key: LogKey): void {
    const state = this.#logs.get(logKeyText(key))
    if (state === undefined || state.summary.shared) return
    this.#database.run('UPDATE logs SET shared = 1 WHERE log = ?', state.row)
    state.summary = { ...state.summary, shared: true }
  }

  #offerOne(record: VerifiedRecord): OfferOutcome {
    const { index, previous } = record.fields
    const summary = this.summary(record.fields)
    const length = summary?.length ?? 0
    if (index < length) return this.#offerPast(record)
    if (index > length) return { kind: 'gap', length }
    if (!bytesEqual(previous, summary?.head ?? noPrevious)) return { kind: 'does-not-follow', index }
    if (index === 0) checkLogOpening(record)
    this.#insert(record)
    return { kind: 'appended', record }
  }

  #offerPast(record: VerifiedRecord): OfferOutcome {
    const { index } = record.fields
    const held = this.recordId(record.fields, index)
    if (held !== undefined && bytesEqual(held, record.id)) return { kind: 'known' }
    const state = this.#stateOf(record.fields)
    const { forkedAt } = state.summary
    // The earliest fork decides from where the log is void, whichever was seen first.
    if (forkedAt !== undefined && forkedAt <= index) return { kind: 'known' }
    this.#database.run(
      'INSERT OR REPLACE INTO forks (log, position, id, envelope, body) VALUES (?, ?, ?, ?, ?)',
      state.row,
      index,
      record.id,
      record.envelope,
      record.body,
    )
    state.summary = { ...state.summary, forkedAt: index }
    return { kind: 'fork', index }
  }

  #insert(record: VerifiedRecord): void {
    const state = this.#stateOf(record.fields)
    this.#database.run(
      'INSERT INTO records (log, position, id, envelope, body) VALUES (?, ?, ?, ?, ?)',
      state.row,
      record.fields.index,
      record.id,
      record.envelope,
      record.body,
    )
    state.summary = {
      ...state.summary,
      length: record.fields.index + 1,
      head: record.id,
      bytes: state.summary.bytes + record.envelope.length + record.body.length,
    }
  }

  #stateOf(key: LogKey): LogState {
    const known = this.#logs.get(logKeyText(key))
    if (known !== undefined) return known
    const { rowId } = this.#database.run(
      'INSERT INTO logs (scope, author, device) VALUES (?, ?, ?)',
      key.scope,
      key.author,
      key.device,
    )
    const summary = { key: logKeyOf(key), length: 0, head: noPrevious, bytes: 0, shared: false, forkedAt: undefined }
    const state = { row: rowId, summary }
    this.#logs.set(logKeyText(key), state)
    return state
  }

  #load(row: Row): void {
    const key = { scope: text(row, 'scope'), author: blob(row, 'author'), device: blob(row, 'device') }
    const length = integer(row, 'length')
    const log = integer(row, 'log')
    const last = this.#database.get('SELECT id FROM records WHERE log = ? AND position = ?', log, length - 1)
    if (length > 0 && last === undefined) throw new Error(`log ${logKeyText(key)} has a gap: ${toHex(key.author)}`)
    this.#logs.set(logKeyText(key), {
      row: log,
      summary: {
        key,
        length,
        head: last === undefined ? noPrevious : blob(last, 'id'),
        bytes: integer(row, 'bytes'),
        shared: integer(row, 'shared') === 1,
        forkedAt: row['forked'] === null ? undefined : integer(row, 'forked'),
      },
    })
  }
}

export function damagedFile(cause?: unknown): MeshError {
  return new MeshError(
    'storage-failed',
    'The registry file is damaged. Put back a backup of the data folder, or move registry.sqlite away: peers still hold what they were sent.',
    {},
    { cause },
  )
}

function storedRecord(row: Row): StoredRecord {
  return { id: blob(row, 'id'), envelope: blob(row, 'envelope'), body: blob(row, 'body') }
}
