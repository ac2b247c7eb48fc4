// Which records are missing and whom to ask for them. Peers announce (length, head) per log; this node asks one peer at a time for the
// range it lacks. Where heads contradict each other the author signed two histories: the first position where they part is searched by
// halving, and the two records there are the proof.
import { bytesEqual, limits, MeshError, verifyRecord } from '../protocol/index.ts'
import type { SignedRecord, VerifiedRecord, WireMessageOf } from '../protocol/index.ts'
import type { ExchangePeer } from './exchange-peer.ts'
import { logKeyOf, logKeyText } from './log-key.ts'
import type { LogKey } from './log-key.ts'
import type { LogStore, LogSummary, OfferOutcome } from './log-store.ts'
import type { Clock } from './ports.ts'
import type { StoragePolicy } from './storage-policy.ts'
import { inlineMax } from './verify-in-workers.ts'
import type { RecordVerifier } from './verify-in-workers.ts'

const requestTimeoutMs = 20_000
const requestsPerPeer = 8
/** Two logs of every member of the largest community, its followers', and some more. */
const announcementsPerPeer = 4_096
const timeoutsPerPeer = 3

export interface LogHead {
  readonly length: number
  readonly head: Uint8Array
}

interface Announcement {
  /** Those under which the peer announced it, by their hex. */
  readonly topics: Map<string, Uint8Array>
  readonly key: LogKey
  /** One; two of equal length when the peer holds proof of a fork at the last position. */
  readonly heads: readonly LogHead[]
}

type Request =
  | { readonly kind: 'range'; readonly from: number; readonly to: number }
  /** Our record and theirs differ at `high` or before, and are equal before `low`. */
  | { readonly kind: 'search'; readonly low: number; readonly high: number; readonly found: VerifiedRecord | undefined }

interface PeerSync {
  readonly peer: ExchangePeer
  readonly announced: Map<string, Announcement>
  readonly todo: Set<string>
  readonly active: Map<string, { readonly request: Request; readonly cancel: () => void }>
  timeouts: number
}

export interface LogSyncHooks {
  /** Records that were stored, and forks that were proved. */
  onStored(key: LogKey, outcomes: readonly OfferOutcome[]): void
  /** A peer holds this log, and nothing of it that we lack. */
  onInSync(key: LogKey): void
  /** The peer broke the protocol, or never answers. */
  onBroken(peer: ExchangePeer, error: MeshError): void
}

export class LogSync {
  readonly #store: LogStore
  readonly #policy: StoragePolicy
  readonly #clock: Clock
  readonly #verifier: RecordVerifier
  readonly #hooks: LogSyncHooks
  readonly #peers = new Map<ExchangePeer, PeerSync>()
  /** Log -> who is being asked for it. */
  readonly #busy = new Map<string, PeerSync>()
  /** Log -> who else could be asked once that is over. */
  readonly #waiting = new Map<string, Set<PeerSync>>()

  constructor(store: LogStore, policy: StoragePolicy, clock: Clock, verifier: RecordVerifier, hooks: LogSyncHooks) {
    this.#store = store
    this.#policy = policy
    this.#clock = clock
    this.#verifier = verifier
    this.#hooks = hooks
  }

  /** Throws `quota-exceeded` when a peer announces more logs than anybody has. */
  heard(peer: ExchangePeer, topicHex: string, message: WireMessageOf<'heads/1'>): void {
    const sync = this.#sync(peer)
    const byLog = Map.groupBy(message.logs, logKeyText)
    for (const [name, heads] of byLog) {
      const [first] = heads
      if (first === undefined || heads.length > 2) throw new MeshError('malformed', 'A log has more than two heads.')
      const key = logKeyOf(first)
      if (!this.#policy.mayEverKeep(key, topicHex)) continue
      const topics = sync.announced.get(name)?.topics ?? new Map<string, Uint8Array>()
      sync.announced.set(name, { topics: topics.set(topicHex, message.topic), key, heads })
      sync.todo.add(name)
    }
    if (sync.announced.size > announcementsPerPeer) {
      throw new MeshError('quota-exceeded', 'This peer announces more logs than a peer may.')
    }
    this.#pump(sync)
  }

  /**
   * Stores an answer. Throws what is wrong with the records: at once, or, where they are so many that workers check them, later. Nothing
   * more of this peer is to be read before that, and it is not `gone`. Answers nobody waits for any more are ignored.
   */
  received(peer: ExchangePeer, message: WireMessageOf<'records/1'>): void | Promise<void> {
    const sync = this.#sync(peer)
    const name = logKeyText(message)
    const active = sync.active.get(name)
    if (active === undefined || message.from !== firstIndex(active.request)) return
    active.cancel()
    sync.active.delete(name)
    const { records } = message
    if (records.length > inlineMax) return this.#answeredWithMany(sync, name, active.request, records)
    this.#answered(sync, name, active.request, () => records.map(verifyRecord))
  }

  /** The log stays busy meanwhile, so that nobody is asked for what is being checked. */
  async #answeredWithMany(
    sync: PeerSync,
    name: string,
    request: Request,
    records: readonly SignedRecord[],
  ): Promise<void> {
    const [checked] = await Promise.allSettled([this.#verifier.verify(records)])
    this.#answered(sync, name, request, () => {
      if (checked.status === 'rejected') throw checked.reason
      return checked.value
    })
  }

