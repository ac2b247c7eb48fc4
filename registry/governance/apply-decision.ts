// Whether a decision may follow a community's chain, and what the community is after it. Delegates ask this before they sign, and every
// node before it believes a certificate: the same function, so nothing can be signed that isn't believed, or the other way round.
import {
  bodyOf,
  bytesEqual,
  isMeshError,
  joinIsSigned,
  limits,
  MeshError,
  openEnclosed,
  readEnclosed,
  requireSorted,
  subjectId,
  toHex,
} from '../../protocol/index.ts'
import type {
  CommunityRole,
  Decision,
  EnclosedRecord,
  OpenedCertificate,
  OpenedDecision,
  ProposedAction,
  VerifiedRecord,
} from '../../protocol/index.ts'
import { adminsOf, channelKey, delegatesOf, inForceOn, memberOf, quorumOf, subjectOf } from './chain-state.ts'
import type { ChainState, Channel, Member } from './chain-state.ts'
import { countBallots, measure, outcomeOf } from './count-ballots.ts'
import type { Difference, Measurement } from './count-ballots.ts'
import { invitersAbove, mayInvite } from './inviter-cap.ts'

export type Applied =
  | { readonly kind: 'applied'; readonly state: ChainState }
  /** In one sentence. */
  | { readonly kind: 'refused'; readonly why: string }

/** A certificate follows when its decision does and more than two thirds of the delegates signed it. */
export function applyCertificate(state: ChainState, certificate: OpenedCertificate): Applied {
  const { electorate } = certificate.decision
  const delegates = new Set(delegatesOf(state, electorate))
  const signers = new Set(certificate.precommits.map(({ fields }) => toHex(fields.author)))
  const counted = [...signers].filter((signer) => delegates.has(signer)).length
  if (counted < quorumOf(delegates.size)) {
    const needed = quorumOf(delegates.size)
    return { kind: 'refused', why: `${counted} of ${delegates.size} delegates signed it; ${needed} are needed` }
  }
  return applyDecision(state, certificate)
}

/** How the records in a decision are opened. */
type OpenRecord = typeof openEnclosed

/** Everything but the signatures under it and the clock: whether it is a decision that follows from what is in it. */
export function applyDecision(state: ChainState, opened: OpenedDecision): Applied {
  return applyWith(openEnclosed, state, opened)
}

/** The state again after a decision that `applyCertificate` let through here before: the signatures in it are not checked another time. */
export function applyVerified(state: ChainState, opened: OpenedDecision): Applied {
  return applyWith(readEnclosed, state, opened)
}

function applyWith(open: OpenRecord, state: ChainState, opened: OpenedDecision): Applied {
  try {
    requirePlace(state, opened.decision)
    return { kind: 'applied', state: afterDecision(open, state, opened) }
  } catch (error) {
    if (!isMeshError(error)) throw error
    return { kind: 'refused', why: error.message }
  }
}

function refuse(why: string): never {
  throw new MeshError('malformed', why)
}

function requirePlace(state: ChainState, decision: Decision): void {
  if (!bytesEqual(decision.community, state.community)) refuse('It is of another community.')
  if (!bytesEqual(decision.previous, state.head) || decision.position !== state.length) {
    refuse('It does not follow the last certificate.')
  }
  if (!bytesEqual(decision.membership, state.membership)) refuse('It names other members than those in force.')
}

function afterDecision(open: OpenRecord, state: ChainState, opened: OpenedDecision): ChainState {
  const { decision } = opened
  const { settled } = decision
  if (settled.kind === 'roll') {
    requireSubject(state, decision, { kind: 'membership' })
    return advanced(withRoll(open, state, settled, opened.id), opened)
  }
  const proposal = openProposal(open, state, settled.proposal)
  requireSubject(state, decision, subjectOf(proposal.action))
  if (decision.electorate === 'members' && subjectOf(proposal.action).kind !== 'membership') {
    refuse('All members together decide on membership only.')
  }
  const ballots = openBallots(open, state, proposal, settled.ballots)
  const receipts = openReceipts(open, state, proposal.action, settled.receipts)
  const measurement = measureProposal(state, proposal.action, receipts)
  const outcome = outcomeOf(countBallots(ballots), electorateOf(state, proposal.membership), state.rules, measurement)
  if (outcome !== settled.outcome) refuse(`Its ballots and receipts come to "${outcome}", not "${settled.outcome}".`)
  const counted = {
    ...state,
    settled: new Map(state.settled).set(toHex(proposal.id), { outcome, certificate: opened.id }),
  }
  return advanced(outcome === 'accepted' ? withAction(counted, proposal.action, opened.id) : counted, opened)
}

