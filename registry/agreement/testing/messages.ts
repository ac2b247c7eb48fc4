// Short ways to write down what delegates say, and a driver that only collects what it is asked to do.
import { next, startAgreement } from '../index.ts'
import type {
  AgreementAction,
  AgreementEvent,
  AgreementMessage,
  AgreementSetup,
  AgreementState,
  Step,
  Value,
} from '../index.ts'

export function aProposal(round: number, value: Value, validRound?: number): AgreementMessage {
  return { kind: 'proposal', round, value, validRound }
}

export function aPrevote(round: number, value?: Value): AgreementMessage {
  return { kind: 'prevote', round, value }
}

export function aPrecommit(round: number, value?: Value): AgreementMessage {
  return { kind: 'precommit', round, value }
}

export function from(delegate: number, message: AgreementMessage): AgreementEvent {
  return { kind: 'message', from: delegate, message }
}

/** The same message of several delegates. */
export function fromEach(delegates: readonly number[], message: AgreementMessage): AgreementEvent[] {
  return delegates.map((delegate) => from(delegate, message))
}

export function valid(...values: Value[]): AgreementEvent[] {
  return values.map((value) => ({ kind: 'valid', value }))
}

export function timeout(step: Step, round: number): AgreementEvent {
  return { kind: 'timeout', step, round }
}

export const start: AgreementEvent = { kind: 'start' }

/** A machine with what it asked for since it was last looked at. */
export class Watched {
  state: AgreementState
  #actions: AgreementAction[] = []

  constructor(setup: AgreementSetup) {
    this.state = startAgreement(setup)
  }

  tell(...events: readonly AgreementEvent[]): this {
    for (const event of events) {
      const { state, actions } = next(this.state, event)
      this.state = state
      this.#actions.push(...actions)
    }
    return this
  }

  actions(): AgreementAction[] {
    return this.#actions.splice(0)
  }

  sent(): AgreementMessage[] {
    return this.actions().flatMap((action) => (action.kind === 'send' ? [action.message] : []))
  }

  /** How many messages it keeps. */
  get kept(): number {
    return [...this.state.rounds.values()]
      .flatMap(({ proposal, prevote, precommit }) => [proposal, prevote, precommit])
      .reduce((sum, { heard }) => sum + heard.length, 0)
  }
}
