// Talks to peers: greets, finds shared topics, hands over genesis blocks and records, passes on what it keeps (peers of a topic form a
// star, so whatever is kept is passed on), and asks who serves a torrent. Peers that break the protocol are let go, and after three
// times not let in for an hour.
import { isMeshError, limits, MeshError, openGenesis, toHex, bytesEqual, wireVersions } from '../protocol/index.ts'
import type { OpenedGenesis, SignedRecord, WireMessage, WireMessageOf } from '../protocol/index.ts'
import { ChainSync } from './chain-sync.ts'
import type { Communities, KnownCommunity } from './communities.ts'
import { ExchangePeer } from './exchange-peer.ts'
import type { LogKey } from './log-key.ts'
import { LogSync } from './log-sync.ts'
import type { LogSyncHooks } from './log-sync.ts'
import type { LogStore, LogSummary } from './log-store.ts'
import type { Clock, ExchangeNetwork, PeerChannel, ServesTorrent } from './ports.ts'
import { SeedQuestions } from './seed-questions.ts'
import type { SeedAnswer } from './seed-questions.ts'
import type { SharedLockfiles } from './shared-lockfiles.ts'
import type { StoragePolicy } from './storage-policy.ts'
import type { RecordVerifier } from './verify-in-workers.ts'

const peersMax = 128
const transferKeyTimeoutMs = 5_000
/** Every topic that becomes shared costs a list of heads. */
const sharingsPerPeer = 512
const strikesMax = 3
const strikeLifetimeMs = 3_600_000
const strikesRemembered = 1_024
const headsPerMessage = 512
/** Leaves room for the message around the records. */
const recordBytesPerMessage = limits.frameMaxBytes - 16 * 1024

export interface PeerView {
  readonly id: string
  readonly agent: string
  /** In hex. */
  readonly sharedTopics: readonly string[]
  readonly transferKey: Uint8Array | undefined
}

export interface ExchangeOptions {
  readonly network: ExchangeNetwork
  readonly store: LogStore
  readonly communities: Communities
  readonly policy: StoragePolicy
  readonly lockfiles: SharedLockfiles
  readonly clock: Clock
  /** For answers with many records. */
  readonly verifier: RecordVerifier
  /** Program and version, for display. */
  readonly agent: string
  readonly servesTorrent: ServesTorrent
  readonly isOwn: (key: LogKey) => boolean
  readonly onStored: LogSyncHooks['onStored']
  readonly onInSync: LogSyncHooks['onInSync']
  readonly onGenesis: (genesis: OpenedGenesis) => void
  /** Certificates of a community were stored. */
  readonly onDecided: (community: KnownCommunity) => void
  readonly onPeersChanged: () => void
  /** A peer broke the protocol. */
  readonly onBroken: (peer: string, error: MeshError) => void
  /** Something went wrong on this side while talking to a peer; the connection was closed. */
  readonly onFailure: (error: unknown) => void
}

