// What is in a person's file after its process was killed, read without the process: every record with its signature and its place in the
// chain, what waits to be signed, what was decided.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { bodyOf, bytesEqual, noPrevious, toHex, verifyRecord } from '../../protocol/index.ts'
import type { VerifiedRecord } from '../../protocol/index.ts'
import { systemClock } from '../../registry/index.ts'
import { Database } from '../../registry/database.ts'
import { LogStore } from '../../registry/log-store.ts'
import { openRegistry } from '../../registry/open-registry.ts'
import { anAuthor, countedRandom } from '../../registry/testing/builders.ts'
import { databaseOf } from './acknowledgement.ts'
import type { Person } from './acknowledgement.ts'

export interface Held {
  /** Type and SHA-256 of the body of each record in its own logs -> record ids; more than one says the same twice. */
  readonly said: ReadonlyMap<string, readonly string[]>
  /** The same of what waits for a peer. */
  readonly waits: ReadonlySet<string>
  /** Ids, in order. */
  readonly certificates: readonly string[]
  /** Votes in the delegates' agreement by what they are on -> the decisions they are for; more than one misbehaves. */
  readonly votes: ReadonlyMap<string, ReadonlySet<string>>
}

export function statementName(type: string, body: string): string {
  return `${type} ${body}`
}

/** Throws where a record, a chain or a certificate doesn't hold: then the node would not start either. */
export async function heldBy(folder: string, name: Person): Promise<Held> {
  const path = join(folder, databaseOf(name))
  const own = ownRecords(path, name)
  await using registry = openRegistry({
    path,
    author: anAuthor(name),
    clock: systemClock,
    random: countedRandom('a look into the file'),
  })
  const certificates = registry
    .communities()
    .flatMap(({ id, state }) => (state === 'following' ? registry.governance.certificates(id) : []))
  return {
    // Every log opens with the same certificate; that it does so once is part of its chain.
    said: grouped(
      own.filter(({ fields }) => fields.type !== 'log/1'),
      ({ fields, body }) => statementName(fields.type, digest(body)),
      ({ id }) => toHex(id),
    ),
    waits: new Set(registry.pending().map(({ type, body }) => statementName(type, digest(body)))),
    certificates: certificates.map(({ id }) => toHex(id)),
    votes: votesIn(own),
  }
}

/** Of all logs the signatures and the chain are checked; this person's own ones are returned. */
function ownRecords(path: string, name: Person): VerifiedRecord[] {
  const { identity } = anAuthor(name)
  using database = new Database({ path })
  const store = new LogStore(database)
  return [...store.summaries()].flatMap(({ key, length, forkedAt }) => {
    if (forkedAt !== undefined) throw new Error(`a log in the file of ${name} was forked at ${forkedAt}`)
    const records = store.records(key, 0, length).map(verifyRecord)
    requireChain(records, length)
    return bytesEqual(key.author, identity) ? records : []
  })
}

function requireChain(records: readonly VerifiedRecord[], length: number): void {
  if (records.length !== length) throw new Error(`a log of ${length} records holds ${records.length}`)
  let previous = noPrevious
  for (const [index, { id, fields }] of records.entries()) {
    if (fields.index !== index || !bytesEqual(fields.previous, previous)) throw new Error(`a log breaks at ${index}`)
    previous = id
  }
}

function votesIn(records: readonly VerifiedRecord[]): Map<string, Set<string>> {
  const votes = new Map<string, Set<string>>()
  for (const record of records) {
    const { type } = record.fields
    if (type !== 'prevote/1' && type !== 'precommit/1') continue
    const { previous, electorate, round, decision } = bodyOf(record, type)
    const on = `${type} after ${toHex(previous)} by ${electorate}, round ${round}`
    votes.set(on, (votes.get(on) ?? new Set()).add(decision === undefined ? 'none' : toHex(decision)))
  }
  return votes
}

function grouped<T>(items: readonly T[], nameOf: (item: T) => string, valueOf: (item: T) => string) {
  const groups = new Map<string, string[]>()
  for (const item of items) groups.set(nameOf(item), [...(groups.get(nameOf(item)) ?? []), valueOf(item)])
  return groups
}

function digest(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}
