// A BitTorrent peer that says whatever a test wants, over TCP or over a Noise transfer stream: it knows the frame of a message and nothing
// of the rules.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import HyperDHT from 'hyperdht'
import { concatBytes } from '../../protocol/index.ts'
import type { Address } from '../index.ts'

export interface WireMessage {
  readonly id: number
  readonly body: Buffer
}

export const wireIds = { unchoke: 1, interested: 2, have: 4, bitfield: 5, request: 6, piece: 7, cancel: 8 } as const
export const fastIds = { haveAll: 14, haveNone: 15, reject: 16 } as const
export const extendedId = 20

const handshakeBytes = 68

export class RawPeer implements AsyncDisposable {
  readonly #stream: Duplex
  readonly #listeners = new Set<(message: WireMessage) => void>()
  readonly closed: Promise<void>
  #read = Buffer.alloc(0)
  #greeted = false
  #isClosed = false

  static async tcp({ host, port }: Address): Promise<RawPeer> {
    const socket = connect(port, host)
    await once(socket, 'connect')
    return new RawPeer(socket)
  }

  /** Through the opening of a transfer stream, with a new key; again and again until the other side can be found. */
  static async noise(dht: HyperDHT, transferKey: Uint8Array, infohash: Uint8Array): Promise<RawPeer> {
    for (;;) {
      const stream = dht.connect(Buffer.from(transferKey), { keyPair: HyperDHT.keyPair() })
      stream.write(concatBytes(Uint8Array.of(1), infohash))
      const peer = await new Promise<RawPeer | undefined>((resolve, reject) => {
        stream.once('error', () => resolve(undefined))
        // What follows the answer may come in the same turn, so it must have a reader by then.
        stream.once('data', (answer: Buffer) =>
          answer[0] === 0 ? resolve(new RawPeer(stream)) : reject(new Error(`it was answered with ${answer[0]}`)),
        )
      })
      if (peer) return peer
    }
  }

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.closed = new Promise((resolve) => stream.once('close', () => ((this.#isClosed = true), resolve())))
    stream.resume()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Offers BEP 10 (extensions) and BEP 6 (fast). */
  handshake(infohash: Uint8Array): this {
    const reserved = Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 0x04)
    return this.raw(Buffer.from('\u0013BitTorrent protocol', 'latin1'), reserved, infohash, randomBytes(20))
  }

  raw(...parts: readonly Uint8Array[]): this {
    if (!this.#isClosed) this.#stream.write(concatBytes(...parts))
    return this
  }

  say(id: number, ...parts: readonly (Uint8Array | number)[]): this {
    return this.raw(wireMessage(id, ...parts))
  }

  /** Calls back for every message from now on. */
  onMessage(listener: (message: WireMessage) => void): this {
    this.#listeners.add(listener)
    return this
  }

  /** The next message that `wanted` likes; rejects when the connection closes before. */
  async heard(wanted: (message: WireMessage) => boolean): Promise<WireMessage> {
    const found = Promise.withResolvers<WireMessage>()
    found.promise.catch(() => {})
    this.onMessage((message) => wanted(message) && found.resolve(message))
    void this.closed.then(() => found.reject(new Error('the connection was closed')))
    return found.promise
  }

  /** Greets, and resolves once the other side has said what it has: earlier the library overhears some messages. */
  async greet(infohash: Uint8Array): Promise<this> {
    const has = this.heard(({ id }) => id === fastIds.haveAll || id === fastIds.haveNone || id === wireIds.bitfield)
    this.handshake(infohash)
    await has
    return this
  }

  /** What is sent to it stays with the sender. */
  stopReading(): this {
    this.#stream.pause()
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#read = Buffer.concat([this.#read, chunk])
    if (!this.#greeted) {
      if (this.#read.length < handshakeBytes) return
      this.#greeted = true
      this.#read = this.#read.subarray(handshakeBytes)
    }
    while (this.#read.length >= 4 && this.#read.length >= 4 + this.#read.readUInt32BE(0)) {
      const length = this.#read.readUInt32BE(0)
      const body = this.#read.subarray(4, 4 + length)
      this.#read = this.#read.subarray(4 + length)
      if (length > 0)
        for (const listener of this.#listeners) listener({ id: body[0]!, body: Buffer.from(body.subarray(1)) })
    }
  }
}

/** Numbers are written as u32, big-endian. */
export function wireMessage(id: number, ...parts: readonly (Uint8Array | number)[]): Uint8Array {
  const body = concatBytes(...parts.map((part) => (typeof part === 'number' ? u32(part) : part)))
  return concatBytes(u32(body.length + 1), Uint8Array.of(id), body)
}

export function sha1(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha1').update(bytes).digest())
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return new Uint8Array(bytes)
}
