// Repeatable chance: the same seed, the same schedule.
import { randomNumbers } from '../../../model-files/index.ts'

export class Dice {
  readonly #draw: () => number

  constructor(seed: number) {
    this.#draw = randomNumbers(seed, 0)
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(((this.#draw() + 1) / 2) * count)
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  chance(probability: number): boolean {
    return (this.#draw() + 1) / 2 < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  some<T>(list: readonly T[]): T[] {
    return list.filter(() => this.chance(0.5))
  }

  shuffled<T>(list: readonly T[]): T[] {
    const mixed = [...list]
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const other = mixed[j]!
      mixed[j] = mixed[i]!
      mixed[i] = other
    }
    return mixed
  }
}
