// One exchange connection: frames in, frames out, with a bound on everything a peer can make either process hold.
import type { NoiseStream } from 'hyperdht'
import { isMeshError, limits, MeshError } from '../../protocol/index.ts'
import { frameBytes, FrameReader } from './frame-reader.ts'
import { frameCost } from './messages.ts'
import { collectsTooMuch } from './noise-limits.ts'

const MiB = 1024 * 1024

/** Frames handed to the parent and not yet consumed there: reading stops above this. */
const unconsumedMaxBytes = MiB
/** What may wait for a peer that does not read; past it the peer is dropped. */
const unsentMaxBytes = 8 * MiB
/** The encryption layer would collect a message of 16 MiB; ours are never larger than a frame. */
const undecryptedMaxBytes = 2 * limits.frameMaxBytes
/** Bytes a peer may send a minute; reading pauses when it is used up. */
const budgetBytes = 64 * MiB
const budgetMs = 60_000
const firstFrameMs = 15_000
const frameMs = 20_000

export interface ExchangePeerEvents {
  onFrame(frame: Uint8Array): void
  onClose(reason: string): void
}

export class ExchangePeer {
  readonly #stream: NoiseStream
  readonly #events: ExchangePeerEvents
  readonly #nowMs: () => number
  readonly #reader = new FrameReader()
  readonly #openedAtMs: number
  #frames = 0
  #unconsumedBytes = 0
  #unsentBytes = 0
  #frameSinceMs: number | undefined
  #budget: { sinceMs: number; bytes: number }
  #rawBytes = 0
  #reason = 'the peer closed the connection'
  #closed = false
  #paused = false

  constructor(stream: NoiseStream, events: ExchangePeerEvents, nowMs: () => number) {
    this.#stream = stream
    this.#events = events
    this.#nowMs = nowMs
    this.#openedAtMs = nowMs()
    this.#budget = { sinceMs: nowMs(), bytes: 0 }
    stream.on('error', (error: Error) => (this.#reason = error.message))
    stream.on('close', () => this.#onClosed())
    stream.on('data', (chunk: Uint8Array) => this.#onData(chunk))
  }

  /** Resolves when there is room for more. Rejects with `not-reachable` when the connection is gone or the peer reads too slowly. */
  async send(frame: Uint8Array): Promise<void> {
    if (frame.length > limits.frameMaxBytes) throw new Error(`a frame of ${frame.length} bytes is over the limit`)
    if (this.#closed) throw gone(this.#reason)
    const bytes = frameBytes(frame)
    if (this.#unsentBytes + bytes.length > unsentMaxBytes) {
      this.close('it does not take what it is sent')
      throw gone(this.#reason)
    }
    this.#unsentBytes += bytes.length
    if (this.#stream.write(bytes)) this.#unsentBytes = 0
    else await this.#drained()
  }

  consumed(bytes: number): void {
    this.#unconsumedBytes = Math.max(0, this.#unconsumedBytes - bytes)
    this.#resumeIfMay()
  }

  close(reason: string): void {
    if (this.#closed) return
    this.#reason = reason
    this.#stream.destroy()
  }

  /** Called about once a second: ends what only holds the connection, and lets a peer on that had used up its minute. */
  check(): void {
    const nowMs = this.#nowMs()
    if (nowMs - this.#budget.sinceMs > budgetMs) this.#budget = { sinceMs: nowMs, bytes: 0 }
    const tooMuch = collectsTooMuch(this.#stream) || this.#stream.rawBytesRead - this.#rawBytes > undecryptedMaxBytes
    if (tooMuch) this.close('it sends messages without end')
    else if (this.#frames === 0 && nowMs - this.#openedAtMs > firstFrameMs) this.close('it said nothing')
    else if (this.#frameSinceMs !== undefined && nowMs - this.#frameSinceMs > frameMs) this.close('it is too slow')
    else this.#resumeIfMay()
  }

  #onData(chunk: Uint8Array): void {
    this.#rawBytes = this.#stream.rawBytesRead
    this.#budget.bytes += chunk.length
    let frames: Uint8Array[]
    try {
      frames = this.#reader.push(chunk)
    } catch (error) {
      this.close(isMeshError(error) ? error.message : 'it sent nonsense')
      return
    }
    for (const frame of frames) {
      this.#frames++
      this.#unconsumedBytes += frameCost(frame)
      this.#events.onFrame(frame)
    }
    if (frames.length > 0 || this.#reader.pendingBytes === 0) this.#frameSinceMs = undefined
    if (this.#reader.pendingBytes > 0) this.#frameSinceMs ??= this.#nowMs()
    if (!this.#mayRead()) {
      this.#paused = true
      this.#stream.pause()
      // What it can't deliver while we don't read is not its slowness.
      this.#frameSinceMs = undefined
    }
  }

  #mayRead(): boolean {
    return this.#unconsumedBytes <= unconsumedMaxBytes && this.#budget.bytes <= budgetBytes
  }

  #resumeIfMay(): void {
    if (this.#closed || !this.#paused || !this.#mayRead()) return
    this.#paused = false
    if (this.#reader.pendingBytes > 0) this.#frameSinceMs = this.#nowMs()
    this.#stream.resume()
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        this.#stream.off('close', onClose)
        this.#unsentBytes = 0
        resolve()
      }
      const onClose = () => {
        this.#stream.off('drain', onDrain)
        reject(gone(this.#reason))
      }
      this.#stream.once('drain', onDrain)
      this.#stream.once('close', onClose)
    })
  }

  #onClosed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#events.onClose(this.#reason)
  }
}

function gone(reason: string): MeshError {
  return new MeshError('not-reachable', `The connection to this peer is closed: ${reason}.`, { reason })
}
