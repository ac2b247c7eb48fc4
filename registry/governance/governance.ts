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
import { asOpenProposal, countHeard, openProposals } from './due.ts'
import type { Choice } from './count-ballots.ts'
import { Enclosing } from './enclosing.ts'
import { hear, sortHeard } from './heard.ts'
import type { GrowingHeard, Heard, SaidOf } from './heard.ts'
import { HeldProposals } from './held-proposals.ts'
import { mayInvite } from './inviter-cap.ts'
import { KeepSettling } from './keep-settling.ts'
import { SettledProposals } from './settled-proposals.ts'
import type { SettledProposal } from './settled-proposals.ts'
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

export class Governance implements Disposable {
  readonly #parts: GovernanceParts
  readonly #held: HeldProposals
  readonly #heard = new Map<string, GrowingHeard>()
  readonly #enclosings = new Map<string, Enclosing>()
  readonly #settling: KeepSettling
  readonly #settled = new SettledProposals()

  constructor(parts: GovernanceParts) {
    this.#parts = parts
    this.#held = new HeldProposals(parts.database)
    this.#settling = new KeepSettling({
      ...parts,
      held: this.#held,
      heard: (community) => this.heard(community),
      enclosing: (community) => this.#enclosing(community),
      allowed: ({ id, scope }) => this.settles(id) && parts.own.standing(scope) === 'free',
    })
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
    const { state } = community.chain
    const settled = this.#settled.all(community)
    const open = [...this.heard(community).proposals.values()].filter(({ id }) => !state.settled.has(toHex(id)))
    return [
      ...settled.map((one) => this.#viewSettled(one)),
      ...open.map((said) => this.#viewOpen(community, said)),
    ].toSorted((a, b) => b.time - a.time || compareBytes(a.id, b.id))
  }

  /** Throws `not-found`. */
  tally(communityId: Uint8Array, proposalId: Uint8Array): TallyView {
    const community = this.#known(communityId)
    const heard = this.heard(community)
    const comments = (heard.comments.get(toHex(proposalId)) ?? []).map(({ author, time, statement }) => ({
      author,
      time,
      text: statement.body.text,
    }))
    const settled = this.#settled.get(community, proposalId)
    if (settled !== undefined) {
      const { counted, certificate } = settled
      return {
        ...this.#viewSettled(settled),
        comments,
        ballots: talliedBallots(counted),
        receipts: counted.receipts.map((receipt) => viewReceipt(settled.before, receipt)),
        leftOut: this.#leftOut(community, settled),
        signers: certificate.precommits.map(({ fields }) => fields.author),
      }
    }
    const said = this.#proposal(heard, proposalId)
    const { state } = community.chain
    const counted = countHeard(state, heard, asOpenProposal(said))
    return {
      ...this.#viewOpen(community, said),
      comments,
      ballots: talliedBallots(counted),
      receipts: counted.receipts.map((receipt) => viewReceipt(state, receipt)),
      leftOut: [],
      signers: [],
    }
  }

  #viewOpen(community: KnownCommunity, said: SaidOf<'proposal/1'>): ProposalView {
    const { state } = community.chain
    const heard = this.heard(community)
    const proposal = asOpenProposal(said)
    const why = whyNotOpen(state, proposal)
    const standing = why === undefined ? { kind: 'open' as const } : { kind: 'void' as const, why }
    return viewProposal(state, said, countHeard(state, heard, proposal), standing, toHex(this.#parts.identity))
  }

  /** As it was counted, by the rules and members of that time. */
  #viewSettled({ said, before, counted, certificate }: SettledProposal): ProposalView {
    const standing = { kind: 'settled' as const, outcome: counted.outcome, certificate: certificate.id }
    return viewProposal(before, said, counted, standing, toHex(this.#parts.identity))
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

  /** Whether a member invited somebody by this public key, and nobody has used it. */
  isOpenInvitation(scope: string, key: Uint8Array): boolean {
    const community = this.#parts.communities.byScope(scope)
    if (!isKnown(community)) return false
    const { members, usedInvitations } = community.chain.state
    const invites = this.heard(community).invites.get(toHex(key)) ?? []
    return !usedInvitations.has(toHex(key)) && invites.some(({ author }) => members.has(toHex(author)))
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
    const before = (heard.ballots.get(toHex(proposalId)) ?? []).findLast(({ author }) =>
      bytesEqual(author, this.#parts.identity),
    )
    if (before?.statement.body.choice === choice) {
      if (reason !== undefined) this.comment(communityId, proposalId, reason)
      return { kind: 'appended', record: this.#enclosing(community).record(before) }
    }
    // Also where it was said before: it belongs to the ballot that follows.
    if (reason !== undefined) this.#say(community.scope, 'comment/1', { proposal: proposalId, text: reason })
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
    this.#settling.lookAt(toHex(communityId))
  }

  /** Takes up what is due in all communities, after a start. */
  start(): void {
    for (const { scope } of this.#parts.communities.all()) this.#settling.lookAt(scope)
  }

  /** Records of a scope came that say this. */
  hearMore(scope: string, statements: readonly Said[]): void {
    const heard = this.#heard.get(scope)
    if (heard !== undefined) for (const said of statements) hear(heard, said)
    this.#settling.lookAt(scope)
  }

  /** A log of a scope was forked: what it said from there on is void. */
  hearAnew(scope: string): void {
    this.#heard.delete(scope)
    this.#settling.lookAt(scope)
  }

  /** Something may have become due. */
  lookAt(scope: string): void {
    this.#settling.lookAt(scope)
  }

  /** The community is followed no more. */
  forget(scope: string): void {
    this.#settling.forget(scope)
    this.#enclosings.delete(scope)
    this.#heard.delete(scope)
  }

  [Symbol.dispose](): void {
    this.#settling[Symbol.dispose]()
  }

  /** Ballots that were here in time, by this node's clock, and are not in the certificate. */
  #leftOut(community: KnownCommunity, { said, before, counted }: SettledProposal): TalliedBallot[] {
    const inTime = this.#held.knownInTime(said.id)
    const heard = countHeard(
      before,
      this.heard(community),
      asOpenProposal(said),
      (id) => inTime?.has(toHex(id)) === true,
    )
    const voted = new Set(counted.ballots.map(({ author }) => toHex(author)))
    return talliedBallots(heard).filter(({ voter }) => !voted.has(toHex(voter)))
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
