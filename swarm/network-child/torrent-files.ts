// The two files of a release as one row of pieces, wherever they lie: in the staging folder while they are fetched, in the store when
// they are seeded. Files are opened when needed and closed when idle, so that a thousand seeded releases don't hold two thousand open.
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { callbackify } from 'node:util'
import type { ChunkStore } from 'webtorrent'
import type { ReleaseLayout } from '../../protocol/index.ts'

export interface ReleasePaths {
  readonly manifest: string
  readonly adapter: string
}

const idleMs = 10_000

interface Part {
  readonly file: keyof ReleasePaths
  /** Position in the file, and the range of the piece that lies there. Bytes. */
  readonly at: number
  readonly from: number
  readonly to: number
}

export class ReleaseFiles implements ChunkStore {
  #paths: ReleasePaths
  readonly #layout: Pick<ReleaseLayout, 'manifestBytes' | 'adapterBytes' | 'pieceBytes'>
  readonly #handles = new Map<keyof ReleasePaths, Promise<FileHandle>>()
  #idle: NodeJS.Timeout | undefined
  #closed = false
  #busy = 0

  constructor(paths: ReleasePaths, layout: Pick<ReleaseLayout, 'manifestBytes' | 'adapterBytes' | 'pieceBytes'>) {
    this.#paths = paths
    this.#layout = layout
  }

  get(
    index: number,
    options: { offset?: number; length?: number } | null,
    done: (error: Error | null, bytes?: Uint8Array) => void,
  ): void {
    const from = options?.offset ?? 0
    const to = options?.length === undefined ? this.#pieceBytes(index) : from + options.length
    callbackify(() => this.#read(index, from, to))(done)
  }

  put(index: number, bytes: Uint8Array, done: (error?: Error | null) => void): void {
    callbackify(() => this.#write(index, bytes))(done)
  }

  close(done: (error?: Error | null) => void): void {
    this.#closed = true
    callbackify(() => this.#closeFiles())(done)
  }

  /** Deleting is the parent's business. */
  destroy(done: (error?: Error | null) => void): void {
    this.close(done)
  }

  /** Returns when both files are on the disk itself. */
  async sync(): Promise<void> {
    for (const file of ['manifest', 'adapter'] as const) await this.#use(file, true, (handle) => handle.sync())
  }

  /** The files have been moved; what is read from now on is read there. */
  async moveTo(paths: ReleasePaths): Promise<void> {
    this.#paths = paths
    await this.#closeFiles()
  }

  async #read(index: number, from: number, to: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(to - from)
    for (const part of this.#parts(index, from, to)) {
      const target = bytes.subarray(part.from - from, part.to - from)
      const { bytesRead } = await this.#use(part.file, false, (handle) =>
        handle.read(target, 0, target.length, part.at),
      )
      if (bytesRead !== target.length) throw new Error(`piece ${index} is not on the disk yet`)
    }
    return bytes
  }

  async #write(index: number, bytes: Uint8Array): Promise<void> {
    for (const part of this.#parts(index, 0, bytes.length)) {
      const source = bytes.subarray(part.from, part.to)
      await this.#use(part.file, true, async (handle) => {
        // One call may write less than asked for when the disk is nearly full.
        for (let written = 0; written < source.length;) {
          written += (await handle.write(source, written, source.length - written, part.at + written)).bytesWritten
        }
      })
    }
  }

  async #use<T>(file: keyof ReleasePaths, create: boolean, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error('the files of this release are closed')
    this.#busy++
    try {
      const opened = this.#handles.get(file) ?? openFile(this.#paths[file], create)
      this.#handles.set(file, opened)
      return await work(await opened.catch((error: unknown) => this.#forget(file, error)))
    } finally {
      this.#busy--
      this.#closeWhenIdle()
    }
  }

  #forget(file: keyof ReleasePaths, error: unknown): never {
    this.#handles.delete(file)
    throw error
  }

  #closeWhenIdle(): void {
    if (this.#idle !== undefined) return
    this.#idle = setTimeout(() => {
      this.#idle = undefined
      if (this.#busy === 0) void this.#closeFiles()
      else this.#closeWhenIdle()
    }, idleMs).unref()
  }

  async #closeFiles(): Promise<void> {
    const handles = [...this.#handles.values()]
    this.#handles.clear()
    for (const handle of handles) await handle.then((open) => open.close()).catch(() => {})
  }

  #pieceBytes(index: number): number {
    const { manifestBytes, adapterBytes, pieceBytes } = this.#layout
    return Math.min(pieceBytes, manifestBytes + adapterBytes - index * pieceBytes)
  }

  /** Where bytes `from`..`to` of piece `index` lie: the first pieces may span both files. */
  #parts(index: number, from: number, to: number): Part[] {
    if (index < 0 || from < 0 || to > this.#pieceBytes(index) || from >= to) throw new Error('no such bytes')
    const { manifestBytes, pieceBytes } = this.#layout
    const start = index * pieceBytes
    const border = Math.min(Math.max(manifestBytes - start, from), to)
    const parts: Part[] = [
      { file: 'manifest', at: start + from, from, to: border },
      { file: 'adapter', at: start + border - manifestBytes, from: border, to },
    ]
    return parts.filter((part) => part.from < part.to)
  }
}

async function openFile(path: string, create: boolean): Promise<FileHandle> {
  try {
    return await open(path, 'r+')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    // Seeded files may be read-only; nothing is ever written to them.
    if (!create && (code === 'EACCES' || code === 'EROFS' || code === 'EPERM')) return open(path, 'r')
    if (!create || code !== 'ENOENT') throw error
    await mkdir(dirname(path), { recursive: true })
    return open(path, 'w+')
  }
}
