// Waiting for a state instead of sleeping.
import { MeshError } from '../protocol/index.ts'

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

/** The outcome of `promise`, unless the signal is aborted first: then rejects with `aborted`, and the promise goes on alone. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(new MeshError('aborted', 'Stopped waiting.'))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
