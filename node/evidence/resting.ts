// What failed and is left alone for a while. A failure is told once, however often it comes back.
export class Resting {
  readonly #restMs: number
  readonly #clock: () => number
  readonly #until = new Map<string, number>()

  constructor(restMs: number, clock: () => number) {
    this.#restMs = restMs
    this.#clock = clock
  }

  rests(name: string): boolean {
    return (this.#until.get(name) ?? 0) > this.#clock()
  }

  /** Returns whether it is the first time. */
  failed(name: string): boolean {
    const isFirst = !this.#until.has(name)
    this.#until.set(name, this.#clock() + this.#restMs)
    return isFirst
  }
}
