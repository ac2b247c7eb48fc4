// The registry as the rest of the node sees it: one object over the store, the folds and the exchange.
import { availableParallelism } from 'node:os'
import {
  bytesEqual,
  communityIdOfLink,
  communityLink,
  createGenesis,
  defaultRules,
  isMeshError,
  MeshError,
  openInvitationCode,
  toHex,
} from '../protocol/index.ts'
import type { OpenedGenesis, Scope, SignedManifest, VerifiedRecord } from '../protocol/index.ts'
import { Audit } from './audit/audit.ts'
import { Catalogue } from './catalogue.ts'
import { checkStoredSignatures } from './check-stored-signatures.ts'
import type { CatalogueEntry, CatalogueOptions } from './catalogue.ts'
import { Communities, isKnown } from './communities.ts'
import type { Community, KnownCommunity } from './communities.ts'
import { Database } from './database.ts'
import { Exchange } from './exchange.ts'
import type { PeerView } from './exchange.ts'
import { resolveBareName } from './fold-community.ts'
import type { CommunityState, FoldedRelease, Said } from './fold-community.ts'
import { Governance } from './governance/governance.ts'
import { wantedJobs } from './jobs.ts'
import type { JobDraft, JobPreview, WantedJob } from './jobs.ts'
import { KnownLogs } from './known-logs.ts'
import { logKeyOf } from './log-key.ts'
import type { LogKey } from './log-key.ts'
import { LogStore } from './log-store.ts'
import type { OfferOutcome } from './log-store.ts'
import { NotedReleases } from './noted-releases.ts'
import { OwnLogs } from './own-logs.ts'
import type { Action, AppendResult, PendingAction } from './own-logs.ts'
import { OwnStatements } from './own-statements.ts'
import { Pointers } from './pointers.ts'
import type { PointerKey, SeenPointer } from './pointers.ts'
import type { ExchangeNetwork } from './ports.ts'
import type { CommunityView, NewCommunity, RegistryEvent, RegistryOptions } from './registry-types.ts'
import type { PatchEffect } from './record-effects.ts'
import { actionStands } from './said-before.ts'
import type { SeedAnswer } from './seed-questions.ts'
import { SharedLockfiles } from './shared-lockfiles.ts'
import type { LockfileMeeting } from './shared-lockfiles.ts'
import { capabilityInterest, StoragePolicy } from './storage-policy.ts'
import { verifyInWorkers } from './verify-in-workers.ts'

/** Own releases leave this many topics to communities and to what the user looks for. */
const topicsKeptFree = 16
/** Delegates that are there answer within this; those that are not hold the others up for longer and longer. */
const defaultPaceMs = 3_000
const firstRetryMs = 5_000
const lastRetryMs = 300_000
/** More would wait for the one thread that stores what they checked. */
const verifyWorkersMax = 4

export class Registry implements AsyncDisposable {
  readonly #options: RegistryOptions
  readonly #database: Database
  readonly #store: LogStore
  readonly #logs: KnownLogs
  readonly #communities: Communities
  readonly #noted: NotedReleases
  readonly #pointers: Pointers
  readonly #policy: StoragePolicy
  readonly #own: OwnLogs
  readonly #catalogue: Catalogue
  readonly #statements: OwnStatements
  /** Members, channels, proposals, votes. */
  readonly governance: Governance
  /** Who did what, when. */
  readonly audit: Audit
  readonly #lockfiles: SharedLockfiles
  readonly #exchange: Exchange | undefined
  readonly #verifier = verifyInWorkers(Math.min(availableParallelism(), verifyWorkersMax))
  readonly #closing = new AbortController()
  #checkingDisk: Promise<void> | undefined
  #closed = false
  readonly #listeners = new Set<(event: RegistryEvent) => void>()

