/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are replaced here so */
// Bounds on what a BitTorrent peer may make this process hold: the library reads a message of any length into memory and queues
// answers without end for a peer that takes none.
import Wire from 'bittorrent-protocol'

const KiB = 1024

/** A block is 16 KiB; the bitfield of the largest release has 513 bytes, and a metadata message 16 KiB and a few. */
const messageMaxBytes = 256 * KiB
/** Requests a peer may have open (told to it as `reqq`), and the bytes that may wait for a peer that does not take them. */
export const openRequestsMax = 64
const unsentMaxBytes = (openRequestsMax + 16) * 16 * KiB
const requestMaxBytes = 32 * KiB

/** Milliseconds a peer may be silent in the middle of a message, may take for one message, and may be silent altogether. */
const stalledMs = 4_000
const messageMs = 30_000
const silentMs = 150_000

interface Progress {
  readonly messages: number
  readonly buffered: number
  /** When the last byte and the last whole message were seen. */
  readonly bytesAtMs: number
  readonly messageAtMs: number
}

const messagesRead = new WeakMap<Wire, number>()
let limited = false

/** Replaces the message reader of every wire of this process. */
export function limitWires(): void {
  if (limited) return
  limited = true
  const { _onMessageLength: readLength, _onRequest: onRequest, _onExtended: onExtended } = Wire.prototype
  Object.assign(Wire.prototype, {
    _onMessageLength(this: Wire, bytes: Uint8Array): void {
      messagesRead.set(this, (messagesRead.get(this) ?? 0) + 1)
      if (new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) > messageMaxBytes) this.destroy()
      else readLength.call(this, bytes)
    },
    _onRequest(this: Wire, index: number, offset: number, length: number): void {
      const asksTooMuch =
        this.peerRequests.length > openRequestsMax * 2 || this._readableState.buffered > unsentMaxBytes
      if (length < 1 || length > requestMaxBytes || asksTooMuch) this.destroy()
      else onRequest.call(this, index, offset, length)
    },
    _onExtended(this: Wire, extension: number, bytes: Uint8Array): void {
      // Extensions index into their own buffers by numbers the peer chose; that must end the connection, not the process.
      try {
        onExtended.call(this, extension, bytes)
      } catch {
        this.destroy()
      }
    },
  })
}

/** Drops the wires that hold a connection without using it. Called about once a second with all wires of the process. */
export class StalledWires {
  readonly #progress = new WeakMap<Wire, Progress>()

  /** `patient` while our own rate limit may be why nothing arrives. */
  drop(wires: Iterable<Wire>, nowMs: number, patient: boolean): void {
    for (const wire of wires) {
      const before = this.#progress.get(wire)
      const now = progress(wire, nowMs, before)
      this.#progress.set(wire, now)
      const inMessage = now.buffered > 0 || wire._parserSize > 4
      const waitedMs = nowMs - now.bytesAtMs
      const stalled = inMessage && (waitedMs > (patient ? messageMs : stalledMs) || nowMs - now.messageAtMs > messageMs)
      if (stalled || waitedMs > silentMs) wire.destroy()
    }
  }
}

function progress(wire: Wire, nowMs: number, before: Progress | undefined): Progress {
  const messages = messagesRead.get(wire) ?? 0
  const buffered = wire._bufferSize
  const newMessage = before === undefined || messages !== before.messages
  const newBytes = newMessage || buffered !== before.buffered
  return {
    messages,
    buffered,
    bytesAtMs: newBytes ? nowMs : before.bytesAtMs,
    messageAtMs: newMessage ? nowMs : before.messageAtMs,
  }
}
