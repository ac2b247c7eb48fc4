// The government of the communities this node follows: what it shows of it, what it says in it, and the settling it does for a delegate who
// allowed it.
import {
  bodyOf,
  bytesEqual,
  compareBytes,
  encodeBody,
  invitationCode,
  invitationKey,
  invitationSeedBytes,
  isMeshError,
  MeshError,
  openEnclosed,
  openInvitationCode,
  sha256,
  signJoin,
  toHex,
} from '../../protocol/index.ts'
import type { CommunityRole, OpenedCertificate, ProposedAction, RecordBody, RecordType } from '../../protocol/index.ts'
import { isKnown } from '../communities.ts'
import type { Communities, KnownCommunity } from '../communities.ts'
import type { Database } from '../database.ts'
import type { Said } from '../fold-community.ts'
import type { KnownLogs } from '../known-logs.ts'
import type { LogStore } from '../log-store.ts'
import { waiting } from '../own-logs.ts'
import type { AppendResult, OwnLogs } from '../own-logs.ts'
import type { Clock, RandomBytes } from '../ports.ts'
import { bodySaid } from '../said-before.ts'
import { mayGrant, votersInForce, whyNoLeave, whyNotOpen } from './apply-decision.ts'
import { delegatesOf, inForceOn, memberOf, subjectOf } from './chain-state.ts'
import type { ChainState } from './chain-state.ts'
import { idsHeld } from './compose-decision.ts'
import { asOpenProposal, countHeard, openProposals, receiptsOn, settleFrom, settlesFrom } from './due.ts'
import type { Counted } from './due.ts'
import type { Choice } from './count-ballots.ts'
import { Enclosing } from './enclosing.ts'
import { hear, sortHeard } from './heard.ts'
import type { GrowingHeard, Heard, SaidOf } from './heard.ts'
import { HeldProposals } from './held-proposals.ts'
import { mayInvite } from './inviter-cap.ts'
import { Settlement } from './settlement.ts'
import { talliedBallots, viewChannels, viewMembers, viewProposal, viewReceipt } from './views.ts'
import type { ChannelView, MemberView, ProposalView, ReceiptView, TalliedBallot, TallyView } from './views.ts'

export interface GovernanceParts {
  readonly identity: Uint8Array
  readonly clock: Clock
  readonly random: RandomBytes
  readonly database: Database
  readonly store: LogStore
  readonly logs: KnownLogs
  readonly communities: Communities
  readonly own: OwnLogs
  /** How long a delegate waits for the others in the first round. */
  readonly paceMs: number
  /** A certificate was stored: members, channels or rules may be others now. */
  readonly onDecided: (community: KnownCommunity) => void
  readonly onMisbehaved: (community: Uint8Array, delegate: string) => void
  /** Something could not be signed or stored; it is tried again. */
  readonly onFailure: (error: unknown) => void
}

const longestSleepMs = 3_600_000

export class Governance implements Disposable {
  readonly #parts: GovernanceParts
  readonly #held: HeldProposals
  readonly #heard = new Map<string, GrowingHeard>()
  readonly #settlements = new Map<string, Settlement>()
  readonly #enclosings = new Map<string, Enclosing>()
  readonly #wakes = new Map<string, () => void>()
  readonly #due = new Set<string>()
  /** Proposals, in hex, of which is written down what was in time. */
  readonly #noted = new Set<string>()
  #closed = false

  constructor(parts: GovernanceParts) {
    this.#parts = parts
    this.#held = new HeldProposals(parts.database)
  }

  // --- What is

