// What a community has to decide now: invited people at the door, members who leave, proposals whose time is up. Pure: the clock's readings
// are arguments.
import { bytesEqual, compareBytes, toHex } from '../../protocol/index.ts'
import type { Electorate, Outcome } from '../../protocol/index.ts'
import type { Said } from '../fold-community.ts'
import {
  countsFor,
  measureProposal,
  electorateOf,
  votersInForce,
  whyNoJoin,
  whyNoLeave,
  whyNotOpen,
} from './apply-decision.ts'
import type { OpenProposal } from './apply-decision.ts'
import { memberOf, subjectOf } from './chain-state.ts'
import type { ChainState } from './chain-state.ts'
import { countBallots, lastBallots, outcomeOf } from './count-ballots.ts'
import type { BallotCount, Difference, Measurement } from './count-ballots.ts'
import type { Heard, SaidOf } from './heard.ts'

/** A decision is not made before a proposal was held for this part of the voting period, however it is dated. */
export const leastHeldPart = 1 / 4
/** After so many voting periods without a decision all members together may make one. */
export const periodsUntilMembers = 4

const joinsAtOnce = 16

export interface Joining {
  readonly invite: SaidOf<'invite/1'>
  readonly join: SaidOf<'join/1'>
}

export interface Roll {
  readonly joins: readonly Joining[]
  readonly leaves: readonly SaidOf<'leave/1'>[]
}

export function asOpenProposal(said: SaidOf<'proposal/1'>): OpenProposal {
  return { ...said.statement.body, id: said.id, author: said.author, time: said.time }
}

/** Of one author at a time, the oldest: each costs every delegate work with every record, and the members attention. */
export const openPerAuthor = 16

interface Looked {
  /** Whether each, by record id in hex, is open in this state. That never changes, so of a flood each is judged once. */
  readonly verdicts: Map<string, boolean>
  readonly proposals: Heard['proposals']
  readonly heard: number
  readonly open: readonly SaidOf<'proposal/1'>[]
}

const looked = new WeakMap<ChainState, Looked>()

/** Those that are taken up to be decided on, the one whose time is up first at the front; of each author no more than `openPerAuthor`. */
export function openProposals(state: ChainState, { proposals }: Heard): readonly SaidOf<'proposal/1'>[] {
  const before = looked.get(state)
  if (before?.proposals === proposals && before.heard === proposals.size) return before.open
  const verdicts = before?.verdicts ?? new Map<string, boolean>()
  const open = oldestOfEach(
    [...proposals]
      .filter(([id, said]) => isOpen(state, verdicts, id, said))
      .map(([, said]) => said)
      .toSorted((a, b) => a.time - b.time || compareBytes(a.id, b.id)),
  )
  looked.set(state, { verdicts, proposals, heard: proposals.size, open })
  return open
}

function isOpen(state: ChainState, verdicts: Map<string, boolean>, id: string, said: SaidOf<'proposal/1'>): boolean {
  let open = verdicts.get(id)
  if (open === undefined) verdicts.set(id, (open = whyNotOpen(state, asOpenProposal(said)) === undefined))
  return open
}

function oldestOfEach(sorted: readonly SaidOf<'proposal/1'>[]): SaidOf<'proposal/1'>[] {
  const taken = new Map<string, number>()
  return sorted.filter(({ author }) => {
    const name = toHex(author)
    const before = taken.get(name) ?? 0
    taken.set(name, before + 1)
    return before < openPerAuthor
  })
}

/** Who comes in and who leaves; undefined if nobody. Joins that would go beyond a cap are left out. */
export function dueRoll(state: ChainState, heard: Heard): Roll | undefined {
  const joins: Joining[] = []
  let next = state
  for (const join of heard.joins.toSorted(bySaid)) {
    const found = joinOf(next, heard, join)
    if (found === undefined || joins.length === joinsAtOnce) continue
    joins.push(found)
    next = withPresumedMember(next, found)
  }
  const leaves = heard.leaves
    .toSorted(bySaid)
    .filter(({ author, statement }) => whyNoLeave(state, author, statement.body.since) === undefined)
    .filter((leave, i, all) => all.findIndex(({ author }) => bytesEqual(author, leave.author)) === i)
  // One at a time: of two admins who leave at once the last must be told to stay.
  return joins.length + leaves.length === 0 ? undefined : { joins, leaves: leaves.slice(0, 1) }
}

function joinOf(state: ChainState, heard: Heard, join: SaidOf<'join/1'>): Joining | undefined {
  const invites = heard.invites.get(toHex(join.statement.body.key)) ?? []
  const invite = invites.find(
    ({ author, statement }) =>
      whyNoJoin(
        state,
        { inviter: toHex(author), ...statement.body },
        { identity: join.author, ...join.statement.body },
      ) === undefined,
  )
  return invite && { invite, join }
}

