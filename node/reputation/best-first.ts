// Seeders in the order of trust: those that did well are connected at once, strangers a moment later, those that did harm when nobody else
// has come for a while.

/** Gives a trusted one that answers a little later the first place. */
const strangerWaitMs = 250
/** A release that only one peer has is still had from it: every piece is checked. */
const harmfulWaitMs = 5_000

export interface Ordering {
  /** Of a transfer key. */
  scoreOf(key: Uint8Array): number
  /** Whether anybody is trusted: else no stranger has to wait for one. */
  trustsAnybody(): boolean
  /** Resolves after that time or when the signal aborts, never rejects. */
  pause(ms: number, signal: AbortSignal): Promise<void>
}

/** Each key that was found, once its turn has come; of several whose turn it is, the best first. Ends when `found` and the pauses do. */
export async function* bestFirst(
  found: AsyncIterable<Uint8Array>,
  ordering: Ordering,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const turns = new Turns()
  const reading = turns.during(readInto(turns, found, ordering, signal))
  // It is awaited at the end; a failure before that must not count as unhandled.
  reading.catch(() => {})
  for (let best = await turns.next(); best !== undefined && !signal.aborted; best = await turns.next()) yield best
  await reading
}

async function readInto(
  turns: Turns,
  found: AsyncIterable<Uint8Array>,
  ordering: Ordering,
  signal: AbortSignal,
): Promise<void> {
  for await (const key of found) {
    const score = ordering.scoreOf(key)
    const waitMs = waitOf(score, ordering)
    if (waitMs === 0) turns.add(key, score)
    else void turns.during(ordering.pause(waitMs, signal).then(() => turns.add(key, score)))
  }
}

/** Keys whose turn it is, and whether more may come. */
class Turns {
  readonly #ready: { readonly key: Uint8Array; readonly score: number }[] = []
  #underWay = 0
  #changed = Promise.withResolvers<void>()

  add(key: Uint8Array, score: number): void {
    this.#ready.push({ key, score })
    this.#changed.resolve()
  }

  /** Until `work` is settled more may come. */
  during(work: Promise<void>): Promise<void> {
    this.#underWay += 1
    return work.finally(() => {
      this.#underWay -= 1
      this.#changed.resolve()
    })
  }

  /** Undefined when no more will come. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#ready.length === 0 && this.#underWay > 0) {
      await this.#changed.promise
      this.#changed = Promise.withResolvers()
    }
    this.#ready.sort((a, b) => b.score - a.score)
    return this.#ready.shift()?.key
  }
}

function waitOf(score: number, ordering: Ordering): number {
  if (score < 0) return harmfulWaitMs
  return score === 0 && ordering.trustsAnybody() ? strangerWaitMs : 0
}
