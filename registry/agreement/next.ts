// Tendermint for one value: algorithm 1 of Buchman, Kwon and Milosevic, "The latest gossip on BFT consensus" (2018, arXiv 1807.04938).
//
// Why two decisions can't be, with fewer than a third (f) of n misbehaving. A quorum q is more than 2n/3.
// 1. In one round at most one value has a quorum of prevotes: two quorums share more than a third, so an honest delegate, and such a
//    one prevotes once. Only such a value is precommitted by honest delegates, so at most one can be decided in that round.
// 2. Let v have a quorum of precommits in round r. At least q - f honest ones signed it; call them L. Without L only n - q + f are left,
//    less than a quorum. Let r' > r be the first round with a quorum of prevotes for some w other than v. One of L prevoted w in r'. All
//    its locks from r on lie below r' and had quorums of prevotes, so they are on v: by 1 in r, and after r since r' is the first. From
//    such a lock only a quorum of prevotes for w frees it, in a round from the lock's on and before r': in r against 1, later against
//    "first". So there is no r', and after r nobody honest precommits anything but v.
// Both need that an honest delegate never signs twice and keeps its lock, also across restarts: its messages are durable before they are
// sent, and step and lock are worked out from them. A misbehaving delegate's votes may count for several values; 1 and 2 allow for that.
// Deciding needs no content checked here: of the quorum more than a third are honest, and precommit what they have checked.
//
// It differs from the paper where it says so below, and in this: a value is judged when it becomes valid here, until the propose timeout.
import { moreThanAThirdOf, proposerOf, quorumOf } from './quorum.ts'
import { addToSlot, supportersOf } from './slot.ts'
import { ownIn, ownPrecommit, ownPrevote, ownProposal, roundLog, stepOf } from './standing.ts'
import type {
  AgreementAction,
  AgreementEvent,
  AgreementMessage,
  AgreementSetup,
  AgreementState,
  Step,
  Transition,
  Vote,
} from './agreement-types.ts'

/** Messages that name a later round are ignored. Honest delegates, whose timeouts grow, never get there. */
export const maxRound = 1_000_000_000

/** One call's work: the state as it becomes, and what is to be done. */
interface Course {
  state: AgreementState
  readonly actions: AgreementAction[]
}

/** Nothing is said before the event `start`: hand in first what was stored. */
export function startAgreement(setup: AgreementSetup): AgreementState {
  const { delegates, self, roundsAhead = 16 } = setup
  const known = self === undefined || (Number.isInteger(self) && self >= 0 && self < delegates)
  if (!Number.isInteger(delegates) || delegates < 1 || !known) {
    throw new Error(`No delegate ${self} among ${delegates}.`)
  }
  return {
    setup: { delegates, self, roundsAhead },
    quorum: quorumOf(delegates),
    third: moreThanAThirdOf(delegates),
    started: false,
    round: 0,
    rounds: new Map(),
    furthest: Array.from({ length: delegates }, () => -1),
    refusedFrom: undefined,
    valid: new Set(),
    candidate: undefined,
    scheduled: [],
    decided: undefined,
  }
}

/** Pure: the same state and event always give the same. */
export function next(state: AgreementState, event: AgreementEvent): Transition {
  const course: Course = { state, actions: [] }
  take(course, event)
  while (speaks(course.state) && (speak(course) || schedule(course)));
  return course
}

function take(course: Course, event: AgreementEvent): void {
  switch (event.kind) {
    case 'start':
      return change(course, { started: true })
    case 'message':
      return hear(course, event.from, event.message)
    case 'valid':
      return accept(course, event.value)
    case 'candidate':
      accept(course, event.value)
      return change(course, { candidate: event.value })
    case 'timeout':
      return timeOut(course, event.step, event.round)
  }
}

function change(course: Course, changes: Partial<AgreementState>): void {
  course.state = { ...course.state, ...changes }
}

function accept(course: Course, value: string): void {
  const { valid } = course.state
  if (!valid.has(value)) change(course, { valid: new Set([...valid, value]) })
}

function speaks({ setup, started, decided, round }: AgreementState): boolean {
  return setup.self !== undefined && started && decided === undefined && round <= maxRound
}

// Hearing

function hear(course: Course, from: number, message: AgreementMessage): void {
  const { setup } = course.state
  const { round } = message
  if (!isSound(setup, from, message)) return
  // Where it signed something it has been.
  if (from === setup.self && round > course.state.round) enterRound(course, round)
  noteRound(course, from, round)
  if (round > lastKept(course.state)) {
    change(course, { refusedFrom: Math.min(round, course.state.refusedFrom ?? round) })
  } else keep(course, from, message)
}