function requireSubject(state: ChainState, decision: Decision, subject: Parameters<typeof inForceOn>[1]): void {
  if (!bytesEqual(decision.subject, subjectId(subject))) refuse('It is about another subject than it says.')
  if (!bytesEqual(decision.replaces, inForceOn(state, subject))) refuse('It replaces another certificate.')
}

function advanced(state: ChainState, { id }: OpenedDecision): ChainState {
  return { ...state, head: id, length: state.length + 1 }
}

// --- Proposals

export interface OpenProposal {
  /** Record id, 32 bytes. */
  readonly id: Uint8Array
  readonly author: Uint8Array
  readonly action: ProposedAction
  readonly membership: Uint8Array
  readonly replaces: Uint8Array
  /** When its author signed it, as the author says. */
  readonly time: number
}

/** Throws `malformed` unless it is a member's, open, and about what is in force. */
function openProposal(open: OpenRecord, state: ChainState, enclosed: EnclosedRecord): OpenProposal {
  const record = open(enclosed, state.community)
  const proposal = proposalOf(record)
  const why = whyNotOpen(state, proposal)
  if (why !== undefined) refuse(why)
  return proposal
}

export function proposalOf(record: VerifiedRecord): OpenProposal {
  const body = bodyOf(record, 'proposal/1')
  return { ...body, id: record.id, author: record.fields.author, time: record.fields.time }
}

/** Why a proposal can't be decided on in this state; undefined while it can. */
export function whyNotOpen(state: ChainState, proposal: OpenProposal): string | undefined {
  const settled = state.settled.get(toHex(proposal.id))
  if (settled !== undefined) return `It was decided: ${settled.outcome}.`
  const voters = state.electorates.get(toHex(proposal.membership))
  if (voters === undefined) return 'It names members that never were.'
  if (2 * votersInForce(state, proposal.membership).size <= state.members.size) {
    return 'Most of the members of today could not vote on it: propose it again.'
  }
  const author = memberOf(state, proposal.author)
  if (author === undefined || !voters.has(toHex(proposal.author))) return 'Its author is no member.'
  if (!bytesEqual(proposal.replaces, inForceOn(state, subjectOf(proposal.action)))) {
    return 'Another decision on the same subject came first.'
  }
  return whyNotPossible(state, proposal.action, author)
}

function whyNotPossible(state: ChainState, action: ProposedAction, author: Member): string | undefined {
  switch (action.kind) {
    case 'upgrade':
    case 'rollback':
    case 'withdraw':
      return whyNoMove(state, action)
    case 'suite':
      return author.role === 'user' ? 'Suites are proposed by teachers and admins.' : undefined
    case 'admit': {
      const member = memberOf(state, action.identity)
      if (member?.role === action.role) return 'It is a member in that role already.'
      if (member === undefined && state.members.size >= limits.membersMax) return 'The community is full.'
      return isLastAdmin(state, action.identity) ? 'The last admin keeps the role.' : undefined
    }
    case 'remove':
      if (memberOf(state, action.identity) === undefined) return 'It is no member.'
      return isLastAdmin(state, action.identity) ? 'The last admin stays: admit another one first.' : undefined
    case 'rule':
      return undefined
  }
}

function whyNoMove(
  state: ChainState,
  action: Extract<ProposedAction, { readonly kind: 'upgrade' | 'rollback' | 'withdraw' }>,
): string | undefined {
  const channel = state.channels.get(channelKey(action.capability, action.base))
  const offered = !state.withdrawn.has(toHex(action.release))
  if (action.kind === 'withdraw') return offered ? undefined : 'The community withdrew this release before.'
  if (!offered) return 'The community withdrew this release.'
  if (channel !== undefined && bytesEqual(channel.release, action.release)) return 'The channel holds it already.'
  if (action.kind === 'rollback') {
    return channel?.held.has(toHex(action.release)) === true ? undefined : 'The channel never held this release.'
  }
  const current = action.current
  if (channel === undefined) return undefined
  return current !== undefined && bytesEqual(channel.release, current)
    ? undefined
    : 'It compares with another release than the channel holds.'
}

function isLastAdmin(state: ChainState, identity: Uint8Array): boolean {
  const admins = adminsOf(state)
  return admins.length === 1 && bytesEqual(admins[0]!.identity, identity)
}

// --- Ballots and receipts

/** Hex identities of those who may vote: members whom the proposal names, and who are members still. */
export function votersInForce(state: ChainState, membership: Uint8Array): Set<string> {
  return new Set([...votersOf(state, membership)].filter((voter) => state.members.has(voter)))
}

