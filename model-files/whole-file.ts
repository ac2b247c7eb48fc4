// Files that appear under their name only when they are complete and on disk: written as `path.partial`, synced, renamed.
import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isMeshError, MeshError } from '../protocol/index.ts'

export interface WrittenFile {
  readonly bytes: number
  /** SHA-256 of the file, 32 bytes. */
  readonly sha256: Uint8Array
}

export type ByteChunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** Each chunk is written before the next is asked for. On failure nothing is left. */
export async function writeWholeFile(
  path: string,
  chunks: ByteChunks,
  options: { readonly signal?: AbortSignal } = {},
): Promise<WrittenFile> {
  const partial = `${path}.partial`
  const file = await open(partial, 'w')
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      options.signal?.throwIfAborted()
      hash.update(chunk)
      for (let done = 0; done < chunk.length;) {
        done += (await file.write(chunk, done, chunk.length - done)).bytesWritten
      }
      bytes += chunk.length
    }
    await file.sync()
    await file.close()
    await rename(partial, path)
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
  return { bytes, sha256: new Uint8Array(hash.digest()) }
}

/** What to tell a person whose file could not be written: `aborted`, `disk-full` or `storage-failed`; bugs and MeshErrors stay what they are. */
export function writeFailure(error: unknown, out: string, signal: AbortSignal | undefined): unknown {
  if (isMeshError(error)) return error
  if (signal?.aborted)
    return new MeshError('aborted', `Writing ${out} was cancelled; nothing was left behind.`, { out }, { cause: error })
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const message = `There is no room left to write ${out}. Free some space and try again.`
    return new MeshError('disk-full', message, { out }, { cause: error })
  }
  // Only the file system's errors have a code; anything else is a bug and stays one.
  if (typeof code !== 'string') return error
  return new MeshError('storage-failed', `The file ${out} can't be written (${code}).`, { out }, { cause: error })
}

/** So that a name that was moved into a folder outlives a power cut. */
export async function syncFolder(path: string): Promise<void> {
  // Windows can't open a folder for syncing; its rename is durable enough without.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