  #answered(sync: PeerSync, name: string, request: Request, verified: () => readonly VerifiedRecord[]): void {
    this.#busy.delete(name)
    const announcement = sync.announced.get(name)
    try {
      // A topic may have been left meanwhile.
      const next = announcement === undefined ? 'nothing' : this.#take(announcement, request, verified())
      if (next === 'nothing') sync.announced.delete(name)
      else if (next === 'done') sync.todo.add(name)
      else if (announcement !== undefined) this.#ask(sync, name, announcement, next)
    } finally {
      this.#released(name)
    }
    this.#pump(sync)
  }

  gone(peer: ExchangePeer): void {
    const sync = this.#peers.get(peer)
    if (sync === undefined) return
    this.#peers.delete(peer)
    for (const waiting of this.#waiting.values()) waiting.delete(sync)
    for (const [name, { cancel }] of sync.active) {
      cancel()
      this.#busy.delete(name)
      this.#released(name)
    }
  }

  /** Looks again at everything announced under a topic: what is kept there has changed. */
  reconsider(topicHex: string): void {
    for (const sync of this.#peers.values()) {
      for (const [name, { topics }] of sync.announced) if (topics.has(topicHex)) sync.todo.add(name)
      this.#pump(sync)
    }
  }

  /** Forgets what a peer announced under a topic that is shared no more. */
  unshared(peer: ExchangePeer, topicHex: string): void {
    const sync = this.#sync(peer)
    for (const [name, { topics }] of sync.announced) {
      if (topics.delete(topicHex) && topics.size === 0) sync.announced.delete(name)
    }
  }

  /** Whether a peer is known to hold this very log up to this very record. */
  holds(peer: ExchangePeer, summary: LogSummary): boolean {
    const announced = this.#peers.get(peer)?.announced.get(logKeyText(summary.key))
    return (
      announced?.heads.some(({ length, head }) => length === summary.length && bytesEqual(head, summary.head)) === true
    )
  }

  #sync(peer: ExchangePeer): PeerSync {
    let sync = this.#peers.get(peer)
    if (sync === undefined) {
      sync = { peer, announced: new Map(), todo: new Set(), active: new Map(), timeouts: 0 }
      this.#peers.set(peer, sync)
    }
    return sync
  }

  #pump(sync: PeerSync): void {
    for (const name of sync.todo) {
      if (sync.active.size >= requestsPerPeer) return
      sync.todo.delete(name)
      const announcement = sync.announced.get(name)
      if (announcement === undefined) continue
      if (this.#busy.has(name)) {
        const waiting = this.#waiting.get(name)
        if (waiting === undefined) this.#waiting.set(name, new Set([sync]))
        else waiting.add(sync)
        continue
      }
      const request = this.#plan(announcement)
      if (request !== undefined) this.#ask(sync, name, announcement, request)
    }
  }

  #released(name: string): void {
    if (this.#busy.has(name)) return
    const waiting = this.#waiting.get(name)
    this.#waiting.delete(name)
    for (const sync of waiting ?? []) {
      sync.todo.add(name)
      this.#pump(sync)
    }
  }

  #plan({ key, topics, heads }: Announcement): Request | undefined {
    const summary = this.#store.summary(key)
    const length = summary?.length ?? 0
    const forkedAt = summary?.forkedAt ?? Number.POSITIVE_INFINITY
    let longest = 0
    for (const theirs of heads) {
      const last = theirs.length - 1
      // From a fork on nothing counts, so there is nothing to learn.
      if (last >= forkedAt) continue
      if (last >= length) longest = Math.max(longest, theirs.length)
      else if (!this.#isOurs(key, last, theirs.head)) return searchBetween(0, last)
    }
    const wanted = this.#policy.wantedLength(key, topics.keys(), longest)
    if (wanted > length)
      return { kind: 'range', from: length, to: Math.min(wanted, length + limits.recordsPerMessageMax) }
    if (length > 0 && longest <= length) this.#hooks.onInSync(key)
    return undefined
  }

  #ask(sync: PeerSync, name: string, { topics, key }: Announcement, request: Request): void {
    const topic = this.#policy.bestTopic(key, topics)
    const from = firstIndex(request)
    const to = request.kind === 'range' ? request.to : from + 1
    const cancel = this.#clock.schedule(requestTimeoutMs, () => this.#timedOut(sync, name))
    sync.active.set(name, { request, cancel })
    this.#busy.set(name, sync)
    sync.peer.send(() => ({ type: 'want-records/1', topic, ...key, from, to }))
  }

  #timedOut(sync: PeerSync, name: string): void {
    sync.active.delete(name)
    sync.announced.delete(name)
    this.#busy.delete(name)
    sync.timeouts++
    this.#released(name)
    if (sync.timeouts >= timeoutsPerPeer) {
      this.#hooks.onBroken(sync.peer, new MeshError('timeout', 'This peer does not answer what it is asked for.'))
    } else this.#pump(sync)
  }

  /** Stores an answer. Returns what to ask next. */
  #take(
    announcement: Announcement,
    request: Request,
    records: readonly VerifiedRecord[],
  ): Request | 'done' | 'nothing' {
    if (records.length === 0) return 'nothing'
    const name = logKeyText(announcement.key)
    if (records.some((record) => logKeyText(record.fields) !== name)) {
      throw new MeshError('malformed', 'This peer answered with records of another log.')
    }
    const next =
      request.kind === 'range'
        ? this.#storeRange(announcement, request.from, records)
        : this.#searchStep(announcement.key, request, records)
    return next ?? 'done'
  }

  #storeRange({ key, topics }: Announcement, from: number, records: readonly VerifiedRecord[]): Request | undefined {
    requireRange(from, records)
    const outcomes = this.#store.offerVerified(this.#policy.fitting(key, topics.keys(), records))
    this.#hooks.onStored(key, outcomes)
    const stranger = outcomes.find((outcome) => outcome.kind === 'does-not-follow')
    if (stranger === undefined) return undefined
    if (stranger.index === 0) throw new MeshError('chain-broken', 'The first record of this log follows another one.')
    return searchBetween(0, stranger.index - 1)
  }

  #searchStep(
    key: LogKey,
    { low, high, found }: Request & { kind: 'search' },
    records: readonly VerifiedRecord[],
  ): Request | undefined {
    const at = middle(low, high)
    if (records.some((record) => record.fields.index !== at)) {
      throw new MeshError('malformed', 'This peer answered with other records than it was asked for.')
    }
    const other = records.find((record) => !this.#isOurs(key, at, record.id))
    const next = other === undefined ? { low: at + 1, high, found } : { low, high: at, found: other }
    if (next.low < next.high || (next.low === next.high && next.found?.fields.index !== next.high)) {
      return { kind: 'search', ...next }
    }
    if (next.found === undefined) {
      throw new MeshError('chain-broken', 'This peer announced a head that its own records contradict.')
    }
    this.#hooks.onStored(key, this.#store.offerVerified([next.found]))
    return undefined
  }

  #isOurs(key: LogKey, index: number, id: Uint8Array): boolean {
    const ours = this.#store.recordId(key, index)
    return ours !== undefined && bytesEqual(ours, id)
  }
}

function searchBetween(low: number, high: number): Request {
  return { kind: 'search', low, high, found: undefined }
}

function middle(low: number, high: number): number {
  return Math.floor((low + high) / 2)
}

function firstIndex(request: Request): number {
  return request.kind === 'range' ? request.from : middle(request.low, request.high)
}

/** Records follow each other from `from` on; second records at positions of a fork may stand behind them. */
function requireRange(from: number, records: readonly VerifiedRecord[]): void {
  let expected = from
  for (const { fields } of records) {
    if (fields.index === expected) expected++
    else if (fields.index < from || fields.index > expected) {
      throw new MeshError('malformed', 'This peer answered with other records than it was asked for.')
    }
  }
}
