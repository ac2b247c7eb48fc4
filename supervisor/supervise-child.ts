import { MeshError } from '../protocol/index.ts'
import { startChild } from './child-process.ts'
import type { ChildLife } from './child-process.ts'
import { next } from './child-state.ts'
import type { ChildEvent, ChildState } from './child-state.ts'
import { createCrashLedger } from './crash-ledger.ts'
import { describeExit } from './exit-reason.ts'
import type { Exit } from './exit-reason.ts'
import { fromWireError, isMessage } from './messages.ts'

export interface ChildOptions<E> {
  /** Used in sentences for people: "The network process ...". */
  readonly name: string
  readonly entry: URL
  readonly args?: readonly string[]
  /** The child gets this and PATH, nothing else. */
  readonly env?: Readonly<Record<string, string>>
  readonly execArgv?: readonly string[]
  onEvent?(event: E): void
  onState?(state: ChildState): void
  /** Runs after every (re)start before queued requests: re-send what a fresh child must know. If it fails, so did the start. */
  onStart?(child: { request(type: string, payload: unknown): Promise<unknown> }): Promise<void>
  /** Time between two pings; a child that leaves three unanswered is killed. */
  readonly heartbeatMs?: number
  /** Pause before restart 1, 2, ...; the last one stays. A child that did some work starts again at the first. */
  readonly backoffMs?: readonly number[]
  readonly stopTimeoutMs?: number
  /** How long a process may take until it serves. */
  readonly startTimeoutMs?: number
  readonly nowMs?: () => number
}

export interface RequestOptions {
  readonly signal?: AbortSignal
  /** What is to blame if the child dies meanwhile, such as the SHA-256 of the file it works on. */
  readonly blame?: string
  onEvent?(event: unknown): void
}

export interface SupervisedChild extends AsyncDisposable {
  readonly state: ChildState
  /**
   * Waits while the child starts or backs off. Rejects with the MeshError that the handler threw, or `child-crashed` if the
   * child died meanwhile (details: name, exit, exitCode, signal, blame) or can't be started at all, `quarantined` if `blame` has
   * ended it three times, `aborted`.
   */
  request<R>(type: string, payload: unknown, options?: RequestOptions): Promise<R>
  /** Ends the process and starts a fresh one; resolves when that serves. Requests in flight are rejected, waiting ones wait on. */
  restart(reason: string): Promise<void>
}

interface Pending {
  readonly id: number
  readonly type: string
  readonly payload: unknown
  readonly blame: string | undefined
  onEvent: ((event: unknown) => void) | undefined
  /** Sent by `onStart`; answering it is no sign that the child can do its work. */
  readonly setup: boolean
  resolve(value: unknown): void
  reject(error: Error): void
}

const unansweredPingsUntilDead = 3
const failedStartsUntilTold = 3

export function superviseChild<E = unknown>(options: ChildOptions<E>): SupervisedChild {
  return new Supervisor(options as ChildOptions<unknown>)
}

class Supervisor implements SupervisedChild {
  readonly #options: ChildOptions<unknown>
  readonly #ledger = createCrashLedger()
  readonly #waiting = new Map<number, Pending>()
  /** Sent to the child of this life; kept when the caller gave up, so that a crash it causes is still blamed on it. */
  readonly #inFlight = new Map<number, Pending>()
  #state: ChildState = { kind: 'starting' }
  #life: ChildLife | undefined
  #timers: NodeJS.Timeout[] = []
  #lastId = 0
  #unansweredPings = 0
  /** Restarts since the child last did some work: picks the back-off. */
  #restarts = 0
  #failedStarts = 0
  #startFailure: unknown
  #stopped: Promise<void> | undefined
  #ending: Promise<unknown> | undefined
  #whenSettled: (() => void)[] = []

  constructor(options: ChildOptions<unknown>) {
    this.#options = options
    this.#start()
  }

  get state(): ChildState {
    return this.#state
  }

  async request<R>(type: string, payload: unknown, { signal, blame, onEvent }: RequestOptions = {}): Promise<R> {
    if (signal?.aborted) throw this.#aborted(type, signal.reason)
    if (blame !== undefined && this.#ledger.quarantined(blame)) throw this.#quarantined(blame)
    if (this.#state.kind === 'stopped') throw this.#stoppedError()
    return new Promise<R>((resolve, reject) => {
      const id = ++this.#lastId
      const onAbort = (): void => this.#giveUp(id, this.#aborted(type, signal?.reason))
      signal?.addEventListener('abort', onAbort, { once: true })
      const settled = (): void => signal?.removeEventListener('abort', onAbort)
      this.#enqueue({
        id,
        type,
        payload,
        blame,
        onEvent,
        setup: false,
        resolve: (value) => (settled(), resolve(value as R)),
        reject: (error) => (settled(), reject(error)),
      })
    })
  }

