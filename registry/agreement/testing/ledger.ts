// What happened in one schedule, seen from above, and whether it was allowed to: the properties that must always hold.
import type { AgreementMessage, Decision, Heard, Value } from '../index.ts'

export type Violation =
  | 'two decisions'
  | 'no decision'
  | 'an invalid value decided'
  | 'an honest delegate signed twice'
  | 'an honest delegate voted for what it had not checked'
  | 'an honest delegate was accused'
  | 'messages alone did not lead to the decision'

export class Ledger {
  readonly violations: Violation[] = []
  readonly decisions = new Map<number, Decision>()
  readonly accused = new Set<number>()
  restarts = 0
  heardAgain = 0
  steps = 0
  /** Every message ever signed, by its text: one object each, so that a message is known by identity. */
  readonly #signed = new Map<string, Heard>()
  readonly #honestSlots = new Map<string, Heard>()
  readonly #isSound: (value: Value) => boolean

  constructor(isSound: (value: Value) => boolean) {
    this.#isSound = isSound
  }

  sign(from: number, message: AgreementMessage): Heard {
    const { kind, round, value } = message
    const text = `${from} ${kind} ${round} ${value} ${kind === 'proposal' ? message.validRound : ''}`
    const known = this.#signed.get(text)
    if (known !== undefined) return known
    const heard = { from, message }
    this.#signed.set(text, heard)
    return heard
  }

  signHonestly(from: number, message: AgreementMessage, hasChecked: (value: Value) => boolean): Heard {
    const heard = this.sign(from, message)
    const slot = `${from} ${message.kind} ${message.round}`
    if (this.#honestSlots.has(slot) && this.#honestSlots.get(slot) !== heard) {
      this.violations.push('an honest delegate signed twice')
    }
    this.#honestSlots.set(slot, heard)
    if (message.value !== undefined && !hasChecked(message.value)) {
      this.violations.push('an honest delegate voted for what it had not checked')
    }
    return heard
  }

  /** Of an honest delegate, or of an observer. */
  decided(by: number, decision: Decision): void {
    if (!this.#isSound(decision.value)) this.violations.push('an invalid value decided')
    for (const other of this.decisions.values()) {
      if (other.value !== decision.value) this.violations.push('two decisions')
    }
    if (!this.decisions.has(by)) this.decisions.set(by, decision)
  }

  accuse(delegate: number, isHonest: boolean): void {
    if (isHonest) this.violations.push('an honest delegate was accused')
    this.accused.add(delegate)
  }

  /** Values that honest delegates precommitted and that were not decided: locks that were, or had to be, given up. */
  vainLocks(): number {
    const decided = this.decisions.values().next().value?.value
    const locks = [...this.#honestSlots.values()].filter(({ message }) => message.kind === 'precommit')
    return locks.filter(({ message }) => message.value !== undefined && message.value !== decided).length
  }
}
