import { MeshError } from '../protocol/index.ts'
import { isMessage, toWireError } from './messages.ts'
import type { FromChild } from './messages.ts'

export interface RequestContext {
  /** Aborted when the caller gives up or the child is asked to stop. */
  readonly signal: AbortSignal
  /** Reaches the `onEvent` of this one request, in order and before its result. */
  emit(event: unknown): void
}

export type RequestHandlers = Record<string, (payload: unknown, context: RequestContext) => Promise<unknown>>

export interface ServeOptions {
  /** Last work before a wanted exit (close sockets, flush); the parent kills the process if this takes too long. */
  onStop?(): Promise<void>
}

/**
 * The main loop of a child process: answers requests of the parent until it says stop.
 * Ends the process at once when the parent is gone, however it went, so that no orphan stays behind.
 * Values and events must survive structured cloning.
 */
export function serveRequests(handlers: RequestHandlers, options: ServeOptions = {}): { emit(event: unknown): void } {
  if (process.send === undefined) throw new Error('This is the entry point of a child process; it is not run by hand.')
  const running = new Map<number, { abort: AbortController; done: Promise<void> }>()
  let stopping = false

  async function answer(id: number, type: string, payload: unknown, signal: AbortSignal): Promise<void> {
    try {
      const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined
      if (handler === undefined) throw new Error(`No handler for the request "${type}".`)
      const value = await handler(payload, { signal, emit: (event) => send({ kind: 'request-event', id, event }) })
      send({ kind: 'result', id, value })
    } catch (error) {
      sendFailure(id, error)
    }
  }

  function begin(id: number, type: string, payload: unknown): void {
    const abort = new AbortController()
    const done = answer(id, type, payload, abort.signal).finally(() => running.delete(id))
    running.set(id, { abort, done })
  }

  async function stop(): Promise<void> {
    if (stopping) return
    stopping = true
    for (const { abort } of running.values()) abort.abort(new MeshError('aborted', 'The process is being stopped.'))
    await Promise.allSettled([...running.values()].map(({ done }) => done))
    await options.onStop?.()
    process.exit(0)
  }

  process.on('message', (message) => {
    if (!isMessage(message)) return
    if (message.kind === 'ping') send({ kind: 'pong' })
    else if (message.kind === 'request') begin(Number(message.id), String(message['type']), message['payload'])
    else if (message.kind === 'abort')
      running.get(Number(message.id))?.abort.abort(new MeshError('aborted', 'Stopped.'))
    else if (message.kind === 'stop') void stop()
  })
  // SIGKILL, not exit(): native threads in the middle of work can hold up or crash an orderly exit, and nobody is left to care.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  // Ctrl-C in a terminal reaches the whole process group; the parent decides when its children stop.
  process.on('SIGINT', () => {})
  send({ kind: 'ready' })
  return { emit: (event) => send({ kind: 'event', event }) }
}

function send(message: FromChild): void {
  // A closed channel is told by 'disconnect'; what can't be cloned throws here, in the handler that made it.
  process.send?.(message, undefined, undefined, () => {})
}

function sendFailure(id: number, error: unknown): void {
  const wire = toWireError(error)
  try {
    send({ kind: 'failed', id, error: wire })
  } catch {
    // Details that can't be cloned must not hide the failure itself.
    send({ kind: 'failed', id, error: { ...(wire.code && { code: wire.code }), message: wire.message } })
  }
}
