// Lets one task through at a time, in order of arrival. Who gives up while waiting is out at once and holds nobody up.
import { MeshError } from '../protocol/index.ts'

export interface Turnstile {
  /** Rejects with `aborted` if `signal` fires before it is this task's turn; from then on the signal is the task's own business. */
  pass<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T>
}

export function createTurnstile(): Turnstile {
  let last: Promise<unknown> = Promise.resolve()
  return {
    async pass(signal, task) {
      const { promise: done, resolve: leave } = Promise.withResolvers<void>()
      const before = last
      last = before.then(() => done)
      try {
        await untilOrAborted(before, signal)
        return await task()
      } finally {
        leave()
      }
    },
  }
}

async function untilOrAborted(ready: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  const cancelled = (): MeshError => new MeshError('aborted', 'Cancelled while waiting.', {}, { cause: signal?.reason })
  if (signal?.aborted) throw cancelled()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(cancelled())
  signal?.addEventListener('abort', onAbort)
  try {
    await Promise.race([ready, aborted])
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