  constructor(options: RegistryOptions, database: Database) {
    const { author, clock } = options
    this.#options = options
    this.#database = database
    this.#store = new LogStore(this.#database)
    this.#logs = new KnownLogs(this.#store)
    this.#communities = new Communities(this.#database)
    this.#noted = new NotedReleases(this.#database)
    this.#pointers = new Pointers(this.#database)
    this.#policy = new StoragePolicy(this.#store, this.#logs, this.#communities, author.identity, (scope, key) =>
      this.governance.isOpenInvitation(scope, key),
    )
    this.#catalogue = new Catalogue(this.#logs, this.#communities, this.#noted, author.identity)
    this.#own = new OwnLogs(this.#database, this.#store, {
      author,
      clock,
      offline: options.offline === true,
      onAppended: (records) => this.#ownAppended(records),
      stillStands: (action) => this.#stillStands(action),
    })
    this.#statements = new OwnStatements({
      author,
      random: options.random,
      own: this.#own,
      logs: this.#logs,
      store: this.#store,
      communities: this.#communities,
      catalogue: this.#catalogue,
    })
    this.governance = new Governance({
      identity: author.identity,
      clock,
      random: options.random,
      database: this.#database,
      store: this.#store,
      logs: this.#logs,
      communities: this.#communities,
      own: this.#own,
      paceMs: options.paceMs ?? defaultPaceMs,
      onDecided: (community) => this.#decided(community),
      onMisbehaved: (community, delegate) => this.#emit({ kind: 'delegate-misbehaved', community, delegate }),
      onFailure: (error) => this.#emit({ kind: 'failed', error }),
    })
    this.audit = new Audit({
      author,
      clock,
      store: this.#store,
      logs: this.#logs,
      communities: this.#communities,
      catalogue: this.#catalogue,
      governance: this.governance,
    })
    this.#lockfiles = new SharedLockfiles({
      meet: (topic) => void this.#meetOn(topic, undefined, firstRetryMs, () => this.#lockfiles.uses(topic)),
      leave: (topic) => void this.#exchange?.leave(topic).catch((error: unknown) => this.#emitFailure(error)),
    })
    this.#exchange = options.network && this.#openExchange(options.network)
  }

  /** Meets peers for everything followed and offered so far. Resolves once this node can be found; works without anybody there. */
  async start(signal?: AbortSignal): Promise<void> {
    this.#own.confirmIfOffline()
    this.governance.start()
    this.#checkingDisk ??= this.#checkDisk()
    const joining = this.#communities.all().map(({ topic }) => this.#meetOn(topic, signal))
    await Promise.all([...joining, ...this.#offerOwnReleases(signal)])
  }

  // --- Communities

  /** Founds a community, which this node follows from then on. Its link is how others follow it. */
  createCommunity(founding: NewCommunity): CommunityView {
    const { author, clock, random } = this.#options
    const others = (founding.members ?? []).filter(({ identity }) => !bytesEqual(identity, author.identity))
    const genesis = createGenesis(
      {
        format: 1,
        name: founding.name,
        rules: founding.rules ?? defaultRules,
        members: [
          { identity: author.identity, role: 'admin' },
          ...others.map(({ identity, role }) => ({ identity, role: role ?? ('user' as const) })),
        ],
        createdAt: clock.now(),
        nonce: random(16),
      },
      author,
    )
    const community = this.#learnGenesis(genesis)
    // Whoever founds a community is there to settle its proposals; other admins say so themselves.
    this.governance.allowSettling(community.id, true)
    void this.#meetOn(community.topic)
    return this.#view(community)
  }

  /** Follows it no more: its records are not asked for or passed on from here. What was said stays said. */
  async unfollowCommunity(communityId: Uint8Array): Promise<void> {
    const community = this.#communities.byScope(toHex(communityId))
    if (community === undefined) return
    this.governance.forget(community.scope)
    this.#communities.unfollow(community)
    this.#catalogue.refreshAll()
    await this.#exchange?.leave(community.topic)
    this.#emit({ kind: 'community', id: community.id })
  }

  /**
   * Follows the community of an invitation and asks to be let in. Until its genesis and the certificate that admits this node arrive it
   * is a follower. Throws `malformed` for what is no invitation.
   */
  joinCommunity(code: string): CommunityView {
    const { community } = openInvitationCode(code)
    const view = this.followCommunity(communityLink(community))
    this.#told(this.governance.join(code).said)
    return view
  }

  /** Follows the community a link names. Needs nobody online: until its genesis arrives the view says so. */
  followCommunity(link: string): CommunityView {
    const community = this.#communities.follow(communityIdOfLink(link))
    this.#catalogue.refreshAll()
    this.#emit({ kind: 'community', id: community.id })
    void this.#meetOn(community.topic)
    return this.#view(community)
  }

  communities(): CommunityView[] {
    return this.#communities.all().map((community) => this.#view(community))
  }

  /** What the community's records add up to. Throws `not-found` while it isn't followed or its genesis hasn't arrived. */
  state(communityId: Uint8Array): CommunityState {
    const community = this.#communities.byScope(toHex(communityId))
    if (!isKnown(community)) {
      throw new MeshError(
        'not-found',
        'This community is not known yet: follow it, and wait for a peer that has its genesis.',
      )
    }
    return this.#logs.state(community)
  }

  resolveBareName(communityId: Uint8Array, name: string, baseId: Uint8Array): FoldedRelease | undefined {
    return resolveBareName(this.state(communityId), name, baseId)
  }

  // --- Releases

  /**
   * Announces a release in the own public log, or in that of one community. Announcing the same release again changes nothing. Throws
   * `version-taken` when the name, version and base already name another release, `bad-input` for somebody else's manifest.
   */
  publishRelease(release: SignedManifest, infohash: Uint8Array, scope: Scope = 'public'): AppendResult {
    return this.#told(this.#statements.release(release, infohash, scope))
  }

  /** Tells everybody not to pick a release in new plans. Only its publisher's word counts. */
  withdrawRelease(releaseId: Uint8Array, reason: string): AppendResult {
    return this.#told(this.#statements.withdrawal(releaseId, reason))
  }

  /** Offers bytes that lead from one own release to another, where the newer one was announced. Throws `not-found`. */
  publishPatch(patch: PatchEffect): AppendResult {
    return this.#told(this.#statements.patch(patch))
  }

  /** What the publisher of a release offers towards it. */
  patchesTo(releaseId: Uint8Array): readonly PatchEffect[] {
    const entry = this.#catalogue.find(releaseId)
    if (entry === undefined) return []
    const scopes = ['public', ...entry.communities.map(toHex)]
    const found = scopes.flatMap((scope) => this.#logs.part(entry.publisher, scope).patches)
    return found.filter(({ to }) => bytesEqual(to, releaseId))
  }

  catalogue(options?: CatalogueOptions): CatalogueEntry[] {
    return this.#catalogue.entries(options)
  }

  release(releaseId: Uint8Array): CatalogueEntry | undefined {
    return this.#catalogue.find(releaseId)
  }

  /**
   * Keeps a release that was found by name and not through its publisher's log; it counts as an outsider's unless its publisher is a
   * member. Throws `version-taken` when that name, version and base belongs to another release.
   */
  noteRelease(release: SignedManifest, infohash: Uint8Array, source: string): CatalogueEntry {
    const { publisher } = release.manifest
    this.#catalogue.requireName(release)
    this.#noted.note(release, infohash, source, this.#options.clock.now())
    this.#catalogue.refreshAuthor(publisher)
    return this.#catalogue.find(release.releaseId)!
  }

  /** Also collects what publishers outside the followed communities offer for a capability on a base, within a quota. */
  seekCapability(name: string, baseId: Uint8Array): void {
    const interest = capabilityInterest(name, baseId, true)
    this.#policy.addInterest(interest)
    this.#policy.liftLimits()
    void this.#meetOn(interest.topic)
    this.#exchange?.reconsider(interest.topic)
  }

  pointer(key: PointerKey): SeenPointer | undefined {
    return this.#pointers.get(key)
  }

  /** Throws `stale` when a newer pointer was seen before: nobody takes this node back in time. */
  rememberPointer(key: PointerKey, item: SeenPointer): void {
    this.#pointers.set(key, item)
  }

  /** Length of the own public log: the sequence number of pointers to its releases. */
  publicLogLength(): number {
    return this.#store.summary(this.#own.key('public'))?.length ?? 0
  }

  // --- Lockfiles

  /** Hands a lockfile to whoever has its link, as long as this node is met. `bytes`: the canonical ones that `digest` was taken of. */
  shareLockfile(digest: Uint8Array, bytes: Uint8Array): void {
    this.#lockfiles.offer(digest, bytes)
  }

  /** Hands it to nobody any more. Sharing what was not shared no more is fine. */
  unshareLockfile(digest: Uint8Array): void {
    this.#lockfiles.withdraw(digest)
  }

  /** Looks for those who share a lockfile until it is disposed of. Throws `not-reachable` where nothing is exchanged. */
  meetHolders(digest: Uint8Array): LockfileMeeting {
    if (this.#exchange !== undefined) return this.#lockfiles.meetHolders(digest)
    throw new MeshError('not-reachable', 'A link leads to other nodes, and exchange with them is switched off here.')
  }

  // --- Jobs

  jobs(): WantedJob[] {
    return wantedJobs(this.#logs, this.#communities, this.#options.author.identity)
  }

  /** Exactly what `postJob` would show to others. Nothing leaves the node. Throws `bad-input`. */
  previewJob(draft: JobDraft): JobPreview {
    return this.#statements.previewJob(draft)
  }

  /**
   * Posts a previewed job in a followed community. Posting the same preview again changes nothing. Throws `not-found` or, when members
   * keep no more of this follower, `quota-exceeded`.
   */
  postJob(communityId: Uint8Array, preview: JobPreview): AppendResult {
    return this.#told(this.#statements.job(communityId, preview))
  }

  // --- Signing

  pending(): PendingAction[] {
    return this.#own.pending()
  }

  /** Takes back an action that was not signed yet. Returns whether there was one. */
  discardPending(id: number): boolean {
    const found = this.#own.discard(id)
    if (found) this.#emit({ kind: 'pending' })
    return found
  }

  // --- Peers

  peers(): PeerView[] {
    return this.#exchange?.peers() ?? []
  }

  /** Which connected peers serve these torrents; goes on as peers come, and ends when the signal aborts. */
  async *askSeeds(infohashes: readonly Uint8Array[], signal: AbortSignal): AsyncIterable<SeedAnswer> {
    if (this.#exchange !== undefined) yield* this.#exchange.askSeeds(infohashes, signal)
  }

  onEvent(listener: (event: RegistryEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Waits until something holds, looking again after every event. Rejects with `aborted`. */
  async until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => (holds() ? resolve() : undefined)
    const abort = (): void => reject(new MeshError('aborted', 'Stopped waiting.'))
    const stop = this.onEvent(look)
    signal?.addEventListener('abort', abort)
    try {
      if (signal?.aborted === true) abort()
      look()
      await promise
    } finally {
      stop()
      signal?.removeEventListener('abort', abort)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#closing.abort()
    this.governance[Symbol.dispose]()
    await this.#exchange?.[Symbol.asyncDispose]()
    await this.#verifier[Symbol.asyncDispose]()
    await this.#checkingDisk
    this.#database[Symbol.dispose]()
  }

  #openExchange(network: ExchangeNetwork): Exchange {
    return new Exchange({
      network,
      store: this.#store,
      communities: this.#communities,
      policy: this.#policy,
      lockfiles: this.#lockfiles,
      clock: this.#options.clock,
      verifier: this.#verifier,
      agent: this.#options.agent ?? 'lora-mesh',
      servesTorrent: this.#options.servesTorrent ?? (() => false),
      isOwn: (key) => this.#own.isOwn(key),
      onStored: (key, outcomes) => this.#stored(key, outcomes),
      onInSync: (key) => this.#inSync(key),
      onDecided: (community) => this.#decided(community),
      onGenesis: (genesis) => this.#exchange?.reconsider(this.#learnGenesis(genesis).topic),
      onPeersChanged: () => this.#emit({ kind: 'peers' }),
      onBroken: (peer, error) => this.#emit({ kind: 'peer-broke-rules', peer, error }),
      onFailure: (error) => this.#emit({ kind: 'failed', error }),
    })
  }

  /** One thread is enough: nobody waits for it. */
  async #checkDisk(): Promise<void> {
    await using verifier = verifyInWorkers(1)
    try {
      await checkStoredSignatures(this.#store, verifier, this.#closing.signal)
    } catch (error) {
      this.#emitFailure(error)
    }
  }

  #told(result: AppendResult): AppendResult {
    if (result.kind === 'pending') this.#emit({ kind: 'pending' })
    return result
  }

  #view(community: Community): CommunityView {
    const { id } = community
    const link = communityLink(id)
    if (!isKnown(community)) {
      const message =
        'Waiting for a peer that has this community: its name and members are not known yet. It will appear as soon as one is online.'
      return { id, link, state: 'waiting-for-genesis', message }
    }
    const { name, members, stateHash } = this.#logs.state(community)
    const role = members.find(({ identity }) => bytesEqual(identity, this.#options.author.identity))?.role
    return { id, link, state: 'following', name, members, role, stateHash }
  }

  /** Joins in the background, again and again: what the user does must not wait for a network that may be down. */
  async #meetOn(
    topic: Uint8Array,
    signal?: AbortSignal,
    retryMs = firstRetryMs,
    wanted: () => boolean = () => true,
  ): Promise<void> {
    try {
      await this.#exchange?.join(topic, signal)
    } catch (error) {
      if (this.#closed || isMeshError(error, 'aborted') || !wanted()) return
      this.#emit({ kind: 'failed', error })
      this.#options.clock.schedule(retryMs, () => {
        if (!this.#closed && wanted()) void this.#meetOn(topic, undefined, Math.min(retryMs * 2, lastRetryMs), wanted)
      })
    }
  }

  /** Own public releases are to be found under their capabilities, the newest first while there are topics left. */
  #offerOwnReleases(signal?: AbortSignal): Promise<void>[] {
    const joining: Promise<void>[] = []
    const logs = this.#logs.logsOf(this.#options.author.identity).filter(({ key }) => key.scope === 'public')
    for (const { effect } of logs.flatMap(({ entries }) => entries).toReversed()) {
      if (effect.kind !== 'release') continue
      const { capabilities, base } = effect.release.manifest
      for (const { name } of capabilities) {
        if (this.#exchange === undefined || this.#exchange.topicsLeft <= topicsKeptFree) return joining
        const interest = capabilityInterest(name, base.id, false)
        this.#policy.addInterest(interest)
        joining.push(this.#meetOn(interest.topic, signal))
      }
    }
    return joining
  }

  #ownAppended(records: readonly VerifiedRecord[]): void {
    const [first] = records
    if (first === undefined) return
    this.#stored(
      logKeyOf(first.fields),
      records.map((record) => ({ kind: 'appended', record })),
    )
    if (records.some(({ fields }) => fields.type === 'release/1')) void Promise.all(this.#offerOwnReleases())
  }

  #stored(key: LogKey, outcomes: readonly OfferOutcome[]): void {
    let count = 0
    const statements: Said[] = []
    for (const outcome of outcomes) {
      if (outcome.kind === 'appended') {
        count++
        const said = this.#logs.appended(outcome.record)
        if (said !== undefined) statements.push(said)
      } else if (outcome.kind === 'fork') this.#forked(key, outcome.index)
    }
    const forked = outcomes.some(({ kind }) => kind === 'fork')
    if (count === 0 && !forked) return
    this.#catalogue.refreshAuthor(key.author)
    this.#exchange?.announce(key)
    if (key.scope !== 'public') {
      if (forked) this.governance.hearAnew(key.scope)
      else this.governance.hearMore(key.scope, statements)
    }
    this.#emit({ kind: 'records', key, count })
  }

  /** A certificate came or was made here: who is a member may have changed, and with it whose records are kept. */
  #decided(community: KnownCommunity): void {
    const { head, membership } = community.chain.state
    this.#catalogue.refreshAll()
    this.#exchange?.announceChain(community.topic)
    if (bytesEqual(head, membership)) {
      this.#policy.liftLimits()
      this.#exchange?.reconsider(community.topic)
    }
    this.governance.lookAt(community.scope)
    this.#emit({ kind: 'decided', community: community.id })
  }

  #forked(key: LogKey, index: number): void {
    this.#logs.forked(key, index)
    const own = this.#own.isOwn(key)
    if (own) this.#own.reportFork(key.scope)
    this.#emit({ kind: 'fork', key, index, own })
  }

  #inSync(key: LogKey): void {
    if (!this.#own.isOwn(key) || this.#own.standing(key.scope) !== 'unconfirmed') return
    try {
      this.#own.confirm(key.scope)
    } catch (error) {
      // What could not be signed for want of space waits on.
      if (!isMeshError(error)) throw error
      this.#emit({ kind: 'failed', error })
    }
    // A delegate that could not sign before can now.
    if (key.scope !== 'public') this.governance.lookAt(key.scope)
    this.#emit({ kind: 'pending' })
  }

  #stillStands(action: Action): 'yes' | 'done-already' | 'conflict' {
    const history = { self: this.#options.author.identity, logs: this.#logs, store: this.#store, pending: [] }
    return actionStands(history, this.#own.key(action.scope), action)
  }

  #learnGenesis(genesis: OpenedGenesis): Community {
    const community = this.#communities.learnGenesis(genesis)
    this.#policy.liftLimits()
    this.#catalogue.refreshAll()
    this.governance.lookAt(community.scope)
    this.#emit({ kind: 'community', id: community.id })
    return community
  }

  #emitFailure(error: unknown): void {
    if (!this.#closed && !isMeshError(error, 'aborted')) this.#emit({ kind: 'failed', error })
  }

  #emit(event: RegistryEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}

/** Opens the registry; `start` then meets peers. Throws `storage-failed` when the file can't be used. */
export function openRegistry(options: RegistryOptions): Registry {
  const database = new Database(options)
  try {
    return new Registry(options, database)
  } catch (error) {
    database[Symbol.dispose]()
    throw error
  }
}
