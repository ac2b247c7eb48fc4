// Failures of the file system, and of whoever lost interest, as what they are to the caller.
import { isMeshError, MeshError } from '../../protocol/index.ts'
import type { Cancellable } from '../event-loop.ts'

/** Runs work that writes `path`. Throws `aborted`, `disk-full` or `storage-failed` for what the system says; MeshErrors as they are. */
export async function storing<T>(path: string, { signal }: Cancellable, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isMeshError(cause)) throw cause
    if (signal?.aborted)
      throw new MeshError('aborted', `Writing ${path} was cancelled; nothing was left.`, {}, { cause })
    const code = (cause as NodeJS.ErrnoException).code
    // Only what the file system says has a code of this kind; anything else is a bug and stays one.
    if (typeof code !== 'string') throw cause
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new MeshError(
        'disk-full',
        `There is no room left to write ${path}. Free some space and try again.`,
        { path },
        { cause },
      )
    }
    throw new MeshError('storage-failed', `The file ${path} can't be written (${code}).`, { path }, { cause })
  }
}
