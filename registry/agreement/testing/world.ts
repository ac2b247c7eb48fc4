// What the parties of one schedule share: time, the network and its weather, the values there are, and who misbehaves.
import { Agenda } from './agenda.ts'
import { Dice } from './dice.ts'
import { Ledger } from './ledger.ts'
import type { Heard, Step, Value, next, startAgreement } from '../index.ts'

/** The machine under test, or one with a fault in it. */
export interface Machine {
  readonly start: typeof startAgreement
  readonly next: typeof next
}

export interface ScheduleOptions {
  readonly delegates: number
  /** Delegates that misbehave; undefined: as many as may, in most schedules. */
  readonly misbehaving?: number
  readonly seed: number
  readonly machine: Machine
  /** What survives a crash: `as told` are its own messages, and of others' those that came before the last of its own. */
  readonly durable?: 'as told' | 'nothing of its own' | 'others at random'
}

export interface Party {
  readonly index: number
  /** A message arrives. */
  receive(heard: Heard): void
}

const longestDelayOnceHealed = 4

/** One draw of everything that can be different from schedule to schedule. */
export class World {
  readonly agenda = new Agenda()
  readonly dice: Dice
  readonly ledger: Ledger
  readonly delegates: number
  readonly misbehaving: ReadonlySet<number>
  readonly misbehaviour: 'is silent' | 'scatters' | 'schemes'
  readonly durable: NonNullable<ScheduleOptions['durable']>
  readonly healAt: number
  readonly roundsAhead: number
  readonly crashChance: number
  /** Values whose content every honest delegate finds valid, sooner or later, and such as none ever does. */
  readonly soundValues: readonly Value[]
  readonly junkValues: readonly Value[] = ['junk 0', 'junk 1', 'junk 2', 'junk 3']
  /** Until the heal parties pass on what they hold at least so often. */
  readonly longestSilence: number
  /** Ticks by which the adversary delays a message until the heal. */
  interference: (heard: Heard, to: Party) => number = () => 0
  readonly #lossChance: number
  readonly #lags = new Map<string, number>()
  readonly #lagsToDraw: readonly number[]
  readonly #repeatChance: number
  readonly #longestDelay: number
  readonly #shortestTimeout: number
  readonly #timeoutGrowth: number
  #group: readonly number[]

  constructor({ delegates, misbehaving, seed, durable = 'as told' }: ScheduleOptions) {
    const dice = new Dice(seed)
    const most = Math.ceil(delegates / 3) - 1
    const count = misbehaving ?? (dice.chance(0.85) ? most : dice.between(0, most))
    this.dice = dice
    this.delegates = delegates
    this.durable = durable
    this.misbehaving = new Set(dice.shuffled(Array.from({ length: delegates }, (_, i) => i)).slice(0, count))
    this.soundValues = Array.from({ length: dice.pick([1, 2, delegates, delegates]) }, (_, i) => `sound ${i}`)
    this.ledger = new Ledger((value) => this.soundValues.includes(value))
    this.misbehaviour = dice.pick(['is silent', 'scatters', 'scatters', 'scatters', 'schemes', 'schemes', 'schemes'])
    // A plan comes to nothing in a storm.
    const isCalm = this.misbehaviour === 'schemes' && dice.chance(0.7)
    this.healAt = dice.pick([dice.between(0, 100), dice.between(50, 300), dice.between(300, 900)])
    this.longestSilence = isCalm ? 1_000 : dice.pick([20, 100, 1_000])
    this.roundsAhead = dice.pick([1, 2, 4, 16])
    this.crashChance = dice.pick([0, 0.01, 0.05])
    this.#lossChance = isCalm ? 0 : dice.pick([0, 0, 0.1, 0.3])
    this.#lagsToDraw = isCalm ? [0] : dice.pick([[0], [0, 20], [0, 0, 40], [0, 20, 40], [0, 0, 40, 200]])
    this.#repeatChance = dice.pick([0, 0.1, 0.3])
    this.#longestDelay = isCalm ? 2 : dice.pick([1, 5, 5, 20, 60])
    this.#shortestTimeout = dice.between(2, 24)
    this.#timeoutGrowth = dice.pick([1, 3, 10])
    this.#group = Array.from({ length: delegates + 1 }, () => 0)
    if (!isCalm && dice.chance(0.3)) this.#divide()
  }

  get healed(): boolean {
    return this.agenda.now >= this.healAt
  }

  isHonest(index: number): boolean {
    return !this.misbehaving.has(index)
  }

  /** Grows with the round, as a driver must do it. */
  timeout(_step: Step, round: number): number {
    return this.#shortestTimeout + this.#timeoutGrowth * round
  }

  areApart(a: number, b: number): boolean {
    return !this.healed && this.#group[a] !== this.#group[b]
  }

  /** Lost, late, twice, out of order; after the heal merely late by a bounded time. */
  transmit(from: number, to: Party, heard: Heard): void {
    const { dice, agenda } = this
    if (this.healed) return agenda.after(dice.between(1, longestDelayOnceHealed), () => to.receive(heard))
    if (this.areApart(from, to.index) || dice.chance(this.#lossChance)) return
    const lag = this.#lagOf(heard, to) + this.interference(heard, to)
    const arrive = (): void => agenda.after(lag + dice.between(1, this.#longestDelay), () => to.receive(heard))
    arrive()
    if (dice.chance(this.#repeatChance)) arrive()
  }

  /** Of one step of a round some hear at once and others late: one alone locks, one alone decides, and the round goes on without it. */
  #lagOf({ message: { kind, round } }: Heard, { index }: Party): number {
    const key = `${kind} ${round} ${index}`
    const drawn = this.#lags.get(key) ?? this.dice.pick(this.#lagsToDraw)
    this.#lags.set(key, drawn)
    return drawn
  }

  /** The network falls into up to three parts, and later into others, until it heals. */
  #divide(): void {
    const parts = this.dice.between(1, 3)
    this.#group = this.#group.map(() => this.dice.below(parts))
    if (!this.healed) this.agenda.after(this.dice.between(5, 60), () => this.#divide())
  }
}