/** Enough of what the state will be to judge the next join. */
function withPresumedMember(state: ChainState, { invite, join }: Joining): ChainState {
  const member = {
    identity: join.author,
    role: invite.statement.body.role,
    inviter: toHex(invite.author),
    since: state.head,
  }
  return {
    ...state,
    members: new Map(state.members).set(toHex(join.author), member),
    inviters: new Map(state.inviters).set(toHex(join.author), member.inviter),
    usedInvitations: new Set(state.usedInvitations).add(toHex(join.statement.body.key)),
  }
}

function bySaid(a: Said, b: Said): number {
  return compareBytes(a.id, b.id)
}

// --- Counting what was heard

export interface Counted {
  readonly ballots: readonly SaidOf<'ballot/1'>[]
  readonly receipts: readonly SaidOf<'evaluation/1'>[]
  readonly count: BallotCount
  readonly measurement: Measurement
  /** What they come to. */
  readonly outcome: Outcome
  /** Members who may vote. */
  readonly voters: number
}

/** The ballots and receipts that count, of those that `mayCount` (by record id in hex). */
export function countHeard(
  state: ChainState,
  heard: Heard,
  proposal: OpenProposal,
  mayCount: (id: Uint8Array) => boolean = () => true,
): Counted {
  const voters = votersInForce(state, proposal.membership)
  const said = (heard.ballots.get(toHex(proposal.id)) ?? []).filter(({ id }) => mayCount(id))
  const last = lastBallots(
    said.map((ballot) => ({
      voter: toHex(ballot.author),
      device: toHex(ballot.device),
      index: ballot.index,
      choice: ballot.statement.body.choice,
      said: ballot,
    })),
    voters,
  )
  const ballots = [...last.values()].map((ballot) => ballot.said)
  const receipts = receiptsOn(state, heard, proposal).filter(({ id }) => mayCount(id))
  const count = countBallots(ballots.map(({ statement }) => statement.body))
  const measurement = measureProposal(state, proposal.action, receipts.map(differenceOf))
  const outcome = outcomeOf(count, electorateOf(state, proposal.membership), state.rules, measurement)
  return { ballots, receipts, count, measurement, outcome, voters: voters.size }
}

export function differenceOf({ statement }: SaidOf<'evaluation/1'>): Difference {
  const { value, againstValue, standardError } = statement.body
  return { difference: value - againstValue, standardError }
}

/** The last receipt of each member about this proposal. */
export function receiptsOn(state: ChainState, heard: Heard, { action }: OpenProposal): SaidOf<'evaluation/1'>[] {
  if (action.kind !== 'upgrade') return []
  const last = new Map<string, SaidOf<'evaluation/1'>>()
  for (const said of heard.evaluations.get(toHex(action.release)) ?? []) {
    if (memberOf(state, said.author) === undefined || !countsFor(state, action, said.statement.body)) continue
    const before = last.get(toHex(said.author))
    if (before === undefined || before.index < said.index) last.set(toHex(said.author), said)
  }
  return [...last.values()]
}

/** Nothing more can come: every member of today voted, and enough members measured what can be measured. */
export function isComplete(state: ChainState, { action }: OpenProposal, counted: CompleteParts): boolean {
  if (counted.ballots < state.members.size) return false
  const { measurement } = counted
  return action.kind !== 'upgrade' || measurement.kind === 'measured' || !state.suites.has(action.capability)
}

export interface CompleteParts {
  readonly ballots: number
  readonly voters: number
  readonly measurement: Measurement
}

/** When voting ends, in milliseconds since 1970. */
export function deadlineOf(state: ChainState, { time }: Pick<OpenProposal, 'time'>): number {
  return time + state.rules.votingPeriodMs
}

/** From when on this node may settle a proposal, by its own clock. */
export function settleFrom(state: ChainState, proposal: OpenProposal, heldSince: number): number {
  return Math.max(deadlineOf(state, proposal), heldSince + Math.ceil(leastHeldPart * state.rules.votingPeriodMs))
}

/** From when on all members together may settle it, if it is about membership. */
export function membersSettleFrom(state: ChainState, proposal: OpenProposal, heldSince: number): number | undefined {
  if (subjectOf(proposal.action).kind !== 'membership') return undefined
  return Math.max(deadlineOf(state, proposal), heldSince) + periodsUntilMembers * state.rules.votingPeriodMs
}

export function settlesFrom(
  state: ChainState,
  proposal: OpenProposal,
  heldSince: number,
  electorate: Electorate,
): number | undefined {
  return electorate === 'admins'
    ? settleFrom(state, proposal, heldSince)
    : membersSettleFrom(state, proposal, heldSince)
}