/** Of how many the quorum is a fraction: the members that a proposal names, or those of today if they are more. */
export function electorateOf(state: ChainState, membership: Uint8Array): number {
  return Math.max(votersOf(state, membership).size, state.members.size)
}

/** Hex identities of the members that a proposal names. */
export function votersOf(state: ChainState, membership: Uint8Array): ReadonlySet<string> {
  return state.electorates.get(toHex(membership)) ?? new Set()
}

function openBallots(open: OpenRecord, state: ChainState, proposal: OpenProposal, enclosed: readonly EnclosedRecord[]) {
  requireSorted(enclosed)
  const voters = votersInForce(state, proposal.membership)
  return enclosed.map((one) => {
    const record = open(one, state.community)
    const ballot = bodyOf(record, 'ballot/1')
    if (!bytesEqual(ballot.proposal, proposal.id)) refuse('A ballot is on another proposal.')
    if (!voters.has(toHex(record.fields.author))) refuse('A ballot is of somebody who may not vote.')
    return ballot
  })
}

function openReceipts(
  open: OpenRecord,
  state: ChainState,
  action: ProposedAction,
  enclosed: readonly EnclosedRecord[],
): Difference[] {
  requireSorted(enclosed)
  return enclosed.map((one) => {
    const record = open(one, state.community)
    const receipt = bodyOf(record, 'evaluation/1')
    if (memberOf(state, record.fields.author) === undefined) refuse('A receipt is of somebody who is no member.')
    if (!countsFor(state, action, receipt)) refuse('A receipt is about something else.')
    return { difference: receipt.value - receipt.againstValue, standardError: receipt.standardError }
  })
}

export interface ReceiptSubject {
  readonly release: Uint8Array
  readonly against?: Uint8Array | undefined
  readonly suite: Uint8Array
}

/** Whether a receipt speaks on a proposal: both of its releases, measured by the suite that the community bound. */
export function countsFor(state: ChainState, action: ProposedAction, receipt: ReceiptSubject): boolean {
  if (action.kind !== 'upgrade') return false
  const suite = state.suites.get(action.capability)
  return (
    suite !== undefined &&
    bytesEqual(suite, receipt.suite) &&
    bytesEqual(action.release, receipt.release) &&
    sameOrNone(action.current, receipt.against)
  )
}

function sameOrNone(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : bytesEqual(a, b)
}

export function measureProposal(
  state: ChainState,
  action: ProposedAction,
  receipts: readonly Difference[],
): Measurement {
  if (action.kind !== 'upgrade') return { kind: 'not-asked' }
  return measure(receipts, state.members.size, state.suites.has(action.capability))
}

// --- What follows

function withAction(state: ChainState, action: ProposedAction, certificate: Uint8Array): ChainState {
  const inForce = new Map(state.inForce).set(toHex(subjectId(subjectOf(action))), certificate)
  const next = { ...state, inForce }
  switch (action.kind) {
    case 'upgrade':
    case 'rollback':
      return withChannel(next, action, certificate)
    case 'withdraw':
      return withoutRelease(next, action)
    case 'suite':
      return withMembers(
        { ...next, suites: new Map(state.suites).set(action.capability, action.suite) },
        state.members,
        certificate,
      )
    case 'rule':
      return withMembers({ ...next, rules: action.rules }, state.members, certificate)
    case 'admit':
      return withMembers(
        { ...next, inviters: votedIn(state, action.identity) },
        admitted(state.members, { ...action, inviter: undefined, since: certificate }),
        certificate,
      )
    case 'remove':
      return withMembers(next, removed(state.members, action.identity), certificate)
  }
}

function withChannel(
  state: ChainState,
  { capability, base, release }: Extract<ProposedAction, { readonly kind: 'upgrade' | 'rollback' }>,
  certificate: Uint8Array,
): ChainState {
  const key = channelKey(capability, base)
  const before = state.channels.get(key)
  const held = new Set([...(before?.held ?? []), toHex(release)])
  const channel: Channel = { capability, base, release, certificate, held }
  return { ...state, channels: new Map(state.channels).set(key, channel) }
}

function withoutRelease(
  state: ChainState,
  { release, reason }: Extract<ProposedAction, { readonly kind: 'withdraw' }>,
): ChainState {
  // Whatever channel was named: none may go on holding it.
  const channels = new Map([...state.channels].filter(([, channel]) => !bytesEqual(channel.release, release)))
  return { ...state, channels, withdrawn: new Map(state.withdrawn).set(toHex(release), reason) }
}

function withMembers(state: ChainState, members: ReadonlyMap<string, Member>, certificate: Uint8Array): ChainState {
  const electorates = new Map(state.electorates).set(toHex(certificate), new Set(members.keys()))
  return { ...state, members, membership: certificate, electorates }
}

