// Failures of the file system, and of whoever lost interest, as what they are to the caller.
import type { Cancellable } from '../event-loop.ts'
import { writeFailure } from '../whole-file.ts'

/** Runs work that writes `path`. Throws `aborted`, `disk-full` or `storage-failed` for what the system says; MeshErrors as they are. */
export async function storing<T>(path: string, { signal }: Cancellable, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw writeFailure(cause, path, signal)
  }
}
