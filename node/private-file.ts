// Files that only their owner may read, written so that a crash leaves either the old bytes or the new ones, never a part.
import { randomUUID } from 'node:crypto'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncFolder } from '../model-files/index.ts'
import { MeshError, isMeshError } from '../protocol/index.ts'

const SQLITE_FULL = 13

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
  if (code === 'ENOSPC' || code === 'EDQUOT' || sqliteCode(error) === SQLITE_FULL) {
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

/** What the system refused to do with a file that nobody expected it to: not a bug of ours. Undefined for every other error. */
export function systemError(error: unknown): MeshError | undefined {
  const code = errorCode(error)
  if (!(error instanceof Error) || code === undefined || !('syscall' in error) || isMeshError(error)) return undefined
  if (error.syscall === 'uv_cwd')
    return new MeshError('storage-failed', 'The current folder is gone: change to another one, then try again.')
  if (!('path' in error) || typeof error.path !== 'string') return undefined
  const { path } = error
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  // Of a copy `path` is where it comes from.
  return full ? storageError(error, 'dest' in error ? String(error.dest) : path) : unusable(error, path)
}

/** For a file that is there and can't be read: a folder in its place, or one of somebody else. */
export function unusable(error: unknown, path: string): MeshError {
  return new MeshError(
    'storage-failed',
    `${path} could not be used (${errorCode(error) ?? String(error)}): check what it is, and that it is yours.`,
    { path },
    { cause: error },
  )
}

/** The result code of a SQLite error. */
export function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined
}

/** The `code` of a system error, such as ENOENT. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
