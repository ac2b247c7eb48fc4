// The delegates that misbehave, with one mind: they read every message as it is sent, are bound by no loss and no partition, and may sign
// anything in their own names. They can't sign for anybody else.
import type { AgreementMessage, Value } from '../index.ts'
import type { Party, World } from './world.ts'

export interface Backing {
  readonly round: number
  readonly value: Value
}

export class Liars {
  readonly world: World
  readonly parties: readonly Party[]
  readonly #longestWait: number
  readonly #proposed = new Map<number, Value[]>()
  readonly #prevotes = new Map<string, Backing & { count: number }>()

  constructor(world: World, parties: readonly Party[]) {
    this.world = world
    this.parties = parties
    this.#longestWait = world.dice.pick([1, 5, 40])
  }

  get names(): ReadonlySet<number> {
    return this.world.misbehaving
  }

  /** What an honest delegate has signed; each message comes once. */
  overhear({ kind, round, value }: AgreementMessage): void {
    if (value === undefined) return
    if (kind === 'proposal') this.#noteProposed(round, value)
    if (kind !== 'prevote') return
    const key = `${round} ${value}`
    const { count } = this.#prevotes.get(key) ?? { count: 0 }
    this.#prevotes.set(key, { round, value, count: count + 1 })
  }

  say(liar: number, message: AgreementMessage, to: readonly Party[]): void {
    const { ledger, agenda, dice } = this.world
    const heard = ledger.sign(liar, message)
    if (message.kind === 'proposal') this.#noteProposed(message.round, message.value)
    for (const party of to) agenda.after(dice.between(1, this.#longestWait), () => party.receive(heard))
  }

  proposedIn(round: number): readonly Value[] {
    return this.#proposed.get(round) ?? []
  }

  /** Values that so many honest delegates prevoted in an earlier round. */
  prevotedBefore(round: number, honest: number): Backing[] {
    return [...this.#prevotes.values()].filter((backing) => backing.round < round && backing.count >= honest)
  }

  anyValue(round: number): Value | undefined {
    const { dice, soundValues, junkValues } = this.world
    return dice.pick([dice.pick(soundValues), dice.pick(junkValues), this.proposedIn(round)[0], undefined])
  }

  #noteProposed(round: number, value: Value): void {
    const values = this.proposedIn(round)
    if (!values.includes(value)) this.#proposed.set(round, [...values, value])
  }
}
