// Where a delegate stands, worked out from the messages alone, its own among them.
import { emptyRound, quorumValues, saidBy, supportersOf } from './slot.ts'
import type { AgreementState, Proposal, RoundLog, Slot, Step, Value } from './agreement-types.ts'

/** A value and the round in which more than two thirds prevoted for it. */
export interface Backed {
  readonly value: Value
  readonly round: number
}

export function roundLog(state: AgreementState, round: number = state.round): RoundLog {
  return state.rounds.get(round) ?? emptyRound
}

/** The last of its messages in this round says which step it is in. */
export function stepOf(state: AgreementState): Step {
  const { prevote, precommit } = roundLog(state)
  if (ownIn(state, precommit)) return 'precommit'
  return ownIn(state, prevote) ? 'prevote' : 'propose'
}

/** The last value it precommitted. */
export function lockOf(state: AgreementState): Backed | undefined {
  let lock: Backed | undefined
  for (const [round, { precommit }] of state.rounds) {
    if (lock !== undefined && lock.round > round) continue
    const value = saidBy(precommit, state.setup.self)?.message.value
    if (value !== undefined) lock = { value, round }
  }
  return lock
}

/** What it proposes when it is its turn: what had the latest quorum of prevotes, else its candidate; undefined: nothing yet. */
export function ownProposal(state: AgreementState): Omit<Proposal, 'kind' | 'round'> | undefined {
  const best = latestBacked(state)
  if (best === undefined)
    return state.candidate === undefined ? undefined : { value: state.candidate, validRound: undefined }
  // After a restart it may be locked on a value whose content isn't checked again yet.
  return state.valid.has(best.value) ? { value: best.value, validRound: best.round } : undefined
}

function latestBacked(state: AgreementState): Backed | undefined {
  let best = lockOf(state)
  for (const [round, { prevote }] of state.rounds) {
    if (round >= state.round || (best !== undefined && best.round >= round)) continue
    const value = quorumValues(prevote, state.quorum).find((value) => value !== undefined && state.valid.has(value))
    if (value !== undefined) best = { value, round }
  }
  return best
}

/** What to prevote in this round; undefined: no proposal can be judged yet. */
export function ownPrevote(state: AgreementState): { readonly value: Value | undefined } | undefined {
  const verdicts = roundLog(state).proposal.heard.map(({ message }) => judge(state, message as Proposal))
  return verdicts.find((verdict) => verdict?.value !== undefined) ?? verdicts.find((verdict) => verdict !== undefined)
}

function judge(state: AgreementState, { value, validRound }: Proposal): { value: Value | undefined } | undefined {
  if (!state.valid.has(value)) return undefined
  if (validRound !== undefined) {
    const claimed = roundLog(state, validRound).prevote
    if (supportersOf(claimed, value).length < state.quorum) return undefined
  }
  const lock = lockOf(state)
  const free = lock === undefined || lock.value === value || (validRound !== undefined && validRound >= lock.round)
  return { value: free ? value : undefined }
}

/** What to precommit in this round; undefined: no quorum of prevotes for a value that is valid here, or for nil. */
export function ownPrecommit(state: AgreementState): { readonly value: Value | undefined } | undefined {
  const { prevote } = roundLog(state)
  const [first] = quorumValues(prevote, state.quorum)
    .filter((value) => value === undefined || state.valid.has(value))
    .map((value) => ({ value }))
  return first
}

export function ownIn({ setup }: AgreementState, slot: Slot): boolean {
  return setup.self !== undefined && saidBy(slot, setup.self) !== undefined
}