/** Whether an honest delegate could have said it; what can't be so is ignored. */
function isSound({ delegates }: AgreementSetup, from: number, message: AgreementMessage): boolean {
  const { round } = message
  if (!isRoundBelow(round, maxRound + 1) || !isRoundBelow(from, delegates)) return false
  if (message.kind !== 'proposal') return true
  const { validRound } = message
  return from === proposerOf(round, delegates) && (validRound === undefined || isRoundBelow(validRound, round))
}

function isRoundBelow(number: number, bound: number): boolean {
  return Number.isInteger(number) && number >= 0 && number < bound
}

/** More than a third in one round or later ones, one of them honest: this delegate goes there too (the paper wants all in one round). */
function noteRound(course: Course, from: number, round: number): void {
  const { furthest, third } = course.state
  if (furthest[from]! >= round) return
  change(course, { furthest: furthest.with(from, round) })
  if (round <= course.state.round) return
  const reached = course.state.furthest.toSorted((a, b) => b - a)[third - 1]!
  if (reached > course.state.round) enterRound(course, reached)
}

function enterRound(course: Course, round: number): void {
  change(course, { round, scheduled: [] })
  const { refusedFrom, furthest } = course.state
  const throughRound = lastKept(course.state)
  if (refusedFrom === undefined || refusedFrom > throughRound) return
  course.actions.push({ kind: 'hear-again', fromRound: refusedFrom, throughRound })
  change(course, { refusedFrom: Math.max(...furthest) > throughRound ? throughRound + 1 : undefined })
}

function lastKept({ round, setup }: AgreementState): number {
  return round + setup.roundsAhead
}

function keep(course: Course, from: number, message: AgreementMessage): void {
  const { kind, round } = message
  const log = roundLog(course.state, round)
  const addition = addToSlot(log[kind], from, message)
  if (addition === undefined) return
  change(course, { rounds: new Map(course.state.rounds).set(round, { ...log, [kind]: addition.slot }) })
  if (addition.contradicts !== undefined) {
    course.actions.push({ kind: 'misbehaved', delegate: from, first: addition.contradicts, second: message })
  }
  if (addition.hearAgain) course.actions.push({ kind: 'hear-again', fromRound: round, throughRound: round })
  if (kind === 'precommit') decide(course, message)
}

/** A quorum of precommits in any round decides, with or without the proposal. */
function decide(course: Course, { round, value }: AgreementMessage): void {
  if (value === undefined || course.state.decided !== undefined) return
  const by = supportersOf(roundLog(course.state, round).precommit, value)
  if (by.length < course.state.quorum) return
  change(course, { decided: { value, round, by } })
  course.actions.push({ kind: 'decided', value, round, by })
}

// Speaking

function speak(course: Course): boolean {
  switch (stepOf(course.state)) {
    case 'propose':
      return propose(course) || vote(course, 'prevote', ownPrevote(course.state))
    case 'prevote':
      return vote(course, 'precommit', ownPrecommit(course.state))
    case 'precommit':
      return false
  }
}

function propose(course: Course): boolean {
  const { state } = course
  const { round, setup } = state
  if (proposerOf(round, setup.delegates) !== setup.self || ownIn(state, roundLog(state).proposal)) return false
  const proposal = ownProposal(state)
  return proposal !== undefined && send(course, { kind: 'proposal', round, ...proposal })
}

function vote(course: Course, kind: Vote['kind'], choice: Pick<Vote, 'value'> | undefined): boolean {
  return choice !== undefined && send(course, { kind, round: course.state.round, value: choice.value })
}

function send(course: Course, message: AgreementMessage): boolean {
  course.actions.push({ kind: 'send', message })
  hear(course, course.state.setup.self!, message)
  return true
}

// Waiting

function schedule(course: Course): boolean {
  const { round, scheduled } = course.state
  const step = awaited(course.state).find((step) => !scheduled.includes(step))
  if (step === undefined) return false
  change(course, { scheduled: [...scheduled, step] })
  course.actions.push({ kind: 'schedule', step, round })
  return true
}

/** Steps that will not be waited for without end: for a proposal, and for votes once a quorum has voted, whatever for. */
function awaited(state: AgreementState): Step[] {
  const { prevote, precommit } = roundLog(state)
  const step = stepOf(state)
  const steps: Step[] = step === 'propose' ? ['propose'] : []
  if (step === 'prevote' && prevote.speakers >= state.quorum) steps.push('prevote')
  if (precommit.speakers >= state.quorum) steps.push('precommit')
  return steps
}

function timeOut(course: Course, step: Step, round: number): void {
  const { state } = course
  if (!speaks(state) || round !== state.round || !state.scheduled.includes(step)) return
  if (step === 'precommit') enterRound(course, round + 1)
  else if (step === stepOf(state)) vote(course, step === 'propose' ? 'prevote' : 'precommit', { value: undefined })
}
