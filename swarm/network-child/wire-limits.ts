/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are replaced here so */
// Bounds on what a BitTorrent peer may make this process hold: the library reads a message of any length into memory and queues
// answers without end for a peer that takes none.
import Wire from 'bittorrent-protocol'
import { limits } from '../../protocol/index.ts'

const KiB = 1024

const messageMaxBytes = 256 * KiB
/** The largest release has one piece more than these. */
const piecesMax = limits.adapterMaxBytes / (KiB * KiB) + 1
/** A metadata message is 16 KiB and a few bytes; an extended handshake is smaller. */
const extendedMaxBytes = 18 * KiB
/** Requests a peer may have open (told to it as `reqq`), and the bytes that may wait for a peer that does not take them. */
export const openRequestsMax = 64
const unsentMaxBytes = (openRequestsMax + 16) * 16 * KiB
const requestMaxBytes = 32 * KiB
/** Since the last block that was asked for: blocks that were not, and refusals to send one. A few are honest after a choke. */
const uselessMax = 256

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
const uselessSince = new WeakMap<Wire, number>()
let limited = false

/** Replaces the message reader of every wire of this process. */
export function limitWires(): void {
  if (limited) return
  limited = true
  const { _onMessageLength: readLength, _onRequest: onRequest, _onExtended: onExtended } = Wire.prototype
  const { _onHave: onHave, _onBitField: onBitField, _onPiece: onPiece, _onReject: onReject } = Wire.prototype
  Object.assign(Wire.prototype, {
    _onMessageLength(this: Wire, bytes: Uint8Array): void {
      messagesRead.set(this, (messagesRead.get(this) ?? 0) + 1)
      if (new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) > messageMaxBytes) refuse(this)
      else readLength.call(this, bytes)
    },
    _onRequest(this: Wire, index: number, offset: number, length: number): void {
      const asksTooMuch = this.peerRequests.length > openRequestsMax * 2 || takesNothing(this)
      if (length < 1 || length > requestMaxBytes || asksTooMuch) refuse(this)
      else onRequest.call(this, index, offset, length)
    },
    // Each piece that a peer comes to have costs a walk over all of them.
    _onHave(this: Wire, index: number): void {
      if (index < 0 || index >= piecesMax) refuse(this)
      else onHave.call(this, index)
    },
    _onBitField(this: Wire, bytes: Uint8Array): void {
      if (bytes.length > Math.ceil(piecesMax / 8)) refuse(this)
      else onBitField.call(this, bytes)
    },
    // The library tells everyone of a block whether it was asked for or not.
    _onPiece(this: Wire, index: number, offset: number, bytes: Uint8Array): void {
      const asked = this.requests.some(
        (request) => request.piece === index && request.offset === offset && request.length === bytes.length,
      )
      if (!asked) return countUseless(this)
      uselessSince.delete(this)
      onPiece.call(this, index, offset, bytes)
    },
    _onReject(this: Wire, index: number, offset: number, length: number): void {
      countUseless(this)
      onReject.call(this, index, offset, length)
    },
    _onExtended(this: Wire, extension: number, bytes: Uint8Array): void {
      if (bytes.length > extendedMaxBytes || takesNothing(this)) return refuse(this)
      // Extensions index into their own buffers by numbers the peer chose; that must end the connection, not the process.
      try {
        onExtended.call(this, extension, bytes)
      } catch {
        refuse(this)
      }
    },
  })
}

/** Ends the connection, and reads nothing more of what has arrived already. */
function refuse(wire: Wire): void {
  wire.destroy()
  wire._parse(Number.MAX_VALUE, () => {})
}

function takesNothing(wire: Wire): boolean {
  return wire._readableState.buffered > unsentMaxBytes
}

function countUseless(wire: Wire): void {
  const count = (uselessSince.get(wire) ?? 0) + 1
  uselessSince.set(wire, count)
  if (count > uselessMax) refuse(wire)
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
