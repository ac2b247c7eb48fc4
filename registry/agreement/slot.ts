// What was heard of one kind in one round, within a bound: an honest delegate says one thing there, a misbehaving one may sign any
// number. Kept are the first two messages of each delegate (two are the proof against it), and of further ones those that say what
// another delegate said in its first two: whatever has an honest supporter is counted in full, whoever signs what else besides.
import type { AgreementMessage, Heard, RoundLog, Slot, Value } from './agreement-types.ts'

const emptySlot: Slot = { heard: [], speakers: 0, refused: false }

export const emptyRound: RoundLog = { proposal: emptySlot, prevote: emptySlot, precommit: emptySlot }

export interface Addition {
  readonly slot: Slot
  /** What the delegate had said before, if this is the second thing. */
  readonly contradicts: AgreementMessage | undefined
  /** Messages were let go that may say the same as this one. */
  readonly hearAgain: boolean
}

/** Undefined if there is nothing new in it. At most twice per delegate is `hearAgain` true. */
export function addToSlot(slot: Slot, from: number, message: AgreementMessage): Addition | undefined {
  let said = 0
  let contradicts: AgreementMessage | undefined
  let backed = false
  for (const heard of slot.heard) {
    const same = saysTheSame(heard.message, message)
    if (heard.from !== from) backed ||= same
    else if (same) return undefined
    else if (said++ === 0) contradicts = heard.message
  }
  if (said >= 2 && !backed) {
    return slot.refused ? undefined : { slot: { ...slot, refused: true }, contradicts: undefined, hearAgain: false }
  }
  const grown: Slot = {
    heard: [...slot.heard, { from, message }],
    speakers: slot.speakers + (said === 0 ? 1 : 0),
    refused: slot.refused && backed,
  }
  return {
    slot: grown,
    contradicts: said === 1 ? contradicts : undefined,
    hearAgain: slot.refused && !backed,
  }
}

/** Of two messages of one kind and round. */
function saysTheSame(a: AgreementMessage, b: AgreementMessage): boolean {
  return a.value === b.value && (a.kind !== 'proposal' || b.kind !== 'proposal' || a.validRound === b.validRound)
}

/** The delegates that said this value, sorted. Each is counted once, whatever else it said. */
export function supportersOf(slot: Slot, value: Value | undefined): number[] {
  return slot.heard
    .filter(({ message }) => message.value === value)
    .map(({ from }) => from)
    .toSorted((a, b) => a - b)
}

/** The values that a quorum said; undefined among them is nil. More than one only where too many misbehave. */
export function quorumValues(slot: Slot, quorum: number): (Value | undefined)[] {
  if (slot.speakers < quorum) return []
  const counts = new Map<Value | undefined, number>()
  for (const { message } of slot.heard) counts.set(message.value, (counts.get(message.value) ?? 0) + 1)
  return [...counts].filter(([, count]) => count >= quorum).map(([value]) => value)
}

/** What a delegate said first. */
export function saidBy(slot: Slot, delegate: number | undefined): Heard | undefined {
  return slot.heard.find(({ from }) => from === delegate)
}
