// This node's own view of the others, kept up to date: what was seen, whom the user chose, what members measured. Nothing of it is told to
// peers, and nothing a community decides rests on it.
import { setTimeout as wait } from 'node:timers/promises'
import { MeshError, toHex } from '../../protocol/index.ts'
import { Observations, releaseScore, standings } from '../../registry/index.ts'
import type { Registry, Standing, Standings, Subject } from '../../registry/index.ts'
import { bestFirst } from './best-first.ts'
import type { Ordering } from './best-first.ts'
import { compareOwnReceipts, endorsementsIn, verdictsOn } from './receipts.ts'
import { chosenMax, readReputation, writeReputation } from './reputation-file.ts'
import type { KeptReputation } from './reputation-file.ts'
import { identitySubject } from './subjects.ts'
import { watchTransfer } from './watch-transfer.ts'
import type { SeenOf, TransferWatch } from './watch-transfer.ts'

export interface ReputationParts {
  /** Of reputation.json. */
  readonly path: string
  readonly registry: Registry
  /** This node's identity. */
  readonly self: Uint8Array
  readonly clock: () => number
  readonly log: (line: string) => void
}

/** Throws `bad-config` for a damaged file, `storage-failed` for one that can't be read. */
export async function openReputation(parts: ReputationParts): Promise<Reputation> {
  return new Reputation(parts, await readReputation(parts.path))
}

export class Reputation implements AsyncDisposable {
  readonly #parts: ReputationParts
  readonly #self: Subject
  readonly #observed: Observations
  readonly #stops: readonly (() => void)[]
  #chosen: ReadonlySet<Subject>
  /** Until something is seen, said or chosen. */
  #standings: Standings | undefined
  #saved: Promise<void> = Promise.resolve()

  constructor(parts: ReputationParts, kept: KeptReputation) {
    const { registry, self } = parts
    this.#parts = parts
    this.#self = identitySubject(self)
    this.#chosen = new Set(kept.chosen)
    this.#observed = new Observations(kept.observed)
    this.#stops = [
      registry.onEvent(({ kind }) => {
        if (kind === 'records' || kind === 'decided' || kind === 'community') this.#standings = undefined
      }),
      compareOwnReceipts({ registry, self, onJudged: (subject, seen) => this.#observe([[subject, seen]]) }),
    ]
  }

  /** 0 for newcomers, up to 1; -1 for those that did harm. */
  scoreOf(subject: Subject): number {
    return this.standingOf(subject).score
  }

  /** Its publisher's, and members' receipts weighed by theirs. Undefined for a release this node doesn't know. */
  scoreOfRelease(releaseId: Uint8Array): number | undefined {
    const { registry } = this.#parts
    const entry = registry.release(releaseId)
    return entry && releaseScore(this.#view(), identitySubject(entry.publisher), verdictsOn(registry, releaseId))
  }

  standingOf(subject: Subject): Standing {
    return this.#view().of(subject)
  }

  /** Everybody something is known of, the most trusted first. */
  standings(): readonly Standing[] {
    return this.#view().all()
  }

  /** Trust starts at those chosen. Throws `bad-input` for this node's own identity or too many, `disk-full`, `storage-failed`. */
  async trust(identity: Uint8Array): Promise<void> {
    const subject = identitySubject(identity)
    if (subject === this.#self) {
      throw new MeshError('bad-input', 'This is your own identity: name somebody else.')
    }
    const chosen = new Set(this.#chosen).add(subject)
    if (chosen.size > chosenMax) {
      throw new MeshError('bad-input', `You trust ${chosenMax} identities already: take one back first.`)
    }
    await this.#choose(chosen)
  }

  /** Takes that back. Throws `not-found` for one that wasn't chosen, `disk-full`, `storage-failed`. */
  async distrust(identity: Uint8Array): Promise<void> {
    const chosen = new Set(this.#chosen)
    if (!chosen.delete(identitySubject(identity))) {
      throw new MeshError(
        'not-found',
        'You did not choose to trust this identity: `lora-mesh peers --explain` shows whom you did.',
      )
    }
    await this.#choose(chosen)
  }

  /** `now` in milliseconds, never set back. */
  watchTransfer(now: () => number): TransferWatch {
    return watchTransfer((seen) => this.#observe(seen), now)
  }

  /** Transfer keys, as they are found, in the order in which they are to be connected. */
  inOrder(keys: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const ordering: Ordering = {
      scoreOf: (key) => this.scoreOf(`noise:${toHex(key)}`),
      trustsAnybody: () => this.standings().some(({ score }) => score > 0),
      pause: (ms, until) => wait(ms, undefined, { signal: until }).catch(() => {}),
    }
    return bestFirst(keys, ordering, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops) stop()
    await this.#saved.catch(() => {})
  }

  #view(): Standings {
    return (this.#standings ??= standings({
      self: this.#self,
      chosen: this.#chosen,
      observed: this.#observed.all(this.#parts.clock()),
      endorsements: endorsementsIn(this.#parts.registry),
    }))
  }

  async #choose(chosen: ReadonlySet<Subject>): Promise<void> {
    await this.#save(chosen)
    this.#chosen = chosen
    this.#standings = undefined
  }

  #observe(all: readonly SeenOf[]): void {
    if (all.length === 0) return
    for (const [subject, seen] of all) this.#observed.add(subject, seen, this.#parts.clock())
    this.#standings = undefined
    // What was seen is worth less than what was done: a full disk stops no transfer.
    this.#save(this.#chosen).catch((error: unknown) =>
      this.#parts.log(`What was seen of peers is not kept: ${error instanceof Error ? error.message : String(error)}`),
    )
  }

  /** One after the other, also after one that failed: what was asked for last is written last. */
  #save(chosen: ReadonlySet<Subject>): Promise<void> {
    const { path, clock } = this.#parts
    const write = (): Promise<void> =>
      writeReputation(path, { chosen: [...chosen], observed: this.#observed.all(clock()) })
    return (this.#saved = this.#saved.then(write, write))
  }
}
