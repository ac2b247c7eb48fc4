// Random access to bytes that may be a file of many gigabytes or a few bytes in memory. Readers of hostile formats go through this, so that
// a length that a file merely claims is compared with the bytes that are there before anything is allocated.
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { bytesEqual, MeshError } from '../protocol/index.ts'

export interface ByteSource {
  /** Bytes in all. */
  readonly size: number
  /**
   * Exactly `length` bytes from `offset`. The result may be a view of shared memory: don't write to it.
   * A range outside the source is a bug of the caller and throws a plain Error.
   */
  read(offset: number, length: number): Uint8Array
}

export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read(offset, length) {
      assertRange(offset, length, bytes.length)
      return bytes.subarray(offset, offset + length)
    },
  }
}

/** Whether the source holds exactly `expected` from `offset` on. */
export function bytesEqualAt(source: ByteSource, offset: number, expected: Uint8Array): boolean {
  if (offset + expected.length > source.size) return false
  return bytesEqual(source.read(offset, expected.length), expected)
}

/** Opens a regular file for reading. Throws `not-found`, or `bad-input` for folders, devices and files that may not be read. */
export function openFileSource(path: string): ByteSource & Disposable {
  const descriptor = openRegularFile(path)
  const size = fstatSync(descriptor).size
  let open = true
  return {
    size,
    read(offset, length) {
      assertRange(offset, length, size)
      const bytes = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const count = readSync(descriptor, bytes, filled, length - filled, offset + filled)
        if (count === 0) {
          throw new MeshError('storage-failed', `The file ${path} became shorter while it was read. Try again.`, {
            path,
          })
        }
        filled += count
      }
      return bytes
    },
    [Symbol.dispose]() {
      if (open) closeSync(descriptor)
      open = false
    },
  }
}

function openRegularFile(path: string): number {
  try {
    // Asked before opening: opening a named pipe would wait for a writer.
    if (statSync(path).isFile()) return openSync(path, 'r')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new MeshError('not-found', `There is no file ${path}.`, { path }, { cause })
    }
    throw new MeshError(
      'bad-input',
      `The file ${path} can't be read (${code ?? 'unknown reason'}).`,
      { path },
      { cause },
    )
  }
  throw new MeshError('bad-input', `${path} is not a file. Give the path of a model file.`, { path })
}

function assertRange(offset: number, length: number, size: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw new Error(`range ${offset}+${length} lies outside ${size} bytes`)
  }
}
