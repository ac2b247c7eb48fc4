// From what is due to the decision a delegate proposes, and from a decision somebody proposed to whether this node may sign it now.
import {
  bodyOf,
  bytesEqual,
  compareBytes,
  encodeCanonical,
  encodeDecision,
  limits,
  openEnclosed,
  sortedByAuthor,
  subjectId,
  toHex,
} from '../../protocol/index.ts'
import type { Decision, Electorate, EnclosedRecord, OpenedDecision, Subject } from '../../protocol/index.ts'
import type { Said } from '../fold-community.ts'
import { applyDecision, measureProposal, proposalOf, votersInForce } from './apply-decision.ts'
import type { OpenProposal } from './apply-decision.ts'
import { inForceOn, subjectOf } from './chain-state.ts'
import type { ChainState } from './chain-state.ts'
import type { Difference } from './count-ballots.ts'
import { asOpenProposal, countHeard, dueRoll, isComplete, openProposals, receiptsOn, settlesFrom } from './due.ts'
import type { Counted } from './due.ts'
import type { Enclosing } from './enclosing.ts'
import type { Heard, SaidOf } from './heard.ts'
import type { HeldProposals } from './held-proposals.ts'

type SettledProposal = Extract<Decision['settled'], { readonly kind: 'proposal' }>

export interface Now {
  readonly state: ChainState
  readonly heard: Heard
  readonly held: HeldProposals
  readonly enclosing: Enclosing
  /** Milliseconds since 1970, by this node's clock. */
  readonly nowMs: number
}

/** Which ballots and receipts a delegate proposes: those it held in time, or, so that the lists of all can meet, everything it holds. */
export type Counting = 'in-time' | 'all-held'

/** What this node would propose to decide; undefined while nothing is due. People at the door come first: they have no time to wait for. */
export function composeDecision(
  now: Now,
  electorate: Electorate,
  counting: Counting = 'in-time',
): OpenedDecision | undefined {
  const roll = electorate === 'admins' ? dueRoll(now.state, now.heard) : undefined
  if (roll !== undefined) {
    const { enclosing } = now
    return composed(
      now.state,
      electorate,
      { kind: 'membership' },
      {
        kind: 'roll',
        joins: roll.joins.map(({ invite, join }) => ({
          invite: enclosing.enclosed(invite),
          join: enclosing.enclosed(join),
        })),
        leaves: roll.leaves.map((leave) => enclosing.enclosed(leave)),
      },
    )
  }
  for (const said of openProposals(now.state, now.heard)) {
    const decision = composeCount(now, electorate, counting, said)
    if (decision !== undefined) return decision
  }
  return undefined
}

function composeCount(
  now: Now,
  electorate: Electorate,
  counting: Counting,
  said: SaidOf<'proposal/1'>,
): OpenedDecision | undefined {
  const { state, heard, held, enclosing, nowMs } = now
  const proposal = asOpenProposal(said)
  const from = settlesFrom(state, proposal, held.since(said.id, nowMs), electorate)
  if (from === undefined) return undefined
  let counted = nowMs < from ? countIfComplete(now, said, electorate) : countInTime(now, said, counting)
  if (counted === undefined) return undefined
  const crowdedOut = receiptsWithoutRoom(enclosing, counted.receipts)
  if (crowdedOut.size > 0) {
    const kept = new Set([...counted.ballots, ...counted.receipts].map(({ id }) => toHex(id))).difference(crowdedOut)
    counted = countHeard(state, heard, proposal, (id) => kept.has(toHex(id)))
  }
  return composed(state, electorate, subjectOf(proposal.action), {
    kind: 'proposal',
    proposal: enclosing.enclosed(said),
    ballots: sortedByAuthor(counted.ballots.map((ballot) => enclosing.enclosed(ballot))),
    receipts: sortedByAuthor(counted.receipts.map((receipt) => enclosing.enclosed(receipt))),
    outcome: counted.outcome,
  })
}

function countInTime({ state, heard, held }: Now, said: SaidOf<'proposal/1'>, counting: Counting): Counted {
  const proposal = asOpenProposal(said)
  const inTime = held.inTime(said.id, () => idsHeld(state, heard, said))
  return countHeard(state, heard, proposal, (id) => counting === 'all-held' || inTime.has(toHex(id)))
}

/** Undefined while more can be said: then there is time to wait for it. */
function countIfComplete(
  { state, heard }: Now,
  said: SaidOf<'proposal/1'>,
  electorate: Electorate,
): Counted | undefined {
  const ballots = heard.ballots.get(toHex(said.id)) ?? []
  if (electorate === 'members' || ballots.length < state.members.size) return undefined
  const proposal = asOpenProposal(said)
  const counted = countHeard(state, heard, proposal)
  return isComplete(state, proposal, { ...counted, ballots: counted.ballots.length }) ? counted : undefined
}

/** Beside the ballots of the largest community. */
const receiptsMaxBytes = 20 * 1024