  members(communityId: Uint8Array): MemberView[] {
    return viewMembers(this.#known(communityId).chain.state, this.#parts.identity)
  }

  chain(communityId: Uint8Array): ChainState {
    return this.#known(communityId).chain.state
  }

  certificates(communityId: Uint8Array): readonly OpenedCertificate[] {
    return this.#known(communityId).chain.certificates()
  }

  channels(communityId: Uint8Array): ChannelView[] {
    return viewChannels(this.#known(communityId).chain.state)
  }

  /** Newest first. */
  proposals(communityId: Uint8Array): ProposalView[] {
    const community = this.#known(communityId)
    const heard = this.heard(community)
    return [...heard.proposals.values()]
      .map((said) => viewProposal(community.chain.state, heard, said, toHex(this.#parts.identity)))
      .toSorted((a, b) => b.time - a.time || compareBytes(a.id, b.id))
  }

  /** Throws `not-found`. */
  tally(communityId: Uint8Array, proposalId: Uint8Array): TallyView {
    const community = this.#known(communityId)
    const { state } = community.chain
    const heard = this.heard(community)
    const said = this.#proposal(heard, proposalId)
    const view = viewProposal(state, heard, said, toHex(this.#parts.identity))
    const counted = countHeard(state, heard, asOpenProposal(said))
    const comments = heard.comments.get(toHex(proposalId)) ?? []
    const receipts = receiptsOn(state, heard, asOpenProposal(said))
    const certified = this.#certified(community, view)
    return {
      ...view,
      ...(certified === undefined ? {} : { count: certified.count }),
      ballots: certified?.ballots ?? talliedBallots(counted),
      leftOut: certified === undefined ? [] : this.#leftOut(counted, said, certified.ballots),
      signers: certified?.signers ?? [],
      receipts: receipts.map((receipt) => viewReceipt(state, receipt)),
      comments: comments.map(({ author, time, statement }) => ({ author, time, text: statement.body.text })),
    }
  }

  /** What members and others measured of a release, the newest of each author per suite and comparison. */
  evaluations(communityId: Uint8Array, release: Uint8Array): ReceiptView[] {
    const community = this.#known(communityId)
    const last = new Map<string, SaidOf<'evaluation/1'>>()
    for (const said of this.heard(community).evaluations.get(toHex(release)) ?? []) {
      const { suite, against } = said.statement.body
      const key = [said.author, suite, against ?? new Uint8Array()].map(toHex).join(' ')
      const before = last.get(key)
      if (before === undefined || before.index < said.index) last.set(key, said)
    }
    return [...last.values()].map((said) => viewReceipt(community.chain.state, said))
  }

  /** The questions of a suite (JSON lines), if a record here holds them. */
  suite(communityId: Uint8Array, suite: Uint8Array): Uint8Array | undefined {
    const community = this.#known(communityId)
    const said = this.heard(community).suites.get(toHex(suite))
    return said && bodyOf(this.#enclosing(community).record(said), 'suite/1').suite
  }

  /** What was said on the government of a community, by what it is about. */
  heard(community: KnownCommunity): Heard {
    const known = this.#heard.get(community.scope)
    if (known !== undefined) return known
    const heard = sortHeard(this.#parts.logs.statements(community.scope))
    this.#heard.set(community.scope, heard)
    return heard
  }

  // --- What this node says

  /** A code that lets one person in, once. Throws `bad-input` where this node can't invite. */
  invite(
    communityId: Uint8Array,
    role: CommunityRole = 'user',
  ): { readonly code: string; readonly said: AppendResult } {
    const community = this.#known(communityId)
    const { state } = community.chain
    const self = this.#ownMember(state)
    if (!mayGrant(self.role, role)) {
      const how = role === 'admin' ? 'Admins are made by a vote: `lora-mesh propose admit`.' : 'Ask an admin.'
      throw new MeshError('bad-input', `A ${self.role} can't invite a ${role}. ${how}`)
    }
    if (!mayInvite(state, toHex(this.#parts.identity))) {
      throw new MeshError(
        'bad-input',
        `You, or whoever invited you, have brought in ${state.rules.inviterCap} members, as many as this community allows. Somebody else can invite, or a vote admit: \`lora-mesh propose admit\`.`,
      )
    }
    const seed = this.#parts.random(invitationSeedBytes)
    const said = this.#say(community.scope, 'invite/1', { key: invitationKey(seed), role })
    return { code: invitationCode(community.id, seed), said }
  }

  /**
   * Uses an invitation of a followed community; it takes effect by a certificate. Using it again says nothing new. Throws `malformed` for
   * what is no code.
   */
  join(code: string): { readonly community: Uint8Array; readonly said: AppendResult } {
    const { community, seed } = openInvitationCode(code)
    const join = signJoin(community, this.#parts.identity, seed)
    return { community, said: this.#sayOnce(toHex(community), 'join/1', join) }
  }

  /** Says that this node is no member any more; it takes effect by a certificate. Throws `bad-input`. */
  leave(communityId: Uint8Array): AppendResult {
    const community = this.#known(communityId)
    const { state } = community.chain
    const { since } = this.#ownMember(state)
    const why = whyNoLeave(state, this.#parts.identity, since)
    if (why !== undefined) throw new MeshError('bad-input', why)
    return this.#sayOnce(community.scope, 'leave/1', { since })
  }

  /** Throws `bad-input` with the reason where it could not be decided on. Proposing what one proposed, and what is open, says nothing new. */
  propose(communityId: Uint8Array, action: ProposedAction): AppendResult {
    const community = this.#known(communityId)
    const { state } = community.chain
    this.#ownMember(state)
    const body = { action, membership: state.membership, replaces: inForceOn(state, subjectOf(action)) }
    const why = whyNotOpen(state, {
      ...body,
      id: new Uint8Array(32),
      author: this.#parts.identity,
      time: this.#parts.clock.now(),
    })
    if (why !== undefined) throw new MeshError('bad-input', `This can't be proposed: ${why}`, { action: action.kind })
    const same = this.#openWith(community, this.#encoded('proposal/1', body))
    if (same !== undefined) return { kind: 'appended', record: this.#enclosing(community).record(same) }
    return this.#say(community.scope, 'proposal/1', body)
  }

  /** The last ballot counts. Throws `not-found`, or `bad-input` with the reason where this node can't vote on it. */
  vote(communityId: Uint8Array, proposalId: Uint8Array, choice: Choice, reason?: string): AppendResult {
    const community = this.#known(communityId)
    const { state } = community.chain
    const heard = this.heard(community)
    const said = this.#proposal(heard, proposalId)
    const why = whyNotOpen(state, asOpenProposal(said))
    if (why !== undefined) throw new MeshError('bad-input', `Nobody votes on this any more. ${why}`)
    if (!votersInForce(state, said.statement.body.membership).has(toHex(this.#parts.identity))) {
      throw new MeshError('bad-input', 'You were no member when this was proposed: only those who were then may vote.')
    }
    if (reason !== undefined) this.comment(communityId, proposalId, reason)
    const before = (heard.ballots.get(toHex(proposalId)) ?? []).findLast(({ author }) =>
      bytesEqual(author, this.#parts.identity),
    )
    if (before?.statement.body.choice === choice) {
      return { kind: 'appended', record: this.#enclosing(community).record(before) }
    }
    return this.#say(community.scope, 'ballot/1', { proposal: proposalId, choice })
  }

  comment(communityId: Uint8Array, proposalId: Uint8Array, text: string): AppendResult {
    const community = this.#known(communityId)
    this.#proposal(this.heard(community), proposalId)
    return this.#sayOnce(community.scope, 'comment/1', { proposal: proposalId, text })
  }

  /** Hands the questions of a suite to the community. Returns the suite's name: their SHA-256. */
  shareSuite(communityId: Uint8Array, suite: Uint8Array): { readonly suite: Uint8Array; readonly said: AppendResult } {
    const community = this.#known(communityId)
    this.#ownMember(community.chain.state)
    const name = sha256(suite)
    const known = this.heard(community).suites.get(toHex(name))
    if (known !== undefined) {
      return { suite: name, said: { kind: 'appended', record: this.#enclosing(community).record(known) } }
    }
    return { suite: name, said: this.#say(community.scope, 'suite/1', { suite }) }
  }

  /** Tells what this node measured itself. */
  reportEvaluation(communityId: Uint8Array, evaluation: RecordBody<'evaluation/1'>): AppendResult {
    const community = this.#known(communityId)
    this.#ownMember(community.chain.state)
    return this.#sayOnce(community.scope, 'evaluation/1', evaluation)
  }

  // --- Settling

  /** Whether this node settles proposals by itself while it is a delegate. */
  settles(communityId: Uint8Array): boolean {
    return this.#parts.database.get('SELECT 1 FROM settled_here WHERE community = ?', communityId) !== undefined
  }

  allowSettling(communityId: Uint8Array, allowed: boolean): void {
    const sql = allowed
      ? 'INSERT OR IGNORE INTO settled_here VALUES (?)'
      : 'DELETE FROM settled_here WHERE community = ?'
    this.#parts.database.run(sql, communityId)
    this.lookAt(toHex(communityId))
  }

  /** Takes up what is due in all communities, after a start. */
  start(): void {
    for (const { scope } of this.#parts.communities.all()) this.lookAt(scope)
  }

  /** Records of a scope came that say this. */
  hearMore(scope: string, statements: readonly Said[]): void {
    const heard = this.#heard.get(scope)
    if (heard !== undefined) for (const said of statements) hear(heard, said)
    this.lookAt(scope)
  }

  /** A log of a scope was forked: what it said from there on is void. */
  hearAnew(scope: string): void {
    this.#heard.delete(scope)
    this.lookAt(scope)
  }

  /** Something may have become due. Looks once, however often it is told. */
  lookAt(scope: string): void {
    if (this.#due.has(scope) || this.#closed) return
    this.#due.add(scope)
    queueMicrotask(() => {
      this.#due.delete(scope)
      if (!this.#closed) this.#settle(scope)
    })
  }

  /** The community is followed no more. */
  forget(scope: string): void {
    this.#wakes.get(scope)?.()
    this.#settlements.get(scope)?.[Symbol.dispose]()
    for (const known of [this.#wakes, this.#settlements, this.#enclosings, this.#heard]) known.delete(scope)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const cancel of this.#wakes.values()) cancel()
    for (const settlement of this.#settlements.values()) settlement[Symbol.dispose]()
  }

  #settle(scope: string): void {
    const community = this.#parts.communities.byScope(scope)
    if (!isKnown(community)) return
    try {
      this.#noteInTime(community)
      this.#settlementOf(community).consider()
    } catch (error) {
      if (!isMeshError(error)) throw error
      this.#parts.onFailure(error)
    }
    this.#wakeFor(community)
  }

  /** What was here when a deadline passed, or when a certificate came before: so that what it left out can be shown. */
  #noteInTime(community: KnownCommunity): void {
    const { state } = community.chain
    const heard = this.heard(community)
    const nowMs = this.#parts.clock.now()
    for (const said of heard.proposals.values()) {
      if (this.#noted.has(toHex(said.id))) continue
      const from = settleFrom(state, asOpenProposal(said), this.#held.since(said.id, nowMs))
      if (nowMs < from && !state.settled.has(toHex(said.id))) continue
      this.#held.inTime(said.id, () => idsHeld(state, heard, said))
      this.#noted.add(toHex(said.id))
    }
  }

  #settlementOf(community: KnownCommunity): Settlement {
    const known = this.#settlements.get(community.scope)
    if (known !== undefined) return known
    const { clock, paceMs, own, identity } = this.#parts
    const settlement = new Settlement({
      clock,
      paceMs,
      self: toHex(identity),
      now: () => ({
        state: community.chain.state,
        heard: this.heard(community),
        held: this.#held,
        enclosing: this.#enclosing(community),
        nowMs: clock.now(),
      }),
      allowed: () => this.settles(community.id) && own.standing(community.scope) === 'free',
      sign: ({ type, body }) => {
        const said = own.append({ scope: community.scope, type, body: encodeBody(type, body as never) })
        if (said.kind === 'pending') throw new MeshError('storage-failed', said.message)
      },
      onCertificate: (certificate) => {
        const outcome = community.chain.offerOpened(certificate)
        if (outcome.kind === 'appended' || outcome.kind === 'outranked') this.#parts.onDecided(community)
      },
      onMisbehaved: (delegate) => this.#parts.onMisbehaved(community.id, delegate),
    })
    this.#settlements.set(community.scope, settlement)
    return settlement
  }

  /** Looks again when the next proposal's time is up. */
  #wakeFor(community: KnownCommunity): void {
    this.#wakes.get(community.scope)?.()
    const { clock } = this.#parts
    const { state } = community.chain
    const nowMs = clock.now()
    const times = openProposals(state, this.heard(community)).flatMap((said) => {
      const since = this.#held.since(said.id, nowMs)
      const proposal = asOpenProposal(said)
      return (['admins', 'members'] as const).flatMap(
        (electorate) => settlesFrom(state, proposal, since, electorate) ?? [],
      )
    })
    const nextAt = Math.min(...times.filter((time) => time > nowMs))
    if (nextAt === Number.POSITIVE_INFINITY) return
    const cancel = clock.schedule(Math.min(nextAt - nowMs + 1, longestSleepMs), () => this.lookAt(community.scope))
    this.#wakes.set(community.scope, cancel)
  }

  /** Ballots that were here in time, by this node's clock, and are not in the certificate. */
  #leftOut(counted: Counted, { id }: SaidOf<'proposal/1'>, certified: readonly TalliedBallot[]): TalliedBallot[] {
    const inTime = this.#held.knownInTime(id)
    const ballots = counted.ballots.filter((ballot) => inTime?.has(toHex(ballot.id)) === true)
    return talliedBallots({ ballots }).filter(({ voter }) => !certified.some((other) => bytesEqual(other.voter, voter)))
  }

  /** How a settled proposal was counted, as its certificate says. */
  #certified(community: KnownCommunity, { id, standing }: ProposalView) {
    if (standing.kind !== 'settled') return undefined
    const certificate = community.chain.certificates().find((other) => bytesEqual(other.id, standing.certificate))
    const settled = certificate?.decision.settled
    if (certificate === undefined || settled?.kind !== 'proposal') throw new Error(`no certificate for ${toHex(id)}`)
    const count = { yes: 0, no: 0, abstain: 0 }
    const ballots = settled.ballots.map((one) => {
      const record = openEnclosed(one, community.id)
      const { choice } = bodyOf(record, 'ballot/1')
      count[choice]++
      return { voter: record.fields.author, choice, time: record.fields.time }
    })
    return { count, ballots, signers: certificate.precommits.map(({ fields }) => fields.author) }
  }

  #say<T extends RecordType>(scope: string, type: T, body: RecordBody<T>): AppendResult {
    return this.#parts.own.append({ scope, type, body: this.#encoded(type, body) })
  }

  /** Says it unless the very same was said before, or waits to be. */
  #sayOnce<T extends RecordType>(scope: string, type: T, body: RecordBody<T>): AppendResult {
    const { identity, logs, store, own } = this.#parts
    const encoded = this.#encoded(type, body)
    const before = bodySaid({ self: identity, logs, store, pending: own.pending() }, own.key(scope), encoded)
    if (before.kind === 'said') return { kind: 'appended', record: before.record }
    if (before.kind === 'waits') return waiting(before.pending)
    return own.append({ scope, type, body: encoded })
  }

  #encoded<T extends RecordType>(type: T, body: RecordBody<T>): Uint8Array {
    try {
      return encodeBody(type, body)
    } catch (cause) {
      if (!isMeshError(cause)) throw cause
      throw new MeshError('bad-input', cause.message, cause.details, { cause })
    }
  }

  /** An own proposal that says the same and is open. A rejected one may be made again. */
  #openWith(community: KnownCommunity, body: Uint8Array): SaidOf<'proposal/1'> | undefined {
    return openProposals(community.chain.state, this.heard(community)).find(
      ({ author, statement }) =>
        bytesEqual(author, this.#parts.identity) && bytesEqual(this.#encoded('proposal/1', statement.body), body),
    )
  }

  #proposal(heard: Heard, id: Uint8Array): SaidOf<'proposal/1'> {
    const said = heard.proposals.get(toHex(id))
    if (said !== undefined) return said
    throw new MeshError('not-found', 'There is no such proposal here. `lora-mesh proposals` lists them.', {
      proposal: toHex(id),
    })
  }

  #ownMember(state: ChainState) {
    const member = memberOf(state, this.#parts.identity)
    if (member !== undefined) return member
    throw new MeshError('bad-input', 'Only members can do this: ask one of them for an invitation.', {
      admins: delegatesOf(state, 'admins').length,
    })
  }

  #known(communityId: Uint8Array): KnownCommunity {
    const community = this.#parts.communities.byScope(toHex(communityId))
    if (isKnown(community)) return community
    throw new MeshError(
      'not-found',
      'This community is not known yet: follow it, and wait for a peer that has its genesis.',
    )
  }

  #enclosing({ scope }: KnownCommunity): Enclosing {
    let enclosing = this.#enclosings.get(scope)
    if (enclosing === undefined) this.#enclosings.set(scope, (enclosing = new Enclosing(this.#parts.store, scope)))
    return enclosing
  }
}
