// BitTorrent over Noise streams, for peers without an open port. The opener sends a version byte and the infohash (20 bytes); the other
// side answers one byte; after a 0 both speak the BitTorrent peer wire. Only infohashes this node serves or fetches are answered.
import type HyperDHT from 'hyperdht'
import type { NoiseKeyPair, NoiseServer, NoiseStream } from 'hyperdht'
import { compareBytes, toHex } from '../../protocol/index.ts'
import { collectsTooMuch } from './noise-limits.ts'
import type { TorrentClient } from './torrent-client.ts'

export const transferVersion = 1
const requestBytes = 21
const answers = { accepted: 0, unknownInfohash: 1, unknownVersion: 2, busy: 3 } as const
const requestMs = 10_000
const dialMs = 30_000
const goodbyeMs = 1_000
const streamsMax = 128
/** Pauses before another attempt at one peer. */
const retryMs = [500, 1_000, 2_000, 5_000, 10_000]
const sweepMs = 1_000

interface Dial {
  attempts: number
  nextAtMs: number
  stream: NoiseStream | undefined
}

export class Transfer implements AsyncDisposable {
  readonly #dht: HyperDHT
  readonly #keyPair: NoiseKeyPair
  readonly #client: TorrentClient
  readonly #nowMs: () => number
  readonly #server: NoiseServer
  /** By infohash and key of the other side. */
  readonly #dials = new Map<string, Dial>()
  readonly #streams = new Set<NoiseStream>()
  readonly #sweep: NodeJS.Timeout
  #listening = false

  constructor(dht: HyperDHT, keyPair: NoiseKeyPair, client: TorrentClient, nowMs: () => number) {
    this.#dht = dht
    this.#keyPair = keyPair
    this.#client = client
    this.#nowMs = nowMs
    const firewall = (publicKey: Buffer) => this.#isFull() || client.bans.has({ kind: 'noise', id: toHex(publicKey) })
    this.#server = dht.createServer({ firewall }, (stream) => void this.#serve(stream))
    this.#server
      .listen(keyPair)
      .then(() => (this.#listening = true))
      .catch(() => {})
    this.#sweep = setInterval(() => {
      for (const stream of this.#streams) if (collectsTooMuch(stream)) stream.destroy()
      // A node that started before its network did would otherwise announce itself minutes later.
      if (this.#listening && this.#server.relayAddresses.length === 0) this.#server.refresh()
    }, sweepMs).unref()
  }

  get publicKey(): Uint8Array {
    return Uint8Array.from(this.#keyPair.publicKey)
  }

  /** Tries to reach a peer for a release that is being fetched, unless it is connected or was tried just now. Call it again and again. */
  dial(infohash: Uint8Array, key: Uint8Array): void {
    const peer = toHex(key)
    const name = `${toHex(infohash)} ${peer}`
    const session = this.#client.session(infohash)
    if (!session || compareBytes(key, this.#keyPair.publicKey) === 0) return
    if (session.isConnected(peer) || this.#client.bans.has({ kind: 'noise', id: peer })) return
    const dial = this.#dials.get(name) ?? { attempts: 0, nextAtMs: 0, stream: undefined }
    if (dial.stream || this.#nowMs() < dial.nextAtMs || this.#isFull()) return
    this.#dials.set(name, dial)
    void this.#dialOnce(infohash, key, dial)
  }

  /** The fetch is over: nothing is dialled for it any more. */
  forget(infohash: Uint8Array): void {
    for (const name of this.#dials.keys()) if (name.startsWith(toHex(infohash))) this.#dials.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep)
    for (const stream of this.#streams) stream.destroy()
    await this.#server.close()
  }

  async #dialOnce(infohash: Uint8Array, key: Uint8Array, dial: Dial): Promise<void> {
    let stream: NoiseStream | undefined
    try {
      stream = this.#dht.connect(Buffer.from(key), { keyPair: this.#keyPair })
      dial.stream = stream
      this.#own(stream)
      const request = new Uint8Array(requestBytes)
      request[0] = transferVersion
      request.set(infohash, 1)
      stream.write(request)
      const [answer] = await readExactly(stream, 1, dialMs)
      if (answer === answers.accepted && this.#client.addStream(infohash, stream, toHex(key))) dial.attempts = 0
      else stream.destroy()
    } catch {
      stream?.destroy()
    }
    dial.stream = undefined
    dial.nextAtMs = this.#nowMs() + retryMs[Math.min(dial.attempts++, retryMs.length - 1)]!
  }

  async #serve(stream: NoiseStream): Promise<void> {
    this.#own(stream)
    try {
      const request = await readExactly(stream, requestBytes, requestMs)
      const infohash = request.slice(1)
      const peer = toHex(stream.remotePublicKey)
      const answer = this.#judge(request[0]!, infohash, stream, peer)
      stream.write(Uint8Array.of(answer))
      if (answer === answers.accepted && this.#client.addStream(infohash, stream, peer)) return
      // Whoever is refused could keep its end open, and with it one of our places.
      setTimeout(() => stream.destroy(), goodbyeMs).unref()
      stream.end()
    } catch {
      stream.destroy()
    }
  }

  #judge(version: number, infohash: Uint8Array, stream: NoiseStream, peer: string): number {
    if (version !== transferVersion) return answers.unknownVersion
    const session = this.#client.session(infohash)
    if (!session) return answers.unknownInfohash
    if (session.isConnected(peer)) return answers.busy
    // Both sides may dial each other at once: the stream of the smaller key stays, or each would drop the other's.
    const ours = this.#dials.get(`${toHex(infohash)} ${peer}`)?.stream
    if (ours && compareBytes(this.#keyPair.publicKey, stream.remotePublicKey) < 0) return answers.busy
    ours?.destroy()
    return answers.accepted
  }

  #own(stream: NoiseStream): void {
    this.#streams.add(stream)
    stream.on('error', () => {})
    stream.on('close', () => this.#streams.delete(stream))
  }

  #isFull(): boolean {
    return this.#streams.size >= streamsMax
  }
}

/** The first `count` bytes of a stream, which is then paused. Rejects when it ends, sends more than that, or takes too long. */
function readExactly(stream: NoiseStream, count: number, timeoutMs: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let read = new Uint8Array()
    const end = (settle: () => void) => {
      clearTimeout(timer)
      stream.off('data', onData).off('close', onClose)
      settle()
    }
    const onClose = () => end(() => reject(new Error('the stream was closed')))
    const onData = (chunk: Uint8Array) => {
      read = Uint8Array.from([...read, ...chunk.subarray(0, count + 1)])
      if (read.length < count) return
      stream.pause()
      end(() => (read.length === count ? resolve(read) : reject(new Error('the stream said too much'))))
    }
    const timer = setTimeout(() => end(() => reject(new Error('the stream was silent'))), timeoutMs)
    stream.on('data', onData).on('close', onClose)
  })
}
