// Everything the network child runs, put together as configured: DHT, exchange, transfer streams, torrents. Peers that any of them
// finds for a release go to the torrent that fetches it.
import { setTimeout as wait } from 'node:timers/promises'
import HyperDHT from 'hyperdht'
import { MeshError, type MutableItem, toHex } from '../../protocol/index.ts'
import { Exchange } from './exchange.ts'
import { type DhtNode, startDht } from './guarded-dht.ts'
import { type HyperNode, hyperNodesNeeded, startHyperNode } from './hyper-node.ts'
import type {
  FetchEvent,
  FetchRequest,
  FetchResult,
  NetworkAddresses,
  NetworkEvent,
  NetworkOptions,
  NetworkStatus,
  SeedRequest,
  Sources,
} from './messages.ts'
import { TorrentClient } from './torrent-client.ts'
import { Transfer } from './transfer.ts'

const publicDht = [
  { host: 'router.bittorrent.com', port: 6881 },
  { host: 'dht.transmissionbt.com', port: 6881 },
]
const exchangePeersMax = 64
const sourcesMax = 256
const announceAgainMs = 15 * 60_000
const announceRetryMs = 10_000
const sourceMs = 500
/** Pauses between two BEP 5 searches for one release while nobody sends it, and while somebody does. */
const lookupAloneMs = [500, 1_000, 2_000, 5_000, 10_000]
const lookupServedMs = 30_000

interface Sourcing {
  readonly keys: Map<string, Uint8Array>
  readonly addresses: Set<string>
  readonly signal: AbortSignal
  readonly ended: Promise<void>
}

export class Network implements AsyncDisposable {
  readonly #options: NetworkOptions
  readonly #torrents: TorrentClient
  readonly #dht: DhtNode | undefined
  readonly #hyper: HyperNode | undefined
  readonly #exchange: Exchange | undefined
  readonly #transfer: Transfer | undefined
  readonly #sourcing = new Map<string, Sourcing>()
  /** When an infohash is announced next. */
  readonly #announceAtMs = new Map<string, number>()
  readonly #announcing: NodeJS.Timeout
  readonly #closing = new AbortController()

  static async start(options: NetworkOptions, emit: (event: NetworkEvent) => void): Promise<Network> {
    const { switches, host, ports, bootstraps } = options
    await using started = new AsyncDisposableStack()
    const torrents = started.use(
      await TorrentClient.start({ ...(switches.tcp && { listen: { host, port: ports.tcp } }), limits: options.limits }),
    )
    const dht =
      switches.bep5 || switches.bep44
        ? started.use(await startDht({ host, port: ports.dht, bootstrap: bootstraps.dht ?? publicDht }))
        : undefined
    const hyper =
      switches.exchange || switches.noise
        ? started.use(
            await startHyperNode({
              host,
              port: ports.hyperdht,
              ...(bootstraps.hyperdht && { bootstrap: bootstraps.hyperdht }),
            }),
          )
        : undefined
    const network = new Network(options, torrents, dht, hyper, emit)
    started.move()
    return network
  }

