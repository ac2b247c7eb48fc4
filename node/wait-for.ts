// Waiting for a state instead of sleeping.
export { unlessAborted } from '../registry/index.ts'

/**
 * Resolves with true once `holds`, looking again whenever `subscribe` wakes it; with false after `atMostMs`. Rejects with the signal's
 * reason. `subscribe` returns what ends the subscription.
 */
export async function waitFor(
  subscribe: (wake: () => void) => () => void,
  holds: () => boolean,
  atMostMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted()
  if (holds()) return true
  if (atMostMs <= 0) return false
  const outcome = Promise.withResolvers<boolean>()
  const abort = (): void => outcome.reject(signal.reason)
  const stop = subscribe(() => {
    if (holds()) outcome.resolve(true)
  })
  const timer = setTimeout(() => outcome.resolve(false), atMostMs)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await outcome.promise
  } finally {
    stop()
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