/** Record ids, in hex. More receipts than a decision can hold say no more than those it holds: the first, by author, stand for all. */
function receiptsWithoutRoom(enclosing: Enclosing, receipts: readonly SaidOf<'evaluation/1'>[]): Set<string> {
  let bytes = 0
  const sorted = receipts.toSorted((a, b) => compareBytes(a.author, b.author))
  const firstWithout = sorted.findIndex((receipt, i) => {
    bytes += encodeCanonical(enclosing.enclosed(receipt)).length
    return i === limits.receiptsPerDecisionMax || bytes > receiptsMaxBytes
  })
  return new Set(firstWithout < 0 ? [] : sorted.slice(firstWithout).map(({ id }) => toHex(id)))
}

/** Ballots and receipts on a proposal that are here now. */
export function idsHeld(state: ChainState, heard: Heard, said: SaidOf<'proposal/1'>): Uint8Array[] {
  const ballots = heard.ballots.get(toHex(said.id)) ?? []
  return [...ballots, ...receiptsOn(state, heard, asOpenProposal(said))].map(({ id }) => id)
}

function composed(
  state: ChainState,
  electorate: Electorate,
  subject: Subject,
  settled: Decision['settled'],
): OpenedDecision {
  return encodeDecision({
    format: 1,
    community: state.community,
    previous: state.head,
    position: state.length,
    subject: subjectId(subject),
    replaces: inForceOn(state, subject),
    membership: state.membership,
    electorate,
    settled,
  })
}

/** A decision that follows from what is in it, for good; the signatures in it were checked. */
export interface FollowingDecision {
  readonly opened: OpenedDecision
  /** What it settles; undefined if that is the roll. */
  readonly count: FollowingCount | undefined
}

interface FollowingCount {
  readonly proposal: OpenProposal
  readonly settled: SettledProposal
  /** What its receipts say. */
  readonly differences: readonly Difference[]
}

/** Whether this node may sign a decision now: it follows from what is in it, and by this node's clock its time has come. */
export function maySign(now: Now, electorate: Electorate, opened: OpenedDecision): boolean {
  const following = followsFrom(now.state, electorate, opened)
  return following !== undefined && isTimeFor(now, following)
}

/** The costly half, which stays true or false for a state: undefined if this electorate can't decide that here. */
export function followsFrom(
  state: ChainState,
  electorate: Electorate,
  opened: OpenedDecision,
): FollowingDecision | undefined {
  const { settled, ...decision } = opened.decision
  if (decision.electorate !== electorate || !bytesEqual(decision.previous, state.head)) return undefined
  if (settled.kind === 'roll' && electorate !== 'admins') return undefined
  if (applyDecision(state, opened).kind === 'refused') return undefined
  return { opened, count: settled.kind === 'roll' ? undefined : openCount(state, settled) }
}

function openCount(state: ChainState, settled: SettledProposal): FollowingCount {
  const differences = settled.receipts.map((one) => {
    const { value, againstValue, standardError } = bodyOf(openEnclosed(one, state.community), 'evaluation/1')
    return { difference: value - againstValue, standardError }
  })
  return { proposal: proposalOf(openEnclosed(settled.proposal, state.community)), settled, differences }
}

/** The half that changes with the clock and with what is heard. The roll is signed at any time. */
export function isTimeFor(now: Now, { opened, count }: FollowingDecision): boolean {
  const { electorate } = opened.decision
  return count === undefined || (isTime(now, electorate, count) && leavesNothingOut(now, electorate, count))
}

/**
 * Whether it holds what this node would count: each ballot and receipt that was here in time, or a later one of its author. Otherwise the
 * one who proposes could choose among the votes.
 */
function leavesNothingOut(now: Now, electorate: Electorate, { proposal, settled }: FollowingCount): boolean {
  const { state, heard, held, enclosing, nowMs } = now
  const said = heard.proposals.get(toHex(proposal.id))
  if (said === undefined) return false
  const from = settlesFrom(state, proposal, held.since(proposal.id, nowMs), electorate)
  const own =
    from === undefined || nowMs < from ? countHeard(state, heard, proposal) : countInTime(now, said, 'in-time')
  const crowdedOut = receiptsWithoutRoom(enclosing, own.receipts)
  return (
    own.ballots.every((ballot) => isAmong(ballot, settled.ballots)) &&
    own.receipts.every((receipt) => crowdedOut.has(toHex(receipt.id)) || isAmong(receipt, settled.receipts))
  )
}

/** Of the same device a later word will do; of several devices that with the smallest key speaks. */
function isAmong({ author, device, index }: Said, enclosed: readonly EnclosedRecord[]): boolean {
  return enclosed.some(([other, its, , , at]) => {
    return bytesEqual(other, author) && (bytesEqual(its, device) ? at >= index : compareBytes(its, device) < 0)
  })
}

function isTime({ state, held, nowMs }: Now, electorate: Electorate, count: FollowingCount): boolean {
  const { proposal, settled, differences } = count
  const from = settlesFrom(state, proposal, held.since(proposal.id, nowMs), electorate)
  if (from === undefined) return false
  if (nowMs >= from) return true
  if (electorate === 'members') return false
  return isComplete(state, proposal, {
    ballots: settled.ballots.length,
    voters: votersInForce(state, proposal.membership).size,
    measurement: measureProposal(state, proposal.action, differences),
  })
}
