// What only this node's own clock can say of a proposal, kept over restarts: since when it is held, and what was in time.
import { blob, integer } from '../database.ts'
import type { Database } from '../database.ts'

export class HeldProposals {
  readonly #database: Database
  readonly #since = new Map<string, number>()

  constructor(database: Database) {
    this.#database = database
  }

  /** When this node first held it, in milliseconds since 1970; now, if that is the first time. */
  since(proposal: Uint8Array, now: number): number {
    const name = Buffer.from(proposal).toString('hex')
    const known = this.#since.get(name)
    if (known !== undefined) return known
    this.#database.run('INSERT OR IGNORE INTO proposals_held (proposal, time) VALUES (?, ?)', proposal, now)
    const time = integer(this.#database.get('SELECT time FROM proposals_held WHERE proposal = ?', proposal)!, 'time')
    this.#since.set(name, time)
    return time
  }

  /** As `inTime`, if that is known. */
  knownInTime(proposal: Uint8Array): ReadonlySet<string> | undefined {
    const row = this.#database.get('SELECT in_time FROM proposals_held WHERE proposal = ?', proposal)
    return row === undefined || row['in_time'] === null ? undefined : splitIds(blob(row, 'in_time'))
  }

  /** Record ids, in hex, of what was held when the deadline passed; `nowHeld` is that, if it has passed only now. */
  inTime(proposal: Uint8Array, nowHeld: () => Iterable<Uint8Array>): ReadonlySet<string> {
    const known = this.knownInTime(proposal)
    if (known !== undefined) return known
    const ids = Buffer.concat([...nowHeld()])
    this.#database.run('UPDATE proposals_held SET in_time = ? WHERE proposal = ?', ids, proposal)
    return splitIds(ids)
  }
}

function splitIds(bytes: Uint8Array): Set<string> {
  const ids = new Set<string>()
  for (let at = 0; at < bytes.length; at += 32) ids.add(Buffer.from(bytes.subarray(at, at + 32)).toString('hex'))
  return ids
}
