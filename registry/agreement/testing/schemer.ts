// A misbehaviour with a plan: as few as possible lock, at most one decides, nobody else learns of it, and all go on to another value. It has
// some power over the network too, until that heals: it makes the messages late that would spoil the plan.
import { quorumOf } from '../index.ts'
import type { AgreementMessage, Heard, Value } from '../index.ts'
import type { Adversary } from './adversary.ts'
import type { Backing, Liars } from './liars.ts'
import type { Party } from './world.ts'

/** Who is to believe what in one round. */
interface Plan {
  /** They get the proposal too late, and prevote nil. */
  readonly doubters: readonly number[]
  /** They get the liars' prevotes for the value. */
  readonly lockers: readonly Party[]
  readonly deciders: readonly Party[]
}

export class Schemer implements Adversary {
  readonly #liars: Liars
  readonly #plans = new Map<number, Plan>()
  readonly #done = new Set<string>()

  constructor(liars: Liars) {
    this.#liars = liars
  }

  lagOf({ from, message }: Heard, to: Party): number {
    const { world, names } = this.#liars
    if (names.has(from) && message.value !== undefined && message.kind !== 'proposal') return 200
    const { round } = message
    const isLate = message.kind === 'proposal' && !names.has(from) && this.#planFor(round).doubters.includes(to.index)
    return isLate ? world.timeout('propose', round) + world.dice.between(1, 30) : 0
  }

  watch({ kind, round, value }: AgreementMessage): void {
    if (kind === 'proposal' || this.#done.has(`${kind} ${round} ${value}`)) return
    this.#done.add(`${kind} ${round} ${value}`)
    const { names, parties } = this.#liars
    const { lockers, deciders } = this.#planFor(round)
    const chosen = kind === 'prevote' ? lockers : deciders
    const others = parties.filter((party) => !chosen.includes(party))
    for (const liar of names) {
      if (value !== undefined) this.#liars.say(liar, { kind, round, value }, chosen)
      this.#liars.say(liar, { kind, round, value: undefined }, others)
    }
  }

  /** What truly had a quorum before and was perhaps given up; what had none but some prevotes; or something new. */
  propose(liar: number, round: number): void {
    const { dice, soundValues } = this.#liars.world
    const fewest = dice.chance(0.6) ? this.#fewestWithLiars() : 1
    const backed = this.#liars.prevotedBefore(round, fewest)
    if (backed.length > 0 && dice.chance(0.7)) {
      const backing = dice.pick(backed)
      this.#addPrevotes(backing)
      this.#tellAll(liar, round, backing.value, backing.round)
    } else {
      this.#tellAll(liar, round, dice.pick(soundValues), round > 0 && dice.chance(0.3) ? dice.below(round) : undefined)
    }
  }

  #tellAll(liar: number, round: number, value: Value, validRound: number | undefined): void {
    this.#liars.say(liar, { kind: 'proposal', round, value, validRound }, this.#liars.parties)
  }

  #addPrevotes({ round, value }: Backing): void {
    const { names, parties } = this.#liars
    for (const liar of names) this.#liars.say(liar, { kind: 'prevote', round, value }, parties)
  }

  #planFor(round: number): Plan {
    const known = this.#plans.get(round)
    if (known !== undefined) return known
    const plan = this.#liars.world.dice.chance(0.15) ? this.#helpAll() : this.#divideIn(round)
    this.#plans.set(round, plan)
    return plan
  }

  #helpAll(): Plan {
    const { parties } = this.#liars
    return { doubters: [], lockers: parties, deciders: parties }
  }

  /** So many doubt that without the liars there is no quorum, and so few lock that there is one again for another value. */
  #divideIn(round: number): Plan {
    const { parties, world, names } = this.#liars
    const { dice, delegates } = world
    const mayDoubt = parties
      .map(({ index }) => index)
      .filter((index) => index < delegates && index !== round % delegates)
    return {
      doubters: dice.shuffled(mayDoubt).slice(0, dice.chance(0.7) ? names.size : dice.between(0, names.size)),
      lockers: dice
        .shuffled(parties)
        .slice(0, dice.pick([1, this.#fewestWithLiars(), dice.between(1, parties.length)])),
      deciders: dice.chance(0.7) ? [dice.pick(parties)] : [],
    }
  }

  /** Honest delegates who with the liars are a quorum. */
  #fewestWithLiars(): number {
    const { world, names } = this.#liars
    return quorumOf(world.delegates) - names.size
  }
}