  async restart(reason: string): Promise<void> {
    if (this.#state.kind === 'stopped') throw this.#stoppedError()
    const life = this.#life
    if (life !== undefined) {
      const because = `was restarted: ${reason}`
      this.#forget(life)
      this.#move({ kind: 'start' })
      this.#rejectInFlight(this.#crashed({ code: null, signal: null, endedBecause: because, lastWords: '' }))
      this.#ending = life.stop(because, this.#stopTimeoutMs)
    }
    // The old process holds its ports and files until it is gone.
    await this.#ending
    if (this.#stopped !== undefined) throw this.#stoppedError()
    this.#restarts = 0
    this.#failedStarts = 0
    // Someone else may have started it while this call waited for the old process to end.
    if (this.#life === undefined) this.#start()
    await this.#untilRunning()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#stop()
    await this.#stopped
  }

  // ---- one life

  #start(): void {
    this.#clearTimers()
    this.#move({ kind: 'start' })
    this.#unansweredPings = 0
    const { entry, args = [], env = {}, execArgv = [], startTimeoutMs = 60_000, heartbeatMs = 5000 } = this.#options
    const life = startChild({
      entry,
      args,
      env,
      execArgv,
      onMessage: (message) => this.#life === life && this.#receive(life, message),
    })
    this.#life = life
    void life.exited.then((exit) => this.#life === life && this.#exited(life, exit))
    this.#timers = [
      setTimeout(() => life.kill('did not start in time'), startTimeoutMs),
      setInterval(() => this.#beat(life), heartbeatMs),
    ]
  }

  #receive(life: ChildLife, message: unknown): void {
    if (!isMessage(message)) return
    const id = Number(message.id)
    switch (message.kind) {
      case 'ready':
        void this.#begin(life)
        break
      case 'pong':
        this.#unansweredPings = 0
        break
      case 'result':
        this.#answered(id, message['value'])
        break
      case 'failed':
        this.#settle(id)?.reject(fromWireError(message['error']))
        break
      case 'request-event':
        this.#inFlight.get(id)?.onEvent?.(message['event'])
        break
      case 'event':
        this.#options.onEvent?.(message['event'])
        break
    }
  }

  #answered(id: number, value: unknown): void {
    const pending = this.#settle(id)
    if (pending?.setup === false) this.#restarts = 0
    pending?.resolve(value)
  }

  async #begin(life: ChildLife): Promise<void> {
    if (this.#state.kind !== 'starting' || life.pid === undefined) return
    try {
      await this.#options.onStart?.({
        request: (type, payload) =>
          new Promise((resolve, reject) =>
            this.#send(life, {
              id: ++this.#lastId,
              type,
              payload,
              blame: undefined,
              onEvent: undefined,
              setup: true,
              resolve,
              reject,
            }),
          ),
      })
    } catch (error) {
      if (this.#life !== life) return
      this.#startFailure = error
      life.kill(`could not be set up: ${error instanceof Error ? error.message : String(error)}`)
      return
    }
    if (this.#life !== life) return
    this.#failedStarts = 0
    clearTimeout(this.#timers[0])
    this.#move({ kind: 'ready', pid: life.pid })
    for (const pending of this.#waiting.values()) this.#send(life, pending)
    this.#waiting.clear()
  }

  /** Counts pings, not time: after the machine slept, or this process was busy, the child still gets its three chances. */
  #beat(life: ChildLife): void {
    if (this.#state.kind !== 'running') return
    if (this.#unansweredPings >= unansweredPingsUntilDead) {
      life.kill('stopped answering and was ended')
      return
    }
    this.#unansweredPings++
    life.send({ kind: 'ping' })
  }

  #exited(life: ChildLife, exit: Exit): void {
    const failedToStart = this.#state.kind === 'starting'
    this.#forget(life)
    this.#ledger.crashed([...this.#inFlight.values()].flatMap(({ blame }) => blame ?? []))
    this.#rejectInFlight(this.#crashed(exit))
    if (failedToStart && ++this.#failedStarts >= failedStartsUntilTold) this.#rejectWaiting(this.#cannotStart(exit))
    const { backoffMs = [50, 100, 250, 500, 1000], nowMs = Date.now } = this.#options
    const pauseMs = backoffMs[Math.min(this.#restarts++, backoffMs.length - 1)] ?? 0
    this.#timers = [setTimeout(() => this.#start(), pauseMs)]
    this.#move({ kind: 'exited', exit: describeExit(exit), retryAtMs: nowMs() + pauseMs })
  }

  async #stop(): Promise<void> {
    const life = this.#life
    if (life !== undefined) this.#forget(life)
    this.#clearTimers()
    this.#move({ kind: 'stop' })
    this.#rejectInFlight(this.#stoppedError())
    this.#rejectWaiting(this.#stoppedError())
    await this.#ending
    await life?.stop('was stopped', this.#stopTimeoutMs)
  }

  /** From here on nothing this process sends or does has an effect. */
  #forget(life: ChildLife): void {
    if (this.#life !== life) return
    this.#life = undefined
    this.#clearTimers()
  }

  // ---- requests

  #enqueue(pending: Pending): void {
    if (this.#state.kind === 'running' && this.#life !== undefined) this.#send(this.#life, pending)
    else this.#waiting.set(pending.id, pending)
  }

  #send(life: ChildLife, pending: Pending): void {
    this.#inFlight.set(pending.id, pending)
    try {
      life.send({ kind: 'request', id: pending.id, type: pending.type, payload: pending.payload })
    } catch (error) {
      this.#settle(pending.id)
      pending.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#inFlight.get(id)
    this.#inFlight.delete(id)
    return pending
  }

  #giveUp(id: number, error: MeshError): void {
    const pending = this.#waiting.get(id) ?? this.#inFlight.get(id)
    this.#waiting.delete(id)
    if (this.#inFlight.has(id)) this.#life?.send({ kind: 'abort', id })
    if (pending === undefined) return
    pending.onEvent = undefined
    pending.reject(error)
  }

  #rejectInFlight(error: MeshError): void {
    const lost = [...this.#inFlight.values()]
    this.#inFlight.clear()
    for (const { blame, reject } of lost) {
      if (blame === undefined) reject(error)
      else if (this.#ledger.quarantined(blame)) reject(this.#quarantined(blame, error))
      else reject(new MeshError(error.code, error.message, { ...error.details, blame }))
    }
  }

  #rejectWaiting(error: MeshError): void {
    const lost = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of lost) reject(error)
    this.#tellSettled()
  }

  // ---- state

  #move(event: ChildEvent): void {
    const before = this.#state
    this.#state = next(before, event)
    if (this.#state === before) return
    this.#options.onState?.(this.#state)
    if (this.#state.kind === 'running' || this.#state.kind === 'stopped') this.#tellSettled()
  }

  /** Resolves when requests are served; rejects if the process is stopped or can't be started. */
  async #untilRunning(): Promise<void> {
    while (this.#state.kind !== 'running') {
      if (this.#state.kind === 'stopped') throw this.#stoppedError()
      if (this.#failedStarts >= failedStartsUntilTold && this.#state.kind === 'backing-off') {
        throw this.#cannotStart({ code: null, signal: null, endedBecause: this.#state.lastExit, lastWords: '' })
      }
      await new Promise<void>((resolve) => this.#whenSettled.push(resolve))
    }
  }

  #tellSettled(): void {
    const told = this.#whenSettled
    this.#whenSettled = []
    for (const tell of told) tell()
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
  }

  get #stopTimeoutMs(): number {
    return this.#options.stopTimeoutMs ?? 3000
  }

  // ---- what callers are told

  #crashed(exit: Exit): MeshError {
    const { name } = this.#options
    const how = describeExit(exit)
    return new MeshError('child-crashed', `The ${name} process ${how}. It is being restarted; try again.`, {
      name,
      exit: how,
      ...(exit.code !== null && { exitCode: exit.code }),
      ...(exit.signal !== null && { signal: exit.signal }),
    })
  }

  #cannotStart(exit: Exit): MeshError {
    const { name } = this.#options
    const how = describeExit(exit)
    return new MeshError(
      'child-crashed',
      `The ${name} process does not start: it ${how}. Run \`lora-mesh doctor\`.`,
      { name, exit: how },
      { cause: this.#startFailure },
    )
  }

  #quarantined(blame: string, cause?: MeshError): MeshError {
    const { name } = this.#options
    const crashes = this.#ledger.crashes(blame)
    const last = cause === undefined ? '' : ` It last ${String(cause.details['exit'])}.`
    return new MeshError(
      'quarantined',
      `This input ended the ${name} process ${crashes} times and is not used again.${last} Use another file or release.`,
      { name, blame, crashes },
      { cause },
    )
  }

  #aborted(type: string, reason: unknown): MeshError {
    return new MeshError('aborted', `The request "${type}" was cancelled.`, {}, { cause: reason })
  }

  #stoppedError(): MeshError {
    return new MeshError('aborted', `The ${this.#options.name} process was stopped.`, { name: this.#options.name })
  }
}
