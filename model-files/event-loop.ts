// Long scans share the process with everything else it does: between pieces they let other work run and look whether they are still wanted.
import { setImmediate } from 'node:timers/promises'
import { MeshError } from '../protocol/index.ts'

export interface Cancellable {
  readonly signal?: AbortSignal | undefined
}

/** Lets pending events run. Throws `aborted` if the work is no longer wanted. */
export async function letOthersRun(options: Cancellable): Promise<void> {
  if (options.signal?.aborted !== true) await setImmediate()
  if (options.signal?.aborted === true) {
    const { reason } = options.signal
    throw new MeshError('aborted', 'Reading the model file was cancelled.', {}, { cause: reason })
  }
}
