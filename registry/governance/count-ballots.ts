// Counting, in integers. Two nodes with the same ballots get the same outcome.
import type { CommunityRules, Outcome, RecordBody } from '../../protocol/index.ts'

export type Choice = RecordBody<'ballot/1'>['choice']

export interface BallotCount {
  readonly yes: number
  readonly no: number
  readonly abstain: number
}

/** One ballot of one member; `index` is its place in the log of the device. */
export interface CastBallot {
  /** Identity in hex. */
  readonly voter: string
  /** In hex. Of a member with several the one with the smallest key speaks: their logs have no common order. */
  readonly device: string
  readonly index: number
  readonly choice: Choice
}

/** The last ballot of each member counts. Those of others don't. */
export function lastBallots<Ballot extends CastBallot>(
  ballots: Iterable<Ballot>,
  voters: ReadonlySet<string>,
): Map<string, Ballot> {
  const last = new Map<string, Ballot>()
  for (const ballot of ballots) {
    if (!voters.has(ballot.voter)) continue
    const before = last.get(ballot.voter)
    if (before === undefined || isLater(ballot, before)) last.set(ballot.voter, ballot)
  }
  return last
}

function isLater(a: CastBallot, b: CastBallot): boolean {
  return a.device === b.device ? a.index > b.index : a.device < b.device
}

export function countBallots(ballots: Iterable<{ readonly choice: Choice }>): BallotCount {
  const count = { yes: 0, no: 0, abstain: 0 }
  for (const { choice } of ballots) count[choice]++
  return count
}

/** Abstentions count here. `electorate`: the members that the proposal names. */
export function hasQuorum(count: BallotCount, electorate: number, rules: CommunityRules): boolean {
  return (count.yes + count.no + count.abstain) * 1_000_000 >= rules.quorum * electorate
}

export function passes({ yes, no }: BallotCount, decision: CommunityRules['decision']): boolean {
  switch (decision) {
    case 'majority':
      return yes > no
    case 'supermajority':
      return yes > 0 && 3 * yes >= 2 * (yes + no)
    case 'consensus':
      return yes >= 1 && no === 0
  }
}

/** What receipts say of a proposed release. */
export type Measurement =
  /** It isn't measured: no suite is bound, or too few members ran it. */
  | { readonly kind: 'unmeasured'; readonly why: 'no-suite' | 'too-few-receipts'; readonly receipts: number }
  | { readonly kind: 'measured'; readonly loses: boolean; readonly median: Difference; readonly receipts: number }
  /** The proposal is not about what a release is worth. */
  | { readonly kind: 'not-asked' }

export interface Difference {
  /** Proposed minus current, in millionths. */
  readonly difference: number
  /** Of the difference, in millionths. */
  readonly standardError: number
}

/** Receipts that make an upgrade measured. */
export function receiptsNeeded(members: number): number {
  return Math.min(3, members)
}

/**
 * The middle one by difference, the lower of two middle ones, ties by standard error. Loses: it lies below zero by more than its own
 * standard error. `undefined` without receipts.
 */
export function medianOf(receipts: readonly Difference[]): Difference | undefined {
  const sorted = receipts.toSorted((a, b) => a.difference - b.difference || a.standardError - b.standardError)
  return sorted[Math.floor((sorted.length - 1) / 2)]
}

export function measure(receipts: readonly Difference[], members: number, suiteBound: boolean): Measurement {
  if (!suiteBound) return { kind: 'unmeasured', why: 'no-suite', receipts: receipts.length }
  const median = medianOf(receipts)
  if (median === undefined || receipts.length < receiptsNeeded(members)) {
    return { kind: 'unmeasured', why: 'too-few-receipts', receipts: receipts.length }
  }
  return { kind: 'measured', loses: median.difference + median.standardError < 0, median, receipts: receipts.length }
}

/** Votes can reject a winner; they cannot pass a measured loser. What isn't measured needs a supermajority beside the community's rule. */
export function outcomeOf(
  count: BallotCount,
  electorate: number,
  rules: CommunityRules,
  measurement: Measurement,
): Outcome {
  if (!hasQuorum(count, electorate, rules)) return 'no-quorum'
  if (!passes(count, rules.decision)) return 'rejected'
  if (measurement.kind === 'unmeasured' && !passes(count, 'supermajority')) return 'rejected'
  if (measurement.kind === 'measured' && measurement.loses) return 'measured-loser'
  return 'accepted'
}