  private constructor(
    options: NetworkOptions,
    torrents: TorrentClient,
    dht: DhtNode | undefined,
    hyper: HyperNode | undefined,
    emit: (event: NetworkEvent) => void,
  ) {
    this.#options = options
    this.#torrents = torrents
    this.#dht = dht
    this.#hyper = hyper
    const nowMs = Date.now
    const { switches, limits, seeds } = options
    if (hyper && switches.noise) {
      this.#transfer = new Transfer(hyper.dht, HyperDHT.keyPair(Buffer.from(seeds.transfer)), torrents, nowMs)
    }
    if (hyper && switches.exchange) {
      this.#exchange = new Exchange({
        dht: hyper.dht,
        keyPair: HyperDHT.keyPair(Buffer.from(seeds.exchange)),
        bans: torrents.bans,
        peersMax: limits.exchangePeersMax ?? exchangePeersMax,
        emit,
        nowMs,
      })
    }
    this.#announcing = setInterval(() => this.#announceDue(), sourceMs).unref()
  }

  addresses(): NetworkAddresses {
    const { host, seeds } = this.#options
    const tcp = this.#torrents.tcpPort
    return {
      ...(tcp !== undefined && { tcp: { host, port: tcp } }),
      ...(this.#dht && { dht: this.#dht.address }),
      ...(this.#hyper && { hyperdht: this.#hyper.address }),
      transferKey: Uint8Array.from(HyperDHT.keyPair(Buffer.from(seeds.transfer)).publicKey),
      exchangeKey: Uint8Array.from(HyperDHT.keyPair(Buffer.from(seeds.exchange)).publicKey),
    }
  }

  /** Throws `bad-config` when exchange is switched off. */
  get exchange(): Exchange {
    if (!this.#exchange) throw switchedOff('exchange')
    return this.#exchange
  }

  async putPointer(item: MutableItem): Promise<number> {
    return this.#pointers().put(item)
  }

  async getPointer(publicKey: Uint8Array, salt: Uint8Array): Promise<MutableItem[]> {
    return this.#pointers().get(publicKey, salt)
  }

  async fetch(request: FetchRequest, signal: AbortSignal, emit: (event: FetchEvent) => void): Promise<FetchResult> {
    const name = toHex(request.infohash)
    const before = this.#sourcing.get(name)
    if (before && !before.signal.aborted) {
      throw new MeshError('already-exists', 'This release is already being fetched.')
    }
    const whenEnded = Promise.withResolvers<void>()
    const sourcing: Sourcing = { keys: new Map(), addresses: new Set(), signal, ended: whenEnded.promise }
    this.#sourcing.set(name, sourcing)
    const ended = new AbortController()
    let sources: Promise<void> | undefined
    try {
      // One that was stopped may still be closing its files.
      if (before) await before.ended
      const fetched = this.#torrents.fetch({ ...request, signal, emit })
      this.addSources(request.infohash, request.sources)
      // Who has a part of it may be asked for that part, so it is announced from the start.
      this.#announceAtMs.set(name, 0)
      const isOver = AbortSignal.any([ended.signal, this.#closing.signal])
      sources = this.#findSources(request.infohash, sourcing, isOver)
      return await fetched
    } catch (error) {
      this.#announceAtMs.delete(name)
      throw error
    } finally {
      ended.abort()
      await sources
      this.#transfer?.forget(request.infohash)
      if (this.#sourcing.get(name) === sourcing) this.#sourcing.delete(name)
      whenEnded.resolve()
    }
  }

  addSources(infohash: Uint8Array, { transferKeys, addresses }: Sources): void {
    const sourcing = this.#sourcing.get(toHex(infohash))
    if (!sourcing) return
    for (const key of transferKeys) if (sourcing.keys.size < sourcesMax) sourcing.keys.set(toHex(key), key)
    for (const address of addresses) if (sourcing.addresses.size < sourcesMax) sourcing.addresses.add(address)
    this.#connect(infohash, sourcing)
  }

  async seed({ metainfo, paths }: SeedRequest): Promise<void> {
    const name = toHex(await this.#torrents.seed(metainfo, paths))
    if (!this.#announceAtMs.has(name)) this.#announceAtMs.set(name, 0)
    this.#announceDue()
  }

  async drop(infohash: Uint8Array): Promise<void> {
    this.#announceAtMs.delete(toHex(infohash))
    await this.#torrents.drop(infohash)
  }

  status(): NetworkStatus {
    return {
      torrents: this.#torrents.status(),
      dhtNodes: this.#dht?.size ?? 0,
      hyperdht: this.#hyper && { nodes: this.#hyper.dht.nodes.length, needed: hyperNodesNeeded },
      exchangePeers: this.#exchange?.peers ?? 0,
      topics: this.#exchange?.topics ?? 0,
      banned: this.#torrents.bans.list(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#announcing)
    const parts = [this.#exchange, this.#transfer, this.#torrents, this.#dht, this.#hyper]
    await Promise.allSettled(parts.map((part) => part?.[Symbol.asyncDispose]()))
  }

  /** Goes on until the fetch ends: seeders come and go. */
  async #findSources(infohash: Uint8Array, sourcing: Sourcing, signal: AbortSignal): Promise<void> {
    let lookups = 0
    let nextLookupAtMs = 0
    while (!signal.aborted) {
      if (this.#dht && this.#options.switches.bep5 && Date.now() >= nextLookupAtMs) {
        const served = this.#torrents.session(infohash)?.isServed ?? false
        const aloneMs = lookupAloneMs[Math.min(lookups++, lookupAloneMs.length - 1)]!
        nextLookupAtMs = Date.now() + (served ? lookupServedMs : aloneMs)
        await this.#dht.lookup(infohash, (address) => this.#torrents.addAddress(infohash, address), signal)
      }
      this.#connect(infohash, sourcing)
      await pause(sourceMs, signal)
    }
  }

  #connect(infohash: Uint8Array, { keys, addresses }: Sourcing): void {
    for (const key of keys.values()) this.#transfer?.dial(infohash, key)
    for (const address of addresses) this.#torrents.addAddress(infohash, address)
  }

  #announceDue(): void {
    const port = this.#torrents.tcpPort
    if (!this.#dht || !this.#options.switches.bep5 || port === undefined) return
    for (const infohash of this.#torrents.infohashes()) {
      const atMs = this.#announceAtMs.get(toHex(infohash))
      if (atMs !== undefined && atMs <= Date.now()) void this.#announce(this.#dht, infohash, port)
    }
  }

  async #announce(dht: DhtNode, infohash: Uint8Array, port: number): Promise<void> {
    const name = toHex(infohash)
    this.#announceAtMs.set(name, Date.now() + announceAgainMs)
    const nodes = await dht.announce(infohash, port)
    if (nodes === 0 && this.#announceAtMs.has(name)) this.#announceAtMs.set(name, Date.now() + announceRetryMs)
  }

  #pointers(): DhtNode {
    if (!this.#dht || !this.#options.switches.bep44) throw switchedOff('bep44')
    return this.#dht
  }
}

function switchedOff(what: string): MeshError {
  return new MeshError('bad-config', `This needs "${what}", which is switched off in the configuration.`, {
    switch: what,
  })
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => {})
}
