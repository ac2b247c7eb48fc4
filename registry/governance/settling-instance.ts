// One instance of the agreement, on what is to follow one certificate: which of the records that are heard its machine is told, what the
// decisions in them are worth, and as which records its words are signed.
import { bodyOf, bytesEqual, fromHex, isMeshError, openDecision, toHex } from '../../protocol/index.ts'
import type { Electorate, OpenedDecision, RecordBody } from '../../protocol/index.ts'
import { startAgreement } from '../agreement/index.ts'
import type { AgreementMessage, AgreementState, Decision as Decided, Slot } from '../agreement/index.ts'
import { followsFrom } from './compose-decision.ts'
import type { FollowingDecision, Now } from './compose-decision.ts'
import type { Step } from './heard.ts'

export type StepRecord = {
  [T in 'round/1' | 'prevote/1' | 'precommit/1']: { readonly type: T; readonly body: RecordBody<T> }
}['round/1' | 'prevote/1' | 'precommit/1']

/** One instance: what is to follow one certificate, among one electorate. */
export interface Instance {
  readonly previous: Uint8Array
  readonly electorate: Electorate
  /** Identities in hex, in the order in which they propose. */
  readonly delegates: readonly string[]
  readonly self: number | undefined
  state: AgreementState
  /** What was heard, and how much of it was looked at. */
  steps: readonly Step[]
  taken: number
  /** Record ids, in hex, of what was handed in. */
  readonly handedIn: Set<string>
  /** Decisions of others, by id in hex, that were checked; undefined is refused for good. */
  readonly judged: Map<string, FollowingDecision | undefined>
  /** What this node proposes, and what it thought of proposing last: it may have found something wrong with it. */
  candidate: OpenedDecision | undefined
  weighed: OpenedDecision | undefined
  certified: boolean
  readonly cancels: Set<() => void>
}

type Beginning = Pick<Instance, 'previous' | 'electorate' | 'delegates' | 'self' | 'steps'>

export function startInstance(beginning: Beginning): Instance {
  const { delegates, self } = beginning
  return {
    ...beginning,
    state: startAgreement({ delegates: delegates.length, self }),
    taken: 0,
    handedIn: new Set(),
    judged: new Map(),
    candidate: undefined,
    weighed: undefined,
    certified: false,
    cancels: new Set(),
  }
}

const nothing: readonly Step[] = []

/** What was said in the agreement on what is to follow a certificate: a list that grows, another one after a log was found to be forked. */
export function stepsAfter({ heard }: Now, previous: Uint8Array): readonly Step[] {
  return heard.steps.get(toHex(previous)) ?? nothing
}

export function indexIn(delegates: readonly string[], identity: string): number | undefined {
  const index = delegates.indexOf(identity)
  return index < 0 ? undefined : index
}

/**
 * Of a log that was forked nothing counts from there on: what was heard of it must be forgotten, or it would be counted and not be there.
 * False if something of that was handed in.
 */
export function hearFrom(instance: Instance, steps: readonly Step[]): boolean {
  if (instance.steps === steps) return true
  if (!instance.handedIn.isSubsetOf(new Set(steps.map(({ id }) => toHex(id))))) return false
  instance.steps = steps
  instance.taken = 0
  return true
}

/** Not valid here yet, and proposed in this round or backed by a quorum in another. What is proposed for rounds to come can wait. */
export function awaitedValues({ rounds, round, quorum, valid }: AgreementState): Set<string> {
  const values = new Set<string>()
  for (const [at, { proposal, prevote }] of rounds) {
    const proposed = at === round ? proposal.heard.map(({ message }) => message.value) : []
    for (const value of [...proposed, ...backedBy(quorum, prevote)]) {
      if (value !== undefined && !valid.has(value)) values.add(value)
    }
  }
  return values
}

function backedBy(quorum: number, { heard, speakers }: Slot): (string | undefined)[] {
  if (speakers < quorum) return []
  const supporters = Map.groupBy(heard, ({ message }) => message.value)
  return [...supporters].filter(([, { length }]) => length >= quorum).map(([value]) => value)
}

/** The state is the same as long as the instance is, so each decision is checked once. */
export function judge(instance: Instance, now: Now, value: string): FollowingDecision | undefined {
  const { judged, electorate } = instance
  const bytes = judged.has(value) ? undefined : contentOf(instance, now, value)
  // What many voted for may come later than their votes.
  if (bytes === undefined) return judged.get(value)
  const opened = openedOrNot(bytes)
  const following = opened && followsFrom(now.state, electorate, opened)
  judged.set(value, following)
  return following
}

/** Undefined if it is not here, or no decision. */
export function openedContent(instance: Instance, now: Now, value: string): OpenedDecision | undefined {
  const bytes = contentOf(instance, now, value)
  return bytes && openedOrNot(bytes)
}

function openedOrNot(bytes: Uint8Array): OpenedDecision | undefined {
  try {
    return openDecision(bytes)
  } catch (error) {
    if (!isMeshError(error)) throw error
    return undefined
  }
}

/** A decision is named by its hash, so it doesn't matter whose proposal it is taken from. */
function contentOf({ candidate, previous }: Instance, now: Now, value: string): Uint8Array | undefined {
  const id = fromHex(value)
  if (candidate !== undefined && bytesEqual(candidate.id, id)) return candidate.bytes
  const step = stepsAfter(now, previous).find(
    ({ statement: { type, body } }) => type === 'round/1' && bytesEqual(body.decision, id),
  )
  return step && bodyOf(now.enclosing.record(step), 'round/1').decision
}

/** One of each delegate that decided it. */
export function precommitsFor(instance: Instance, now: Now, { value, round, by }: Decided): Step[] {
  const { previous, electorate, delegates } = instance
  const missing = new Set(by.map((delegate) => delegates[delegate]!))
  return stepsAfter(now, previous).filter(({ author, statement: { type, body } }) => {
    const counts =
      type === 'precommit/1' &&
      body.electorate === electorate &&
      body.round === round &&
      body.decision !== undefined &&
      toHex(body.decision) === value
    return counts && missing.delete(toHex(author))
  })
}

export function messageOf({ statement }: Step): AgreementMessage {
  const { round } = statement.body
  if (statement.type === 'round/1') {
    return {
      kind: 'proposal',
      round,
      value: toHex(statement.body.decision),
      validRound: statement.body.validRound,
    }
  }
  const { decision } = statement.body
  const kind = statement.type === 'prevote/1' ? 'prevote' : 'precommit'
  return { kind, round, value: decision === undefined ? undefined : toHex(decision) }
}

export function recordOf(instance: Instance, now: Now, message: AgreementMessage): StepRecord {
  const { previous, electorate } = instance
  const { round } = message
  if (message.kind === 'proposal') {
    const decision = contentOf(instance, now, message.value)
    if (decision === undefined) throw new Error('a decision was proposed whose content is not known')
    const { validRound } = message
    const body = { previous, electorate, round, decision, ...(validRound === undefined ? {} : { validRound }) }
    return { type: 'round/1', body }
  }
  const decision = message.value === undefined ? {} : { decision: fromHex(message.value) }
  return { type: `${message.kind}/1`, body: { previous, electorate, round, ...decision } }
}
