// The delegates that misbehave, with one mind: they read every message as it is sent, are bound by no loss and no partition, and sign
// whatever may divide the others. They can't sign for anybody else.
import { proposerOf } from '../index.ts'
import type { AgreementMessage, Heard, Value, Vote } from '../index.ts'
import type { Party, World } from './world.ts'

export class Adversary {
  readonly #world: World
  readonly #parties: readonly Party[]
  readonly #silent: boolean
  /** How often it does what, per message it sees. */
  readonly #habits: Record<'divide' | 'agreeToAll' | 'lure' | 'talkNonsense', number>
  readonly #longestWait: number
  /** Two camps, told different things; in some schedules they are those of the partition. */
  #camps: readonly [Party[], Party[]]
  readonly #proposed = new Map<number, Value[]>()

  constructor(world: World, parties: readonly Party[]) {
    const { dice } = world
    const habit = (): number => dice.pick([0, 0.1, 0.3, 0.7])
    this.#world = world
    this.#parties = parties
    this.#silent = dice.chance(0.1)
    this.#habits = { divide: habit(), agreeToAll: habit(), lure: habit(), talkNonsense: dice.pick([0, 0.05, 0.2]) }
    this.#longestWait = dice.pick([1, 5, 40])
    this.#camps = this.#chooseCamps()
    world.agenda.after(1, () => this.#proposeIn(0))
  }

  watch({ message }: Heard): void {
    if (this.#silent) return
    const { dice, misbehaving } = this.#world
    const { round } = message
    if (message.kind === 'proposal') this.#noteProposed(round, message.value)
    if (message.kind === 'precommit') this.#proposeIn(round + 1)
    if (dice.chance(0.02)) this.#camps = this.#chooseCamps()
    for (const liar of misbehaving) {
      if (dice.chance(this.#habits.divide)) this.#divide(liar, round)
      if (dice.chance(this.#habits.agreeToAll)) this.#agree(liar, message, dice.some(this.#parties))
      // A lock that only one knows of.
      if (dice.chance(this.#habits.lure)) this.#agree(liar, message, [dice.pick(this.#parties)])
      if (dice.chance(this.#habits.talkNonsense)) this.#talkNonsense(liar, round)
    }
  }

  #say(liar: number, message: AgreementMessage, to: readonly Party[]): void {
    const { ledger, agenda, dice } = this.#world
    const heard = ledger.sign(liar, message)
    for (const party of to) agenda.after(dice.between(1, this.#longestWait), () => party.receive(heard))
  }

  /** As proposer it says one thing to the one camp and another to the other, each perhaps as if it had a quorum behind it. */
  #proposeIn(round: number): void {
    const { dice, delegates, soundValues } = this.#world
    const proposer = proposerOf(round, delegates)
    if (this.#silent || this.#world.isHonest(proposer) || this.#proposed.has(round)) return
    const everybody = dice.chance(0.3)
    for (const camp of this.#camps) {
      const value = this.#anyValue(round) ?? dice.pick(soundValues)
      const validRound = round > 0 && dice.chance(0.4) ? dice.below(round) : undefined
      this.#noteProposed(round, value)
      this.#say(proposer, { kind: 'proposal', round, value, validRound }, everybody ? this.#parties : camp)
    }
  }

  #divide(liar: number, round: number): void {
    const { dice } = this.#world
    const proposed = this.#proposed.get(round) ?? []
    for (const [i, camp] of this.#camps.entries()) {
      const value = proposed.length > 0 && dice.chance(0.8) ? proposed[i % proposed.length] : this.#anyValue(round)
      for (const kind of this.#kinds()) this.#say(liar, { kind, round, value }, camp)
    }
  }

  #agree(liar: number, { round, value }: AgreementMessage, to: readonly Party[]): void {
    for (const kind of this.#kinds()) this.#say(liar, { kind, round, value }, to)
  }

  #kinds(): Vote['kind'][] {
    return this.#world.dice.pick([['prevote'], ['precommit'], ['prevote', 'precommit']])
  }

  /** Old rounds, far rounds, rounds that are none, proposals out of turn: all signed, all to be survived. */
  #talkNonsense(liar: number, near: number): void {
    const { dice } = this.#world
    const round = dice.pick([
      near,
      near + 1,
      near + 3,
      dice.between(0, near),
      dice.below(1_000),
      1e9,
      1e12,
      -1,
      0.5,
      NaN,
    ])
    const value = this.#anyValue(round)
    const kind = dice.pick(['proposal', 'prevote', 'precommit'] as const)
    const message: AgreementMessage =
      kind === 'proposal' ? { kind, round, value: value ?? 'junk', validRound: dice.below(9) } : { kind, round, value }
    this.#say(liar, message, dice.some(this.#parties))
  }

  #anyValue(round: number): Value | undefined {
    const { dice, soundValues, junkValues } = this.#world
    return dice.pick([dice.pick(soundValues), dice.pick(junkValues), this.#proposed.get(round)?.[0], undefined])
  }

  #noteProposed(round: number, value: Value): void {
    const values = this.#proposed.get(round) ?? []
    if (!values.includes(value)) this.#proposed.set(round, [...values, value])
  }

  #chooseCamps(): readonly [Party[], Party[]] {
    const { dice } = this.#world
    const [one] = this.#parties
    const besideOne = this.#parties.filter(({ index }) => !this.#world.areApart(one!.index, index))
    const first = dice.chance(0.5) ? besideOne : dice.some(this.#parties)
    return [first, this.#parties.filter((party) => !first.includes(party))]
  }
}
