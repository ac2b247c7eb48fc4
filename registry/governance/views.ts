// How a community's government is shown: what is decided, what is open, and how it stands.
import { bytesEqual, toHex } from '../../protocol/index.ts'
import type { CommunityRole, Outcome, ProposedAction } from '../../protocol/index.ts'
import { electorateOf } from './apply-decision.ts'
import type { ChainState } from './chain-state.ts'
import { receiptsNeeded } from './count-ballots.ts'
import type { BallotCount, Choice, Measurement } from './count-ballots.ts'
import { asOpenProposal, deadlineOf } from './due.ts'
import type { Counted } from './due.ts'
import type { SaidOf } from './heard.ts'

export interface MemberView {
  readonly identity: Uint8Array
  readonly role: CommunityRole
  /** Who invited it; absent for founders and for members admitted by a vote. */
  readonly inviter?: Uint8Array
  readonly own: boolean
}

export type ProposalStanding =
  | { readonly kind: 'open' }
  /** It can't be decided on any more, or never could. */
  | { readonly kind: 'void'; readonly why: string }
  | { readonly kind: 'settled'; readonly outcome: Outcome; readonly certificate: Uint8Array }

export interface ProposalView {
  /** Record id. */
  readonly id: Uint8Array
  readonly community: Uint8Array
  readonly author: Uint8Array
  readonly action: ProposedAction
  /** As its author states it, in milliseconds since 1970. */
  readonly time: number
  /** When voting ends. */
  readonly deadline: number
  readonly standing: ProposalStanding
  readonly count: BallotCount
  /** Members who may vote. */
  readonly voters: number
  /** Ballots, abstentions included, that a decision needs. */
  readonly quorum: number
  readonly measurement: Measurement
  /** Receipts that would make it measured. */
  readonly receiptsNeeded: number
  /** What the ballots and receipts known here come to. */
  readonly outcome: Outcome
  /** What this node voted. */
  readonly ownBallot: Choice | undefined
}

export interface TallyView extends ProposalView {
  readonly ballots: readonly TalliedBallot[]
  readonly receipts: readonly ReceiptView[]
  readonly comments: readonly { readonly author: Uint8Array; readonly time: number; readonly text: string }[]
  /** Known here and not in the certificate, although they may have been in time. */
  readonly leftOut: readonly TalliedBallot[]
  /** Who signed the certificate. */
  readonly signers: readonly Uint8Array[]
}

export interface TalliedBallot {
  readonly voter: Uint8Array
  readonly choice: Choice
  readonly time: number
}

export interface ReceiptView {
  /** Record id. */
  readonly id: Uint8Array
  readonly author: Uint8Array
  readonly time: number
  readonly release: Uint8Array
  readonly against: Uint8Array | undefined
  readonly suite: Uint8Array
  readonly file: Uint8Array
  readonly metric: string
  /** Shares in millionths. */
  readonly value: number
  readonly valueError: number
  readonly againstValue: number
  /** Of the difference. */
  readonly standardError: number
  readonly n: number
  /** Whether its author is a member now. */
  readonly member: boolean
}

/** `self`: this node's identity in hex. */
export function viewProposal(
  state: ChainState,
  said: SaidOf<'proposal/1'>,
  counted: Counted,
  standing: ProposalStanding,
  self: string,
): ProposalView {
  const proposal = asOpenProposal(said)
  const electorate = electorateOf(state, proposal.membership)
  return {
    id: said.id,
    community: state.community,
    author: said.author,
    action: proposal.action,
    time: said.time,
    deadline: deadlineOf(state, proposal),
    standing,
    count: counted.count,
    voters: counted.voters,
    quorum: Math.ceil((state.rules.quorum * electorate) / 1_000_000),
    measurement: counted.measurement,
    receiptsNeeded: receiptsNeeded(state.members.size),
    outcome: counted.outcome,
    ownBallot: counted.ballots.find(({ author }) => toHex(author) === self)?.statement.body.choice,
  }
}

export function talliedBallots({ ballots }: Pick<Counted, 'ballots'>): TalliedBallot[] {
  return ballots.map(({ author, time, statement }) => ({ voter: author, choice: statement.body.choice, time }))
}

export function viewReceipt(state: ChainState, { id, author, time, statement }: SaidOf<'evaluation/1'>): ReceiptView {
  const { against, ...body } = statement.body
  return { id, author, time, ...body, against, member: state.members.has(toHex(author)) }
}

/** What the community offers under a name on a base, and since which decision. */
export interface ChannelView {
  readonly capability: string
  readonly base: Uint8Array
  readonly release: Uint8Array
  readonly certificate: Uint8Array
  /** Releases it may be rolled back to. */
  readonly held: readonly string[]
}

export function viewChannels(state: ChainState): ChannelView[] {
  return [...state.channels.values()].map(({ capability, base, release, certificate, held }) => ({
    capability,
    base,
    release,
    certificate,
    held: [...held].filter((other) => other !== toHex(release)),
  }))
}

export function viewMembers(state: ChainState, self: Uint8Array): MemberView[] {
  return [...state.members.values()].map(({ identity, role, inviter }) => ({
    identity,
    role,
    ...(inviter === undefined ? {} : { inviter: new Uint8Array(Buffer.from(inviter, 'hex')) }),
    own: bytesEqual(identity, self),
  }))
}
