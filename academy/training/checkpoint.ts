// The state of an unfinished training in one file: parameters and Adam's averages after a whole step. Everything else follows from the
// job, whose digest stands in the file: a checkpoint of another training is never taken for this one's.
import { createHash } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { MeshError } from '../../protocol/index.ts'

export interface Checkpoint {
  /** Steps done. */
  readonly step: number
  /** Parameters, averages and averages of squares, one after the other. */
  readonly state: Float32Array
}

const magic = Buffer.from('LoRA Mesh training 1\n\0\0\0')
const headBytes = magic.length + 32 + 8
const digestBytes = 32

/**
 * `job`: 32 bytes that stand for everything the training depends on. Gives undefined if there is no checkpoint, 'damaged' for one that
 * can't be continued. Throws `already-exists` if it belongs to another training, or is no checkpoint at all.
 */
export async function readCheckpoint(
  path: string,
  job: Uint8Array,
  floats: number,
): Promise<Checkpoint | 'damaged' | undefined> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw storageError(path, cause)
  }
  if (bytes.length > 0 && !bytes.subarray(0, magic.length).equals(magic)) {
    const message = `${path} is in the way: it is no unfinished training. Move it, or choose another output.`
    throw new MeshError('already-exists', message, { path })
  }
  if (bytes.length < headBytes + digestBytes) return 'damaged'
  const body = bytes.subarray(0, -digestBytes)
  if (!createHash('sha256').update(body).digest().equals(bytes.subarray(-digestBytes))) return 'damaged'
  if (!bytes.subarray(magic.length, magic.length + 32).equals(job) || body.length !== headBytes + floats * 4) {
    throw new MeshError(
      'already-exists',
      `${path} belongs to a training with other data or settings. Run that one to its end, choose another output, or delete the file.`,
      { path },
    )
  }
  const state = new Float32Array(new Uint8Array(body.subarray(headBytes)).buffer)
  return { step: body.readUInt32LE(magic.length + 32), state }
}

/** Replaces the file at once and on disk: whatever happens, the old or the new one is there. Throws `disk-full` or `storage-failed`. */
export async function writeCheckpoint(path: string, job: Uint8Array, { step, state }: Checkpoint): Promise<void> {
  const head = Buffer.alloc(headBytes)
  magic.copy(head)
  head.set(job, magic.length)
  head.writeUInt32LE(step, magic.length + 32)
  const parts = [head, Buffer.from(state.buffer, state.byteOffset, state.byteLength)]
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  const partial = `${path}.partial`
  try {
    const file = await open(partial, 'w', 0o600)
    try {
      for (const part of [...parts, hash.digest()]) await file.writeFile(part)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => undefined)
    throw storageError(path, cause)
  }
}

export async function removeCheckpoint(path: string): Promise<void> {
  // The adapter is written: that this can't be removed is no failure of the training.
  await rm(path, { force: true }).catch(() => undefined)
}

function storageError(path: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MeshError('disk-full', `There is no room left to write ${path}.`, { path }, { cause })
  }
  if (typeof code !== 'string') return cause
  return new MeshError('storage-failed', `The file ${path} can't be read or written (${code}).`, { path }, { cause })
}
