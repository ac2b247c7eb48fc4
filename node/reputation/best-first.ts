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
  const ready: { readonly key: Uint8Array; readonly score: number }[] = []
  let underWay = 1
  let changed = Promise.withResolvers<void>()
  const done = (): void => {
    underWay -= 1
    changed.resolve()
  }
  const offer = async (key: Uint8Array): Promise<void> => {
    underWay += 1
    const score = ordering.scoreOf(key)
    const waitMs = waitOf(score, ordering)
    if (waitMs > 0) await ordering.pause(waitMs, signal)
    ready.push({ key, score })
    done()
  }
  const read = async (): Promise<void> => {
    for await (const key of found) void offer(key)
  }
  const reading = read().finally(done)
  // It is awaited at the end; a failure before that must not count as unhandled.
  reading.catch(() => {})
  while (!signal.aborted) {
    const [best] = ready.toSorted((a, b) => b.score - a.score)
    if (best !== undefined) {
      ready.splice(ready.indexOf(best), 1)
      yield best.key
    } else if (underWay === 0) break
    else {
      await changed.promise
      changed = Promise.withResolvers()
    }
  }
  await reading
}

function waitOf(score: number, ordering: Ordering): number {
  if (score < 0) return harmfulWaitMs
  return score === 0 && ordering.trustsAnybody() ? strangerWaitMs : 0
}