/** Whom a vote makes a member stands under nobody's cap, whoever's invitation it once came by. */
function votedIn({ members, inviters }: ChainState, identity: Uint8Array): ReadonlyMap<string, string> {
  const name = toHex(identity)
  return members.has(name) ? inviters : new Map([...inviters].filter(([invited]) => invited !== name))
}

function admitted(
  members: ReadonlyMap<string, Member>,
  { identity, role, inviter, since }: Member,
): Map<string, Member> {
  const before = members.get(toHex(identity))
  const member = before === undefined ? { identity, role, inviter, since } : { ...before, role }
  return new Map(members).set(toHex(identity), member)
}

function removed(members: ReadonlyMap<string, Member>, identity: Uint8Array): Map<string, Member> {
  const gone = toHex(identity)
  return new Map([...members].filter(([other]) => other !== gone))
}

// --- The roll: invited people come in, members leave

function withRoll(
  open: OpenRecord,
  state: ChainState,
  { joins, leaves }: Extract<Decision['settled'], { readonly kind: 'roll' }>,
  certificate: Uint8Array,
): ChainState {
  if (joins.length + leaves.length === 0) refuse('It changes nothing.')
  let next = state
  for (const { invite, join } of joins) {
    next = withJoin(next, open(invite, state.community), open(join, state.community), certificate)
  }
  for (const leave of leaves) next = withLeave(next, open(leave, state.community))
  // What is open on membership stays open: otherwise one who is to be removed could hold that up by inviting somebody now and then.
  return withMembers(next, next.members, certificate)
}

function withJoin(
  state: ChainState,
  invite: VerifiedRecord,
  join: VerifiedRecord,
  certificate: Uint8Array,
): ChainState {
  const { key, role } = bodyOf(invite, 'invite/1')
  const inviter = toHex(invite.fields.author)
  const identity = join.fields.author
  const used = bodyOf(join, 'join/1')
  const why = whyNoJoin(state, { inviter, role, key }, { identity, ...used })
  if (why !== undefined) refuse(why)
  return {
    ...state,
    members: admitted(state.members, { identity, role, inviter, since: certificate }),
    inviters: new Map(state.inviters).set(toHex(identity), inviter),
    usedInvitations: new Set(state.usedInvitations).add(toHex(key)),
  }
}

export interface Invitation {
  /** Identity in hex. */
  readonly inviter: string
  readonly role: CommunityRole
  readonly key: Uint8Array
}

export interface Join {
  readonly identity: Uint8Array
  readonly key: Uint8Array
  readonly signature: Uint8Array
}

/** Why a join has no effect in this state; undefined while it has. */
export function whyNoJoin(state: ChainState, invitation: Invitation, join: Join): string | undefined {
  const inviter = state.members.get(invitation.inviter)
  if (!bytesEqual(invitation.key, join.key)) return 'The join uses another invitation.'
  if (inviter === undefined) return 'Whoever invited is no member.'
  if (!mayGrant(inviter.role, invitation.role)) return `A ${inviter.role} can't invite a ${invitation.role}.`
  if (state.usedInvitations.has(toHex(invitation.key))) return 'The invitation was used.'
  if (memberOf(state, join.identity) !== undefined) return 'It is a member already.'
  if (!joinIsSigned(state.community, join.identity, join)) return 'The join is not signed with the invitation.'
  if (state.members.size >= limits.membersMax) return 'The community is full.'
  if (invitersAbove(state, invitation.inviter).includes(toHex(join.identity))) {
    return 'The inviter came in by this one: a vote can admit it again.'
  }
  if (!mayInvite(state, invitation.inviter, toHex(join.identity))) {
    return 'The inviter, or who invited it, has brought in as many as allowed.'
  }
  return undefined
}

/** Everybody invites users; teachers are invited by admins. Admins are made by a vote only. */
export function mayGrant(inviter: CommunityRole, role: CommunityRole): boolean {
  return role === 'user' || (role === 'teacher' && inviter === 'admin')
}

function withLeave(state: ChainState, leave: VerifiedRecord): ChainState {
  const { since } = bodyOf(leave, 'leave/1')
  const { author } = leave.fields
  const why = whyNoLeave(state, author, since)
  if (why !== undefined) refuse(why)
  return { ...state, members: removed(state.members, author) }
}

export function whyNoLeave(state: ChainState, identity: Uint8Array, since: Uint8Array): string | undefined {
  const member = memberOf(state, identity)
  if (member === undefined || !bytesEqual(member.since, since)) return 'It is no member, or was admitted again since.'
  return isLastAdmin(state, identity) ? 'The last admin stays: have another one admitted first.' : undefined
}
