// The files of a torrent as one row of pieces, wherever they lie: in the staging folder while they are fetched, in the store when they are
// seeded. Files are opened when needed and closed when idle, so that a thousand seeded releases don't hold two thousand open.
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { callbackify } from 'node:util'
import type { ChunkStore } from 'webtorrent'
import { patchFile, releaseAdapterFile, releaseManifestFile } from '../../protocol/index.ts'
import type { MeshTorrent } from '../../protocol/index.ts'

export interface ReleasePaths {
  readonly manifest: string
  readonly adapter: string
}

export interface PatchPaths {
  readonly patch: string
}

export type TorrentPaths = ReleasePaths | PatchPaths

/** The path of each file, by its name in the torrent. */
export type PathOf = (name: string) => string

type Layout = Pick<MeshTorrent, 'files' | 'pieceBytes'>

const idleMs = 10_000

interface Part {
  readonly file: string
  /** Position in the file, and the range of the piece that lies there. Bytes. */
  readonly at: number
  readonly from: number
  readonly to: number
}

export function pathsByName(paths: TorrentPaths): PathOf {
  const known = new Map(
    'patch' in paths
      ? [[patchFile, paths.patch]]
      : [
          [releaseManifestFile, paths.manifest],
          [releaseAdapterFile, paths.adapter],
        ],
  )
  return (name) => {
    const path = known.get(name)
    if (path === undefined) throw new Error(`no path was given for ${name}`)
    return path
  }
}

export class TorrentFiles implements ChunkStore {
  #pathOf: PathOf
  readonly #layout: Layout
  readonly #totalBytes: number
  readonly #handles = new Map<string, Promise<FileHandle>>()
  #idle: NodeJS.Timeout | undefined
  #closed = false
  #busy = 0

  constructor(pathOf: PathOf, layout: Layout) {
    this.#pathOf = pathOf
    this.#layout = layout
    this.#totalBytes = layout.files.reduce((sum, { bytes }) => sum + bytes, 0)
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

  /** Returns when all files are on the disk itself. */
  async sync(): Promise<void> {
    for (const { name } of this.#layout.files) await this.#use(name, true, (handle) => handle.sync())
  }

  /** The files have been moved; what is read from now on is read there. */
  async moveTo(pathOf: PathOf): Promise<void> {
    this.#pathOf = pathOf
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

  async #use<T>(file: string, create: boolean, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error('the files of this torrent are closed')
    this.#busy++
    try {
      const opened = this.#handles.get(file) ?? openFile(this.#pathOf(file), create)
      this.#handles.set(file, opened)
      return await work(await opened.catch((error: unknown) => this.#forget(file, error)))
    } finally {
      this.#busy--
      this.#closeWhenIdle()
    }
  }

  #forget(file: string, error: unknown): never {
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
    return Math.min(this.#layout.pieceBytes, this.#totalBytes - index * this.#layout.pieceBytes)
  }

  /** Where bytes `from`..`to` of piece `index` lie: a piece may span files. */
  #parts(index: number, from: number, to: number): Part[] {
    if (index < 0 || from < 0 || to > this.#pieceBytes(index) || from >= to) throw new Error('no such bytes')
    const start = index * this.#layout.pieceBytes
    const parts: Part[] = []
    let begin = 0
    for (const { name, bytes } of this.#layout.files) {
      const first = Math.max(from, begin - start)
      const last = Math.min(to, begin + bytes - start)
      if (first < last) parts.push({ file: name, at: start + first - begin, from: first, to: last })
      begin += bytes
    }
    return parts
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
