// Where nodes that care about the same thing meet: Hyperswarm topics, and one exchange connection per peer.
import type HyperDHT from 'hyperdht'
import type { NoiseKeyPair, NoiseStream } from 'hyperdht'
import type { Discovery, PeerInfo } from 'hyperswarm'
import { MeshError, toHex } from '../../protocol/index.ts'
import type { BanList } from './ban-list.ts'
import { ExchangePeer } from './exchange-peer.ts'
import type { NetworkEvent } from './messages.ts'
import { OneConnectionSwarm, Settling } from './one-connection.ts'

export interface ExchangeOptions {
  readonly dht: HyperDHT
  readonly keyPair: NoiseKeyPair
  readonly bans: BanList
  readonly peersMax: number
  emit(event: NetworkEvent): void
  readonly nowMs: () => number
}

const sweepMs = 500
const topicsMax = 256
/** Pauses between two searches of a topic. Two nodes that join at the same moment miss each other the first time. */
const searchAgainMs = [300, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000]
/** The longest pause while nobody at all is connected. */
const isolatedSearchMs = 5_000

interface Topic {
  readonly discovery: Discovery
  searches: number
  nextSearchAtMs: number
  searching: boolean
}

export class Exchange implements AsyncDisposable {
  readonly #options: ExchangeOptions
  readonly #swarm: OneConnectionSwarm
  readonly #settling: Settling
  readonly #topics = new Map<string, Topic>()
  readonly #peers = new Map<string, ExchangePeer>()
  readonly #sweep: NodeJS.Timeout

  constructor(options: ExchangeOptions) {
    this.#options = options
    const { dht, keyPair, peersMax, bans, nowMs } = options
    const firewall = (publicKey: Buffer) => bans.has({ kind: 'noise', id: toHex(publicKey) })
    this.#swarm = new OneConnectionSwarm({ dht, keyPair, maxPeers: peersMax, firewall }, nowMs)
    this.#settling = new Settling(nowMs)
    this.#swarm.on('connection', (stream: NoiseStream, info: PeerInfo) =>
      this.#settling.add(stream, () => this.#onConnection(stream, info)),
    )
    this.#sweep = setInterval(() => this.#onSweep(), sweepMs).unref()
  }

  get peers(): number {
    return this.#peers.size
  }

  get topics(): number {
    return this.#topics.size
  }

  join(topic: Uint8Array): void {
    const name = toHex(topic)
    if (this.#topics.has(name)) return
    if (this.#topics.size >= topicsMax)
      throw new MeshError('quota-exceeded', `A node meets others on at most ${topicsMax} topics.`)
    const discovery = this.#swarm.join(Buffer.from(topic), { client: true, server: true })
    const nextSearchAtMs = this.#options.nowMs() + searchAgainMs[0]!
    this.#topics.set(name, { discovery, searches: 0, nextSearchAtMs, searching: false })
  }

  async leave(topic: Uint8Array): Promise<void> {
    const known = this.#topics.get(toHex(topic))
    this.#topics.delete(toHex(topic))
    await known?.discovery.destroy()
  }

  async send(peerId: string, frame: Uint8Array): Promise<void> {
    const peer = this.#peers.get(peerId)
    if (!peer) throw new MeshError('not-reachable', 'This peer is not connected any more.')
    await peer.send(frame)
  }

  consumed(peerId: string, bytes: number): void {
    this.#peers.get(peerId)?.consumed(bytes)
  }

  close(peerId: string, reason: string, ban: boolean): void {
    if (ban) this.#options.bans.add({ kind: 'noise', id: peerId })
    this.#peers.get(peerId)?.close(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep)
    this.#settling.close()
    for (const peer of this.#peers.values()) peer.close('this node is closing')
    await this.#swarm.destroy()
  }

  #onConnection(stream: NoiseStream, info: PeerInfo): void {
    const peerId = toHex(stream.remotePublicKey)
    const isFull = this.#peers.size >= this.#options.peersMax
    // The library knows a limit for connections from others and does not enforce it.
    if (isFull || this.#peers.has(peerId)) {
      stream.on('error', () => {})
      stream.destroy()
      return
    }
    const peer = new ExchangePeer(
      stream,
      {
        onFrame: (frame) => this.#options.emit({ kind: 'peer-frame', peerId, frame }),
        onClose: (reason) => {
          this.#peers.delete(peerId)
          this.#options.emit({ kind: 'peer-close', peerId, reason })
        },
      },
      this.#options.nowMs,
    )
    this.#peers.set(peerId, peer)
    this.#options.emit({ kind: 'peer-open', peerId, topics: info.topics.map((topic) => Uint8Array.from(topic)) })
  }

  #onSweep(): void {
    for (const peer of this.#peers.values()) peer.check()
    // A node that started before its network did would otherwise announce itself minutes later.
    if (this.#swarm.listening && this.#swarm.server.relayAddresses.length === 0) this.#swarm.server.refresh()
    const nowMs = this.#options.nowMs()
    const isolated = this.#peers.size === 0
    for (const topic of this.#topics.values()) {
      if (!topic.searching && nowMs >= topic.nextSearchAtMs) void this.#search(topic, isolated)
    }
  }

  /** The library itself searches again after ten minutes. */
  async #search(topic: Topic, isolated: boolean): Promise<void> {
    topic.searching = true
    await topic.discovery.refresh({ client: true, server: true }).catch(() => {})
    topic.searching = false
    topic.searches++
    const pauseMs = searchAgainMs[Math.min(topic.searches, searchAgainMs.length - 1)]!
    topic.nextSearchAtMs = this.#options.nowMs() + (isolated ? Math.min(pauseMs, isolatedSearchMs) : pauseMs)
  }
}
