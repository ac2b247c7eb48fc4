// A misbehaviour without a plan: votes for everything, for different things in different camps, for nothing, for what is none.
import type { AgreementMessage, Vote } from '../index.ts'
import type { Adversary } from './adversary.ts'
import type { Liars } from './liars.ts'
import type { Party } from './world.ts'

export class Scatterer implements Adversary {
  readonly #liars: Liars
  /** How often it does what, per message it sees. */
  readonly #habits: Record<'divide' | 'agreeToAll' | 'lure' | 'talkNonsense', number>
  /** Two camps, told different things; in some schedules they are those of the partition. */
  #camps: readonly [Party[], Party[]]

  constructor(liars: Liars) {
    const { dice } = liars.world
    const habit = (): number => dice.pick([0, 0.1, 0.3, 0.7])
    this.#liars = liars
    this.#habits = { divide: habit(), agreeToAll: habit(), lure: habit(), talkNonsense: dice.pick([0, 0.05, 0.2]) }
    this.#camps = this.#chooseCamps()
  }

  lagOf(): number {
    return 0
  }

  watch(message: AgreementMessage): void {
    const { names, parties, world } = this.#liars
    const { dice } = world
    if (dice.chance(0.02)) this.#camps = this.#chooseCamps()
    for (const liar of names) {
      if (dice.chance(this.#habits.divide)) this.#divide(liar, message.round)
      if (dice.chance(this.#habits.agreeToAll)) this.#agree(liar, message, dice.some(parties))
      if (dice.chance(this.#habits.lure)) this.#agree(liar, message, [dice.pick(parties)])
      if (dice.chance(this.#habits.talkNonsense)) this.#talkNonsense(liar, message.round)
    }
  }

  /** One thing to the one camp and another to the other, each perhaps as if it had a quorum behind it. */
  propose(liar: number, round: number): void {
    const { dice, soundValues } = this.#liars.world
    const everybody = dice.chance(0.3)
    for (const camp of this.#camps) {
      const value = this.#liars.anyValue(round) ?? dice.pick(soundValues)
      const validRound = round > 0 && dice.chance(0.4) ? dice.below(round) : undefined
      this.#liars.say(liar, { kind: 'proposal', round, value, validRound }, everybody ? this.#liars.parties : camp)
    }
  }

  #divide(liar: number, round: number): void {
    const { dice } = this.#liars.world
    const proposed = this.#liars.proposedIn(round)
    for (const [i, camp] of this.#camps.entries()) {
      const value =
        proposed.length > 0 && dice.chance(0.8) ? proposed[i % proposed.length] : this.#liars.anyValue(round)
      for (const kind of this.#kinds()) this.#liars.say(liar, { kind, round, value }, camp)
    }
  }

  #agree(liar: number, { round, value }: AgreementMessage, to: readonly Party[]): void {
    for (const kind of this.#kinds()) this.#liars.say(liar, { kind, round, value }, to)
  }

  #kinds(): Vote['kind'][] {
    return this.#liars.world.dice.pick([['prevote'], ['precommit'], ['prevote', 'precommit']])
  }

  /** Old rounds, far rounds, rounds that are none, proposals out of turn: all signed, all to be survived. */
  #talkNonsense(liar: number, near: number): void {
    const { dice } = this.#liars.world
    const rounds = [near, near + 1, near + 3, dice.between(0, near), dice.below(1_000), 1e9, 1e12, -1, 0.5, NaN]
    const round = dice.pick(rounds)
    const value = this.#liars.anyValue(near)
    const kind = dice.pick(['proposal', 'prevote', 'precommit'] as const)
    const message: AgreementMessage =
      kind === 'proposal' ? { kind, round, value: value ?? 'junk', validRound: dice.below(9) } : { kind, round, value }
    this.#liars.say(liar, message, dice.some(this.#liars.parties))
  }

  #chooseCamps(): readonly [Party[], Party[]] {
    const { parties, world } = this.#liars
    const [one] = parties
    const besideOne = parties.filter(({ index }) => !world.areApart(one!.index, index))
    const first = world.dice.chance(0.5) ? besideOne : world.dice.some(parties)
    return [first, parties.filter((party) => !first.includes(party))]
  }
}
