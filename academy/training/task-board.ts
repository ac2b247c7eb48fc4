// How the threads of a training work together. One thread puts up a list of tasks; the workers take them one by one until none is left.
// A task's result depends on its number alone, never on who did it, so the number of workers changes nothing but the time.

export const phases = { stop: 0, applyFactors: 1, train: 2, evaluate: 3, sumGradients: 4, updateParameters: 5 } as const
export type Phase = keyof typeof phases

const phaseNames = Object.keys(phases) as Phase[]

const generationCell = 0
const nextTaskCell = 1
const taskCountCell = 2
const finishedCell = 3
const phaseCell = 4
const headBytes = 64
export const settingsMax = 8

/** Numbers that all threads see. */
export class TaskBoard {
  readonly buffer: SharedArrayBuffer
  readonly #head: Int32Array
  /** What a phase needs to know, such as the learning rate. */
  readonly settings: Float64Array
  /** One number per task. */
  readonly results: Float64Array

  constructor(taskMax: number, buffer = new SharedArrayBuffer(headBytes + (settingsMax + taskMax) * 8)) {
    this.buffer = buffer
    this.#head = new Int32Array(buffer, 0, headBytes / 4)
    this.settings = new Float64Array(buffer, headBytes, settingsMax)
    this.results = new Float64Array(buffer, headBytes + settingsMax * 8)
  }

  /** Puts up tasks and resolves when every one of `workers` has seen that none is left. */
  async run(phase: Phase, tasks: number, settings: readonly number[], workers: number): Promise<void> {
    this.settings.set(settings)
    this.#head[phaseCell] = phases[phase]
    this.#head[taskCountCell] = tasks
    this.#head[nextTaskCell] = 0
    this.#head[finishedCell] = 0
    Atomics.add(this.#head, generationCell, 1)
    Atomics.notify(this.#head, generationCell)
    for (;;) {
      const finished = Atomics.load(this.#head, finishedCell)
      if (finished === workers) return
      await Atomics.waitAsync(this.#head, finishedCell, finished).value
    }
  }

  /** The life of a worker: does tasks until the phase `stop` comes. */
  work(perform: (phase: Phase, task: number, settings: Float64Array) => number): void {
    for (let seen = 0; ; seen++) {
      Atomics.wait(this.#head, generationCell, seen)
      const phase = phaseNames[this.#head[phaseCell]!]!
      if (phase === 'stop') return
      const tasks = this.#head[taskCountCell]!
      for (let task = 0; (task = Atomics.add(this.#head, nextTaskCell, 1)) < tasks;) {
        this.results[task] = perform(phase, task, this.settings)
      }
      Atomics.add(this.#head, finishedCell, 1)
      Atomics.notify(this.#head, finishedCell)
    }
  }
}
