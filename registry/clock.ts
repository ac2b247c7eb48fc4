// The real clock, and one that a simulation turns by hand.
import type { Clock } from './ports.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  schedule(delayMs, task) {
    const timer = setTimeout(task, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

export class ManualClock implements Clock {
  #now: number
  readonly #tasks = new Set<{ readonly at: number; readonly task: () => void }>()

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  schedule(delayMs: number, task: () => void): () => void {
    const entry = { at: this.#now + delayMs, task }
    this.#tasks.add(entry)
    return () => this.#tasks.delete(entry)
  }

  /** When the next task falls due; undefined if there is none. */
  get nextAt(): number | undefined {
    return this.#tasks.size === 0 ? undefined : Math.min(...[...this.#tasks].map(({ at }) => at))
  }

  /** Runs what falls due, in order. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const [next] = [...this.#tasks].filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#tasks.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.task()
    }
    this.#now = until
  }
}
