// Files that only their owner may read, written so that a crash leaves either the old bytes or the new ones, never a part.
import { randomUUID } from 'node:crypto'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MeshError } from '../protocol/index.ts'

/** Temporary file -> fsync -> rename -> fsync of the folder, mode 0600. Full disk -> `disk-full`, anything else -> `storage-failed`. */
export async function writePrivateFile(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    throw storageError(error, path)
  }
}

/** Renames a finished file into its place: its bytes are on the disk before its name is. */
export async function moveSynced(from: string, to: string): Promise<void> {
  try {
    const file = await open(from, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(from, to)
    await syncFolder(dirname(to))
  } catch (error) {
    throw storageError(error, to)
  }
}

/** Refuses a secret that other users of the machine can read. Windows has no such bits and is not asked. */
export async function requirePrivate(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) {
    throw new MeshError('bad-config', `Other users can read ${path}: run \`chmod 600 ${path}\`, then try again.`, {
      path,
      mode: (mode & 0o777).toString(8),
    })
  }
}

export function storageError(error: unknown, path: string): MeshError {
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MeshError(
      'disk-full',
      `The disk is full, ${path} was not written: free some space, then try again.`,
      { path },
      { cause: error },
    )
  }
  return new MeshError(
    'storage-failed',
    `${path} could not be written (${code ?? String(error)}): check that the folder exists and is yours.`,
    { path },
    { cause: error },
  )
}

/** The `code` of a system error, such as ENOENT. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open a folder; its rename is durable with the file.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
