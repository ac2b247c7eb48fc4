// Frames on an exchange stream: u32 big-endian length, then that many bytes. Nothing is allocated by a claim.
import { limits, MeshError } from '../../protocol/index.ts'

const headerBytes = 4

export class FrameReader {
  #chunks: Uint8Array[] = []
  #bytes = 0

  /** Bytes of a frame that has begun and not ended. */
  get pendingBytes(): number {
    return this.#bytes
  }

  /** The frames that `chunk` completes. Throws `too-large` as soon as a header claims too much. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    const frames: Uint8Array[] = []
    for (
      let length = this.#claimed();
      length !== undefined && this.#bytes >= headerBytes + length;
      length = this.#claimed()
    ) {
      frames.push(this.#take(headerBytes + length).subarray(headerBytes))
    }
    return frames
  }

  #claimed(): number | undefined {
    if (this.#bytes < headerBytes) return undefined
    if (this.#chunks[0]!.length < headerBytes) this.#join()
    const first = this.#chunks[0]!
    const length = new DataView(first.buffer, first.byteOffset, headerBytes).getUint32(0)
    if (length > limits.frameMaxBytes) {
      throw new MeshError(
        'too-large',
        `This peer announced a frame of ${length} bytes; at most ${limits.frameMaxBytes} are read.`,
      )
    }
    return length
  }

  #take(bytes: number): Uint8Array {
    this.#join()
    const all = this.#chunks[0]!
    this.#chunks = all.length > bytes ? [all.subarray(bytes)] : []
    this.#bytes -= bytes
    // A copy (which `slice` of a Buffer is not): the rest of the chunk must not be kept alive by a frame that is.
    return Uint8Array.from(all.subarray(0, bytes))
  }

  #join(): void {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
  }
}

export function frameBytes(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + frame.length)
  new DataView(bytes.buffer).setUint32(0, frame.length)
  bytes.set(frame, headerBytes)
  return bytes
}
