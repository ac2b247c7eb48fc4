// Writes a community's whole log into a file: complete under its name, or not there at all.
import { randomUUID } from 'node:crypto'
import { open, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { MeshError } from '../protocol/index.ts'
import type { LogExport } from '../registry/index.ts'
import { moveSynced, storageError } from './private-file.ts'

/** Bytes that are collected before they are written. */
const batchBytes = 256 * 1024

export interface ExportLogWish {
  /** Absolute. */
  readonly file: string
  /** Whether a file in its place may be replaced. */
  readonly force: boolean
  readonly signal: AbortSignal
  readonly onProgress?: (progress: { readonly lines: number; readonly bytes: number }) => void
}

export interface ExportedLog {
  readonly file: string
  readonly lines: number
  readonly bytes: number
}

/** Throws `usage`, `already-exists`, `disk-full`, `storage-failed` or `aborted`. */
export async function exportLog({ lines }: LogExport, wish: ExportLogWish): Promise<ExportedLog> {
  const { file, force } = wish
  if (!isAbsolute(file)) throw new MeshError('usage', 'Name the file to write by its whole path.', { file })
  await requireFree(file, force)
  const temporary = join(dirname(file), `.${randomUUID()}.tmp`)
  try {
    const written = await writeLines(temporary, lines, wish)
    await requireFree(file, force)
    await moveSynced(temporary, file)
    return { file, ...written }
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function requireFree(file: string, force: boolean): Promise<void> {
  const there = await stat(file).catch(() => undefined)
  if (there === undefined || (force && there.isFile())) return
  const advice = there.isFile() ? 'name another one, or replace it with --force' : 'it is no file; name another one'
  throw new MeshError('already-exists', `${file} exists: ${advice}.`, { file })
}

async function writeLines(path: string, lines: Iterable<string>, wish: ExportLogWish) {
  const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw storageError(error, wish.file)
  })
  try {
    return await writeBatches(handle, lines, wish)
  } finally {
    await handle.close()
  }
}

async function writeBatches(handle: FileHandle, lines: Iterable<string>, { file, signal, onProgress }: ExportLogWish) {
  const written = { lines: 0, bytes: 0 }
  for (const batch of batchesOf(lines)) {
    signal.throwIfAborted()
    const bytes = Buffer.from(batch.join(''))
    await handle.appendFile(bytes).catch((error: unknown) => {
      throw storageError(error, file)
    })
    written.lines += batch.length
    written.bytes += bytes.length
    onProgress?.(written)
  }
  return written
}

function* batchesOf(lines: Iterable<string>): Generator<string[]> {
  let batch: string[] = []
  let bytes = 0
  for (const line of lines) {
    batch.push(line)
    bytes += line.length
    if (bytes < batchBytes) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}
