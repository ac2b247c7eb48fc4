// Machines with one rule broken each, made around the real one: what a simulation that can fail must catch.
import { next, startAgreement } from '../index.ts'
import type { AgreementEvent, AgreementState, RoundLog, Transition } from '../index.ts'
import type { Machine } from './world.ts'

export const realMachine: Machine = { start: startAgreement, next }

/** Takes more than half for a quorum. */
export const majorityMachine: Machine = {
  start: (setup) => ({ ...startAgreement(setup), quorum: Math.floor(setup.delegates / 2) + 1 }),
  next,
}

/** Takes one delegate less than a quorum for one: exactly two thirds of three, six, nine, and 2f of 3f + 1. */
export const oneShortMachine: Machine = {
  start: (setup) => ({ ...startAgreement(setup), quorum: startAgreement(setup).quorum - 1 }),
  next,
}

/** Goes to a later round on the word of a single delegate. */
export const ledByOneMachine: Machine = { start: (setup) => ({ ...startAgreement(setup), third: 1 }), next }

/** Finds every value valid that it hears of. */
export const gullibleMachine: Machine = {
  start: startAgreement,
  next: (state, event) => {
    const value = event.kind === 'message' ? event.message.value : undefined
    return next(value === undefined ? state : next(state, { kind: 'valid', value }).state, event)
  },
}

/** Never asks for messages that it let go. */
export const deafMachine: Machine = {
  start: startAgreement,
  next: (state, event) => {
    const transition = next(state, event)
    return { ...transition, actions: transition.actions.filter(({ kind }) => kind !== 'hear-again') }
  },
}

/** Remembers what it precommitted in earlier rounds as nil, and so is never locked. */
export const unlockedMachine: Machine = { start: startAgreement, next: nextWithoutLock }

function nextWithoutLock(state: AgreementState, event: AgreementEvent): Transition {
  const { started, round, rounds, setup } = state
  if (!started) return next(state, event)
  if (event.kind === 'message' && event.from === setup.self) return { state, actions: [] }
  const unlocked = [...rounds].map(([at, log]) => [at, at < round ? withoutLock(log, setup.self) : log] as const)
  return next({ ...state, rounds: new Map(unlocked) }, event)
}

function withoutLock(log: RoundLog, self: number | undefined): RoundLog {
  const heard = log.precommit.heard.map(({ from, message }) =>
    from === self ? { from, message: { ...message, kind: 'precommit' as const, value: undefined } } : { from, message },
  )
  return { ...log, precommit: { ...log.precommit, heard } }
}
