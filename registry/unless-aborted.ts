import { MeshError } from '../protocol/index.ts'

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
