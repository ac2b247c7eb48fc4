// Virtual time in whole ticks: what is due, and nothing waits in between.

export class Agenda {
  now = 0
  readonly #due = new Map<number, (() => void)[]>()

  /** `inTicks` is at least 1, so that a tick's list is complete when its turn comes. */
  after(inTicks: number, act: () => void): void {
    const tick = this.now + inTicks
    const list = this.#due.get(tick)
    if (list === undefined) this.#due.set(tick, [act])
    else list.push(act)
  }

  /** Until `isOver` or the end of time, whichever is first. */
  run(endOfTime: number, isOver: () => boolean): void {
    for (; this.now <= endOfTime; this.now++) {
      for (const act of this.#due.get(this.now) ?? []) {
        act()
        if (isOver()) return
      }
      this.#due.delete(this.now)
    }
  }
}
