// The words of the agreement: what delegates say to each other, what a machine is told, and what it asks of its driver.

/** What is agreed on: an opaque text, such as the hex of a hash. The driver holds the content. */
export type Value = string

export interface Proposal {
  readonly kind: 'proposal'
  readonly round: number
  readonly value: Value
  /** The earlier round in which more than two thirds prevoted for `value`, or undefined: it is new. */
  readonly validRound: number | undefined
}

export interface Vote {
  readonly kind: 'prevote' | 'precommit'
  readonly round: number
  /** Undefined is a vote for nothing: "not in this round". */
  readonly value: Value | undefined
}

export type AgreementMessage = Proposal | Vote

/** The step of a round in which a delegate is, named by the message it will sign or signed last. */
export type Step = 'propose' | 'prevote' | 'precommit'

export interface AgreementSetup {
  /** How many there are; they are numbered from 0. */
  readonly delegates: number
  /** Which of them this is; undefined is an observer, who follows and decides but says nothing. */
  readonly self: number | undefined
  /** Messages of so many rounds beyond the own one are kept; of later ones only that they exist. */
  readonly roundsAhead?: number
}

export interface Decision {
  readonly value: Value
  readonly round: number
  /** Delegates whose precommits for `value` in `round` decide it, sorted. */
  readonly by: readonly number[]
}

export type AgreementEvent =
  /** The driver has handed in what it held from before; from now on the machine speaks. */
  | { readonly kind: 'start' }
  /** A verified message. Those of this delegate itself are handed in only after a restart, or when another device of it wrote them. */
  | { readonly kind: 'message'; readonly from: number; readonly message: AgreementMessage }
  /** The driver has checked the content of a value, and by its own clock the deadline has passed. */
  | { readonly kind: 'valid'; readonly value: Value }
  /** What this delegate would propose now. It is taken as valid. */
  | { readonly kind: 'candidate'; readonly value: Value }
  | { readonly kind: 'timeout'; readonly step: Step; readonly round: number }

export type AgreementAction =
  /** Store it durably, then send it to everybody. If it can't be stored, throw the state away and start again from what is stored. */
  | { readonly kind: 'send'; readonly message: AgreementMessage }
  /** Answer with the timeout event, after a time that grows with the round. */
  | { readonly kind: 'schedule'; readonly step: Step; readonly round: number }
  | ({ readonly kind: 'decided' } & Decision)
  /** Two messages of one delegate for one round and step: with their signatures, a proof against it. Said once per round and step. */
  | {
      readonly kind: 'misbehaved'
      readonly delegate: number
      readonly first: AgreementMessage
      readonly second: AgreementMessage
    }
  /** Messages of these rounds were let go when they came and matter now: hand in again all that are stored. */
  | { readonly kind: 'hear-again'; readonly fromRound: number; readonly throughRound: number }

export interface Transition {
  readonly state: AgreementState
  readonly actions: readonly AgreementAction[]
}

/** A delegate's message, as the machine keeps it. */
export interface Heard {
  readonly from: number
  readonly message: AgreementMessage
}

/** What was heard of one kind in one round. */
export interface Slot {
  /** In the order in which it came; no message of a delegate twice. */
  readonly heard: readonly Heard[]
  /** How many delegates said something. */
  readonly speakers: number
  /** Whether a message was let go. */
  readonly refused: boolean
}

export type RoundLog = Readonly<Record<AgreementMessage['kind'], Slot>>

/**
 * Never changed in place. Step, lock and the value to propose are not in it: they follow from the messages, this delegate's own among
 * them, so that replaying those brings them back.
 */
export interface AgreementState {
  readonly setup: Required<AgreementSetup>
  /** More than two thirds of the delegates. */
  readonly quorum: number
  /** More than a third of the delegates: one of them is honest. */
  readonly third: number
  readonly started: boolean
  readonly round: number
  readonly rounds: ReadonlyMap<number, RoundLog>
  /** Per delegate the highest round it spoke in, or -1. */
  readonly furthest: readonly number[]
  /** The lowest round beyond those kept of which a message was let go. */
  readonly refusedFrom: number | undefined
  readonly valid: ReadonlySet<Value>
  readonly candidate: Value | undefined
  /** Timeouts asked for in this round. */
  readonly scheduled: readonly Step[]
  readonly decided: Decision | undefined
}