export class Exchange implements AsyncDisposable {
  readonly #options: ExchangeOptions
  readonly #sync: LogSync
  readonly #chains: ChainSync
  readonly #seeds: SeedQuestions
  readonly #peers = new Set<ExchangePeer>()
  readonly #running = new Set<Promise<void>>()
  readonly #joined = new Map<string, { readonly topic: Uint8Array; readonly membership: Promise<AsyncDisposable> }>()
  readonly #strikes = new Map<string, { count: number; since: number }>()
  readonly #stopListening: () => void
  readonly #closing = new AbortController()

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#sync = new LogSync(options.store, options.policy, options.clock, options.verifier, {
      onStored: options.onStored,
      onInSync: options.onInSync,
      onBroken: (peer, error) => this.#break(peer, error),
    })
    this.#chains = new ChainSync({
      communities: options.communities,
      now: () => options.clock.now(),
      onDecided: options.onDecided,
    })
    this.#seeds = new SeedQuestions(options.clock, () => [...this.#peers].filter(({ ready }) => ready))
    this.#stopListening = options.network.onPeer((channel) => this.#meet(channel))
  }

  /** Meets peers on a topic from now on. Resolves once this node can be found there. */
  async join(topic: Uint8Array, signal?: AbortSignal): Promise<void> {
    const name = toHex(topic)
    let joined = this.#joined.get(name)
    if (joined === undefined) {
      if (this.#joined.size >= limits.topicsPerPeerMax) {
        throw new MeshError('bad-input', `A node can be on at most ${limits.topicsPerPeerMax} topics at a time.`)
      }
      const stop = signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal])
      joined = { topic, membership: this.#options.network.join(topic, stop) }
      this.#joined.set(name, joined)
      for (const peer of this.#peers) this.#sendTopics(peer)
      for (const peer of this.#peers) this.#share(peer)
    }
    try {
      await joined.membership
    } catch (error) {
      this.#joined.delete(name)
      throw error
    }
  }

  get topicsLeft(): number {
    return limits.topicsPerPeerMax - this.#joined.size
  }

  /** Tells peers about new records or a new fork of a log. */
  announce(key: LogKey): void {
    for (const peer of this.#peers) {
      const topic = [...peer.sharedTopics].find((name) => this.#options.policy.isUnder(key, name))
      if (topic !== undefined) peer.send(() => this.#headMessage(peer, topic, key))
    }
  }

  /** Tells peers that a community's chain grew. */
  announceChain(topic: Uint8Array): void {
    const name = toHex(topic)
    for (const peer of this.#peers) if (peer.sharedTopics.has(name)) this.#chains.tell(peer, name)
  }

  /** Meets nobody on a topic any more. */
  async leave(topic: Uint8Array): Promise<void> {
    const joined = this.#joined.get(toHex(topic))
    if (joined === undefined) return
    this.#joined.delete(toHex(topic))
    for (const peer of this.#peers) {
      peer.sharedTopics.delete(toHex(topic))
      this.#sync.unshared(peer, toHex(topic))
      this.#sendTopics(peer)
    }
    const membership = await joined.membership
    await membership[Symbol.asyncDispose]()
  }

  /** After a community's genesis became known, or the user asked for a capability: what was no use before may be wanted now. */
  reconsider(topic: Uint8Array): void {
    const name = toHex(topic)
    for (const peer of this.#peers) {
      if (!peer.sharedTopics.has(name)) continue
      if (peer.awaitedGeneses.has(name) && this.#sendGenesis(peer, name)) peer.awaitedGeneses.delete(name)
      this.#sendAllHeads(peer, name)
      this.#chains.tell(peer, name)
    }
    this.#sync.reconsider(name)
  }

  askSeeds(infohashes: readonly Uint8Array[], signal: AbortSignal): AsyncIterable<SeedAnswer> {
    return this.#seeds.ask(infohashes, signal)
  }

  peers(): PeerView[] {
    return [...this.#peers]
      .filter(({ ready }) => ready)
      .map(({ id, agent, sharedTopics, transferKey }) => ({ id, agent, sharedTopics: [...sharedTopics], transferKey }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#stopListening()
    await Promise.all([...this.#peers].map((peer) => peer.dismiss('this node is stopping')))
    const memberships = await Promise.allSettled([...this.#joined.values()].map(({ membership }) => membership))
    await Promise.all(
      memberships.map((result) => (result.status === 'fulfilled' ? result.value[Symbol.asyncDispose]() : undefined)),
    )
    await Promise.all(this.#running)
  }

  #meet(channel: PeerChannel): void {
    if (this.#closing.signal.aborted || this.#peers.size >= peersMax || this.#isBanned(channel.id)) {
      channel.close('not let in')
      return
    }
    const peer = new ExchangePeer(channel, this.#options.clock, {
      onReady: (peer) => this.#ready(peer),
      onMessage: (peer, message) => this.#handle(peer, message),
      onClosed: (peer, _reason, failure) => this.#gone(peer, failure),
    })
    this.#peers.add(peer)
    const running = this.#greet(peer).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  async #greet(peer: ExchangePeer): Promise<void> {
    const hello = { type: 'hello/1' as const, versions: [...wireVersions], agent: this.#options.agent }
    const transferKey = await this.#transferKey()
    await peer.run(transferKey === undefined ? hello : { ...hello, transferKey })
  }

  /** Asked anew for every peer: a restarted transport has a new key. One that doesn't come up must not keep peers waiting. */
  async #transferKey(): Promise<Uint8Array | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>()
    const cancel = this.#options.clock.schedule(transferKeyTimeoutMs, () => resolve(undefined))
    const key = await Promise.race([this.#options.network.transferKey.catch(() => undefined), late])
    cancel()
    return key
  }

  #ready(peer: ExchangePeer): void {
    this.#sendTopics(peer)
    this.#seeds.peerReady(peer)
    this.#options.onPeersChanged()
  }

  #gone(peer: ExchangePeer, failure: unknown): void {
    this.#peers.delete(peer)
    this.#sync.gone(peer)
    this.#options.lockfiles.gone(peer)
    // A full disk here, or a mistake of ours, is not the peer's fault.
    if (isMeshError(failure) && failure.blame !== 'self') this.#strike(peer.id, failure)
    else if (failure !== undefined) this.#options.onFailure(failure)
    this.#options.onPeersChanged()
  }

  /** Throws what is wrong with the message. */
  #handle(peer: ExchangePeer, message: WireMessage): void | Promise<void> {
    switch (message.type) {
      case 'topics/1':
        peer.topics = new Set(message.topics.map(toHex))
        this.#share(peer)
        return
      case 'want-seeds/1': {
        const infohashes = message.infohashes.filter(this.#options.servesTorrent)
        peer.send(() => ({ type: 'have-seeds/1', infohashes }))
        return
      }
      case 'have-seeds/1':
        this.#seeds.answered(peer, message)
        return
      case 'hello/1':
      case 'goodbye/1':
        return
      default: {
        // Two sides may learn at different times that a topic is shared no more: that is nobody's fault.
        const topic = toHex(message.topic)
        if (peer.sharedTopics.has(topic)) return this.#handleShared(peer, topic, message)
      }
    }
  }

  #handleShared(
    peer: ExchangePeer,
    topic: string,
    message: Extract<WireMessage, { topic: Uint8Array }>,
  ): void | Promise<void> {
    switch (message.type) {
      case 'want-genesis/1':
        if (!this.#sendGenesis(peer, topic)) peer.awaitedGeneses.add(topic)
        return
      case 'genesis/1':
        this.#takeGenesis(topic, message.sealed)
        return
      case 'heads/1':
        this.#sync.heard(peer, topic, message)
        this.#wantGenesis(peer, topic)
        return
      case 'records/1':
        return this.#sync.received(peer, message)
      case 'chain/1':
      case 'want-certificates/1':
      case 'certificates/1':
        this.#chains.handle(peer, topic, message)
        return
      case 'want-lockfile/1':
      case 'lockfile/1':
        this.#options.lockfiles.handle(peer, topic, message)
        return
      case 'want-records/1':
        peer.send(() => this.#recordsMessage(topic, message))
        return
      default:
        message satisfies never
    }
  }

  #takeGenesis(topic: string, sealed: Uint8Array): void {
    const community = this.#options.communities.byTopic(topic)
    if (community === undefined || community.genesis !== undefined) return
    const genesis = openGenesis(sealed)
    if (!bytesEqual(genesis.id, community.id)) {
      throw new MeshError('bad-signature', 'This genesis is not the one that the community link names.')
    }
    this.#options.onGenesis(genesis)
  }

  #sendTopics(peer: ExchangePeer): void {
    if (!peer.ready) return
    peer.send(() => ({ type: 'topics/1', topics: [...this.#joined.values()].map(({ topic }) => topic) }))
  }

  /** Brings the shared topics up to date, and starts talking about new ones. Throws `quota-exceeded`. */
  #share(peer: ExchangePeer): void {
    if (!peer.ready) return
    for (const name of peer.sharedTopics) {
      if (peer.topics.has(name)) continue
      peer.sharedTopics.delete(name)
      peer.awaitedGeneses.delete(name)
      this.#sync.unshared(peer, name)
      this.#options.lockfiles.unshared(peer, name)
    }
    for (const name of peer.topics) {
      if (!this.#joined.has(name) || peer.sharedTopics.has(name)) continue
      peer.sharedTopics.add(name)
      if (++peer.sharings > sharingsPerPeer)
        throw new MeshError('quota-exceeded', 'This peer changes its topics too often.')
      this.#wantGenesis(peer, name)
      this.#sendAllHeads(peer, name)
      this.#chains.tell(peer, name)
      this.#options.lockfiles.shared(peer, name)
    }
    this.#options.onPeersChanged()
  }

  #wantGenesis(peer: ExchangePeer, topicName: string): void {
    const community = this.#options.communities.byTopic(topicName)
    if (community === undefined || community.genesis !== undefined) return
    peer.send(() =>
      this.#options.communities.byTopic(topicName)?.genesis === undefined
        ? { type: 'want-genesis/1', topic: community.topic }
        : undefined,
    )
  }

  /** Whether it is known and on its way. */
  #sendGenesis(peer: ExchangePeer, topicName: string): boolean {
    const community = this.#options.communities.byTopic(topicName)
    if (community?.genesis === undefined) return false
    const { topic, genesis } = community
    peer.send(() => ({ type: 'genesis/1', topic, sealed: genesis.sealed }))
    return true
  }

  #sendAllHeads(peer: ExchangePeer, topicName: string): void {
    const topic = this.#joined.get(topicName)?.topic
    if (topic === undefined) return
    const keys = this.#options.policy.logsUnder(topicName)
    for (let i = 0; i < keys.length; i += headsPerMessage) {
      const part = keys.slice(i, i + headsPerMessage)
      peer.send(() => ({ type: 'heads/1', topic, logs: part.flatMap((key) => this.#headsOf(key)) }))
    }
  }

  #headMessage(peer: ExchangePeer, topicName: string, key: LogKey): WireMessage | undefined {
    const topic = this.#joined.get(topicName)?.topic
    const summary = this.#options.store.summary(key)
    if (topic === undefined || summary === undefined) return undefined
    // Who holds the same records need not hold the proof against their author.
    if (summary.forkedAt === undefined && this.#sync.holds(peer, summary)) return undefined
    return { type: 'heads/1', topic, logs: this.#headsOf(key) }
  }

  /** One head; the two that prove it where the author forked: whatever follows is void, and not passed on. */
  #headsOf(key: LogKey): WireMessageOf<'heads/1'>['logs'] {
    const summary = this.#options.store.summary(key)
    if (summary === undefined || summary.length === 0) return []
    const proof = this.#options.store.forkProof(key)
    if (proof === undefined) return [{ ...summary.key, length: summary.length, head: summary.head }]
    return proof.map(({ id }) => ({ ...summary.key, length: forkLength(summary), head: id }))
  }

  #recordsMessage(topicName: string, wanted: WireMessageOf<'want-records/1'>): WireMessage {
    const { topic, scope, author, device, from } = wanted
    const key = { scope, author, device }
    const records: SignedRecord[] = []
    if (this.#options.policy.isUnder(key, topicName)) {
      if (this.#options.isOwn(key)) this.#options.store.markShared(key)
      records.push(...this.#servedRecords(key, from, wanted.to))
    }
    return { type: 'records/1', topic, ...key, from, records }
  }

  #servedRecords(key: LogKey, from: number, to: number): SignedRecord[] {
    const summary = this.#options.store.summary(key)
    if (summary === undefined) return []
    const end = Math.min(to, from + limits.recordsPerMessageMax - 1, forkLength(summary))
    const records = this.#options.store.records(key, from, end, recordBytesPerMessage)
    const served = records.map(({ envelope, body }) => ({ envelope, body }))
    const proof = this.#options.store.forkProof(key)
    const lastServed = from + records.length - 1
    if (proof === undefined || summary.forkedAt !== lastServed) return served
    const other = proof.find(({ id }) => !bytesEqual(id, records.at(-1)!.id))!
    const room =
      recordBytesPerMessage - records.reduce((sum, { envelope, body }) => sum + envelope.length + body.length, 0)
    if (records.length > 1 && other.envelope.length + other.body.length > room) return served
    return [...served, { envelope: other.envelope, body: other.body }]
  }

  #break(peer: ExchangePeer, error: MeshError): void {
    this.#strike(peer.id, error)
    void peer.dismiss(error.message)
  }

  #strike(id: string, error: MeshError): void {
    const now = this.#options.clock.now()
    const strike = this.#strikes.get(id)
    this.#strikes.delete(id)
    const current = strike !== undefined && now - strike.since < strikeLifetimeMs ? strike : { count: 0, since: now }
    this.#strikes.set(id, { count: current.count + 1, since: now })
    const oldest = this.#strikes.keys().next().value
    if (this.#strikes.size > strikesRemembered && oldest !== undefined) this.#strikes.delete(oldest)
    this.#options.onBroken(id, error)
  }

  #isBanned(id: string): boolean {
    const strike = this.#strikes.get(id)
    return (
      strike !== undefined && strike.count >= strikesMax && this.#options.clock.now() - strike.since < strikeLifetimeMs
    )
  }
}

function forkLength(summary: LogSummary): number {
  return Math.min(summary.length, (summary.forkedAt ?? summary.length) + 1)
}
