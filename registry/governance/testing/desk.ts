// What a delegate of a paper village has on its desk: everything that was said, and its own clock.
import { Database } from '../../database.ts'
import { KnownLogs } from '../../known-logs.ts'
import { LogStore } from '../../log-store.ts'
import type { Now } from '../compose-decision.ts'
import { Enclosing } from '../enclosing.ts'
import { sortHeard } from '../heard.ts'
import { HeldProposals } from '../held-proposals.ts'
import type { PaperVillage } from './paper-village.ts'

export class Desk implements Disposable {
  readonly #village: PaperVillage
  readonly #database = new Database({ path: ':memory:' })
  readonly store = new LogStore(this.#database)
  readonly #held = new HeldProposals(this.#database)

  constructor(village: PaperVillage) {
    this.#village = village
  }

  /** With what was said until now. */
  now(nowMs: number): Now {
    this.store.offerVerified(this.#village.records)
    const heard = sortHeard(new KnownLogs(this.store).statements(this.#village.scope))
    for (const { id } of heard.proposals.values()) this.#held.since(id, nowMs)
    return {
      state: this.#village.state,
      heard,
      held: this.#held,
      enclosing: new Enclosing(this.store, this.#village.scope),
      nowMs,
    }
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]()
  }
}
