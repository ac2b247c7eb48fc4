// When something last arrived from peers, and a way to wait for the next thing.
import type { Registry } from '../registry/index.ts'
import { waitFor } from './wait-for.ts'

export interface News extends Disposable {
  /** Since the last arrival, or since the node started. */
  quietMs(): number
  /** Resolves at the next arrival or after `atMostMs`. Rejects with the signal's reason. */
  next(atMostMs: number, signal: AbortSignal): Promise<void>
}

export function newsOf(registry: Registry): News {
  let last = performance.now()
  let arrivals = 0
  const waiting = new Set<() => void>()
  const stop = registry.onEvent(({ kind }) => {
    if (kind !== 'records' && kind !== 'community' && kind !== 'peers') return
    last = performance.now()
    arrivals += 1
    for (const wake of waiting) wake()
  })
  const subscribe = (wake: () => void): (() => void) => {
    waiting.add(wake)
    return () => waiting.delete(wake)
  }
  return {
    quietMs: () => performance.now() - last,
    async next(atMostMs, signal) {
      const seen = arrivals
      await waitFor(subscribe, () => arrivals > seen, atMostMs, signal)
    },
    [Symbol.dispose]: stop,
  }
}
