// Writing a patch: streams as they come, the preamble last, because only then the digest of the newer file may be known.
import { open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { bytesEqual } from '../../protocol/index.ts'
import { sha256File } from '../file-digest.ts'
import type { Cancellable } from '../event-loop.ts'
import type { GgufFile } from '../gguf-format.ts'
import { packBytes } from './packed-bytes.ts'
import { encodePreamble, preambleBytes } from './patch-format.ts'
import type { FileFacts, PatchFacts } from './patch-format.ts'

/** Leaves nothing behind unless it was finished. */
export class PatchFile implements AsyncDisposable {
  readonly #path: string
  readonly #file: FileHandle
  #bytes = preambleBytes

  static async create(path: string): Promise<PatchFile> {
    return new PatchFile(path, await open(partial(path), 'w'))
  }

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  async header(older: GgufFile, newer: GgufFile): Promise<void> {
    const header = headerOf(newer)
    if (bytesEqual(header, headerOf(older))) {
      await this.#append(uint32(0))
      await this.#append(uint32(0))
      return
    }
    await this.#append(uint32(header.length))
    await this.stream(header)
  }

  async stream(bytes: Uint8Array): Promise<void> {
    const packed = packBytes(bytes)
    await this.#append(uint32(packed.length))
    await this.#append(packed)
  }

  /** Of the patch file itself. */
  async finish(facts: PatchFacts, options: Cancellable): Promise<FileFacts> {
    await this.#write(encodePreamble(facts), 0)
    await this.#file.sync()
    const sha256 = await sha256File(partial(this.#path), options)
    await rename(partial(this.#path), this.#path)
    return { bytes: this.#bytes, sha256 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    await rm(partial(this.#path), { force: true })
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes, this.#bytes)
    this.#bytes += bytes.length
  }

  async #write(bytes: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.#file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    }
  }
}

/** Everything before the tensor data. */
export function headerOf({ source, dataOffset }: GgufFile): Uint8Array {
  return source.read(0, dataOffset)
}

function partial(path: string): string {
  return `${path}.partial`
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}
