// What only this node's own clock can say of a proposal, kept over restarts: since when it is held, and what was in time.
import { blob, integer } from '../database.ts'
import type { Database } from '../database.ts'

export class HeldProposals {
  readonly #database: Database
  /** By proposal in hex; only what is on the disk. */
  readonly #since = new Map<string, number>()

  constructor(database: Database) {
    this.#database = database
  }

  /** When this node first held it, in milliseconds since 1970; now, if that is the first time. */
  since(proposal: Uint8Array, now: number): number {
    this.note([proposal], now)
    return this.knownSince(proposal)!
  }

  /** As `since`; undefined if it was never noted. */
  knownSince(proposal: Uint8Array): number | undefined {
    const name = nameOf(proposal)
    const known = this.#since.get(name)
    if (known !== undefined) return known
    const row = this.#database.get('SELECT time FROM proposals_held WHERE proposal = ?', proposal)
    if (row === undefined) return undefined
    const time = integer(row, 'time')
    this.#since.set(name, time)
    return time
  }

  /** Notes that these are held, if they weren't before. One write to the disk for all of them, none where nothing is new. */
  note(proposals: readonly Uint8Array[], now: number): void {
    const fresh = proposals.filter((proposal) => this.knownSince(proposal) === undefined)
    if (fresh.length === 0) return
    this.#database.transaction(() => {
      for (const proposal of fresh) {
        this.#database.run('INSERT INTO proposals_held (proposal, time) VALUES (?, ?)', proposal, now)
      }
    })
    for (const proposal of fresh) this.#since.set(nameOf(proposal), now)
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

  /** Notes of all of them what is in time, with one write to the disk. */
  noteInTime<P extends { readonly id: Uint8Array }>(
    proposals: readonly P[],
    nowHeld: (proposal: P) => Iterable<Uint8Array>,
  ): void {
    if (proposals.length === 0) return
    this.#database.transaction(() => {
      for (const proposal of proposals) this.inTime(proposal.id, () => nowHeld(proposal))
    })
  }
}

function nameOf(proposal: Uint8Array): string {
  return Buffer.from(proposal).toString('hex')
}

function splitIds(bytes: Uint8Array): Set<string> {
  const ids = new Set<string>()
  for (let at = 0; at < bytes.length; at += 32) ids.add(Buffer.from(bytes.subarray(at, at + 32)).toString('hex'))
  return ids
}
