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
  let counted = nowMs < from ? countHeard(state, heard, proposal) : countInTime(now, said, counting)
  if (nowMs < from && !isEarlyComplete(state, proposal, electorate, counted)) return undefined
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

function isEarlyComplete(state: ChainState, proposal: OpenProposal, electorate: Electorate, counted: Counted): boolean {
  return electorate === 'admins' && isComplete(state, proposal, { ...counted, ballots: counted.ballots.length })
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

/** Whether this node may sign a decision now: it follows from what is in it, and by this node's clock its time has come. */
export function maySign(now: Now, electorate: Electorate, opened: OpenedDecision): boolean {
  const { decision } = opened
  if (decision.electorate !== electorate || !bytesEqual(decision.previous, now.state.head)) return false
  if (applyDecision(now.state, opened).kind === 'refused') return false
  const { settled } = decision
  if (settled.kind === 'roll') return electorate === 'admins'
  return isTime(now, electorate, settled) && leavesNothingOut(now, electorate, settled)
}

/**
 * Whether it holds what this node would count: each ballot and receipt that was here in time, or a later one of its author. Otherwise the
 * one who proposes could choose among the votes.
 */
function leavesNothingOut(now: Now, electorate: Electorate, settled: SettledProposal): boolean {
  const { state, heard, held, enclosing, nowMs } = now
  const id = openEnclosed(settled.proposal, state.community).id
  const said = heard.proposals.get(toHex(id))
  if (said === undefined) return false
  const from = settlesFrom(state, asOpenProposal(said), held.since(id, nowMs), electorate)
  const own =
    from === undefined || nowMs < from
      ? countHeard(state, heard, asOpenProposal(said))
      : countInTime(now, said, 'in-time')
  const crowdedOut = receiptsWithoutRoom(enclosing, own.receipts)
  return (
    own.ballots.every((ballot) => isAmong(ballot, settled.ballots)) &&
    own.receipts.every((receipt) => crowdedOut.has(toHex(receipt.id)) || isAmong(receipt, settled.receipts))
  )
}

function isAmong({ author, index }: Said, enclosed: readonly EnclosedRecord[]): boolean {
  return enclosed.some(([other, , , , at]) => bytesEqual(other, author) && at >= index)
}

function isTime({ state, held, nowMs }: Now, electorate: Electorate, settled: SettledProposal): boolean {
  const proposal = proposalOf(openEnclosed(settled.proposal, state.community))
  const from = settlesFrom(state, proposal, held.since(proposal.id, nowMs), electorate)
  if (from === undefined) return false
  if (nowMs >= from) return true
  if (electorate === 'members') return false
  const receipts = settled.receipts.map((one) => {
    const { value, againstValue, standardError } = bodyOf(openEnclosed(one, state.community), 'evaluation/1')
    return { difference: value - againstValue, standardError }
  })
  return isComplete(state, proposal, {
    ballots: settled.ballots.length,
    voters: votersInForce(state, proposal.membership).size,
    measurement: measureProposal(state, proposal.action, receipts),
  })
}
