// Proposals and tallies as the API shows them.
import { bytesEqual, identityToText, toHex } from '../../protocol/index.ts'
import type { Choice, ProposalView, Registry, TallyView } from '../../registry/index.ts'
import type { NodeKeys } from '../keys.ts'
import { actionAnswer } from './action-answer.ts'
import type { ActionAnswer } from './action-answer.ts'
import { measurementAnswer } from './measurement-answer.ts'
import type { MeasurementAnswer } from './measurement-answer.ts'
import { nameMeaning } from './name-meaning.ts'
import type { NameMeaning } from './name-meaning.ts'
import { ballotReasons } from './ballot-reasons.ts'

export interface ProposalAnswer {
  readonly id: string
  readonly community: { readonly id: string; readonly name: string }
  readonly author: string
  readonly own: boolean
  readonly action: ActionAnswer
  readonly proposedAt: string
  readonly votingEnds: string
  /** `open`: it can be decided on, also when voting has ended and the delegates are not there. */
  readonly state: 'open' | 'void' | TallyView['outcome']
  /** Why it is void. */
  readonly why?: string
  readonly certificate?: string
  readonly count: ProposalView['count']
  readonly voters: number
  /** Ballots, abstentions included, that a decision needs. */
  readonly quorum: number
  /** What the ballots and measurements known here come to. */
  readonly outcome: TallyView['outcome']
  readonly ownBallot?: Choice
  readonly measurement: MeasurementAnswer
  /** Of an upgrade that is open: what the name means so far; absent where it means nothing. */
  readonly meaning?: NameMeaning
}

export interface TallyAnswer extends ProposalAnswer {
  readonly ballots: readonly BallotAnswer[]
  /** Known here and not in the certificate. */
  readonly leftOut: readonly BallotAnswer[]
  readonly receipts: readonly ReceiptAnswer[]
  readonly comments: readonly CommentAnswer[]
  /** Who signed the certificate. */
  readonly signers: readonly string[]
}

interface CommentAnswer {
  readonly author: string
  readonly own: boolean
  readonly time: string
  readonly text: string
}

interface BallotAnswer {
  readonly voter: string
  readonly own: boolean
  readonly choice: Choice
  readonly time: string
  /** The last thing that its voter said on the proposal since the ballot before. */
  readonly reason?: string
}

interface ReceiptAnswer {
  readonly id: string
  readonly author: string
  readonly own: boolean
  readonly time: string
  readonly suite: string
  readonly file: string
  readonly metric: string
  readonly n: number
  /** Shares, 0 to 1. */
  readonly value: number
  readonly againstValue: number
  readonly difference: number
  /** Of the difference. */
  readonly standardError: number
}

/** Whose answer it is. */
export interface GovernedNode {
  readonly registry: Registry
  readonly options: { readonly keys: Pick<NodeKeys, 'author'> }
}

/** Newest first. */
export function proposalAnswers(node: GovernedNode, community: Uint8Array): ProposalAnswer[] {
  const { governance } = node.registry
  const { name } = node.registry.state(community)
  return governance.proposals(community).map(({ id }) => shortAnswer(node, governance.tally(community, id), name))
}

/** Throws `not-found`. */
export function proposalAnswer(node: GovernedNode, community: Uint8Array, proposal: Uint8Array): ProposalAnswer {
  const { governance } = node.registry
  return shortAnswer(node, governance.tally(community, proposal), node.registry.state(community).name)
}

/** Throws `not-found`. */
export function tallyAnswer(node: GovernedNode, community: Uint8Array, proposal: Uint8Array): TallyAnswer {
  const tally = node.registry.governance.tally(community, proposal)
  const self = node.options.keys.author.identity
  const comments = tally.comments.map(({ author, time, text }) => ({
    author: identityToText(author),
    own: bytesEqual(author, self),
    time: timeText(time),
    text,
  }))
  const reasonOf = ballotReasons(node.registry, community, proposal)
  const ballotAnswer = ({ voter, choice, time }: TallyView['ballots'][number]): BallotAnswer => {
    const reason = reasonOf({ voter, choice, time })
    return {
      voter: identityToText(voter),
      own: bytesEqual(voter, self),
      choice,
      time: timeText(time),
      ...(reason === undefined ? {} : { reason }),
    }
  }
  return {
    ...shortAnswer(node, tally, node.registry.state(community).name),
    ballots: tally.ballots.map(ballotAnswer),
    leftOut: tally.leftOut.map(ballotAnswer),
    receipts: tally.receipts.map((receipt) => receiptAnswer(receipt, self)),
    comments,
    signers: tally.signers.map(identityToText),
  }
}

function shortAnswer({ registry, options }: GovernedNode, tally: TallyView, name: string): ProposalAnswer {
  const { id, community, author, action, time, deadline, count, voters, quorum, outcome, ownBallot } = tally
  const self = options.keys.author.identity
  const meaning = tally.standing.kind === 'open' ? nameMeaning(registry, community, action) : undefined
  return {
    id: toHex(id),
    community: { id: toHex(community), name },
    author: identityToText(author),
    own: bytesEqual(author, self),
    action: actionAnswer(registry, action),
    proposedAt: timeText(time),
    votingEnds: timeText(deadline),
    ...standingAnswer(tally.standing),
    count,
    voters,
    quorum,
    outcome,
    ...(ownBallot === undefined ? {} : { ownBallot }),
    measurement: measurementAnswer(tally, self),
    ...(meaning === undefined ? {} : { meaning }),
  }
}

function standingAnswer(standing: ProposalView['standing']): Pick<ProposalAnswer, 'state' | 'why' | 'certificate'> {
  switch (standing.kind) {
    case 'open':
      return { state: 'open' }
    case 'void':
      return { state: 'void', why: standing.why }
    case 'settled':
      return { state: standing.outcome, certificate: toHex(standing.certificate) }
  }
}

function receiptAnswer(receipt: TallyView['receipts'][number], self: Uint8Array): ReceiptAnswer {
  const { id, author, time, suite, file, metric, n, value, againstValue, standardError } = receipt
  return {
    id: toHex(id),
    author: identityToText(author),
    own: bytesEqual(author, self),
    time: timeText(time),
    suite: toHex(suite),
    file: toHex(file),
    metric,
    n,
    value: value / 1e6,
    againstValue: againstValue / 1e6,
    difference: (value - againstValue) / 1e6,
    standardError: standardError / 1e6,
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
