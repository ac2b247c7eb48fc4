// Events as a page reads them (https://html.spec.whatwg.org/multipage/server-sent-events.html): each has an `id`, an `event` and `data`, one
// JSON object. The last one of a stream is `end`, with the reason; whoever comes back says the last `id` it got.
import { once } from 'node:events'
import type { Response } from 'express'
import { MeshError } from '../../protocol/index.ts'
import { errorBody } from '../error-mapping.ts'
import { jsonText } from '../json-text.ts'
import type { CallContext, OperationEvent } from './route.ts'

/** What a reader may leave unread before it is cut off: its connection must not become this node's memory. */
const maxUnreadBytes = 256 * 1024
/** How long the last words wait for somebody to read them. */
const farewellMs = 2_000
/** When a browser tries again after a stream has ended. */
const comeBackMs = 2_000

export interface StreamOptions {
  readonly signal: AbortSignal
  readonly lastEventId: string | undefined
  readonly heartbeatMs: number
}

/**
 * Streams until the handler returns or throws, the signal is aborted, or the reader is too slow; all of these are its last event. Rejects
 * with what the handler throws before its first event: that is an answer like any other.
 */
export async function serverSentEvents(
  response: Response,
  { signal: stopped, lastEventId, heartbeatMs }: StreamOptions,
  run: (context: CallContext) => Promise<object>,
): Promise<void> {
  const slow = new AbortController()
  const signal = AbortSignal.any([stopped, slow.signal])
  const emit = (event: OperationEvent): void => {
    if (signal.aborted) return
    if (!response.headersSent) begin(response)
    response.write(frameOf(event))
    if (response.writableLength > maxUnreadBytes) slow.abort(tooSlow())
  }
  const heartbeat = setInterval(() => {
    if (response.headersSent && !response.writableNeedDrain) response.write(': still here\n\n')
  }, heartbeatMs)
  const reason: unknown = await run({ signal, emit, lastEventId })
    .then(
      () => signal.reason as unknown,
      (error: unknown) => {
        if (!response.headersSent) throw error
        return signal.aborted ? signal.reason : error
      },
    )
    .finally(() => clearInterval(heartbeat))
  if (!response.destroyed) await sayFarewell(response, reason)
}

function begin(response: Response): void {
  response.status(200).set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' })
  response.write(`retry: ${comeBackMs}\n\n`)
}

/** Without a reason nothing more will come. */
async function sayFarewell(response: Response, reason: unknown): Promise<void> {
  if (!response.headersSent) begin(response)
  const closed = once(response, 'close')
  response.end(frameOf({ type: 'end', ...(reason === undefined ? {} : { error: errorBody(reason) }) }))
  const patience = setTimeout(() => response.destroy(), farewellMs)
  await closed
  clearTimeout(patience)
}

/** JSON has no line feeds outside its strings, and in them they are escaped: the data is one line. */
function frameOf(event: OperationEvent): string {
  const id = typeof event['id'] === 'string' ? `id: ${event['id']}\n` : ''
  return `${id}event: ${event.type}\ndata: ${jsonText(event)}\n\n`
}

function tooSlow(): MeshError {
  return new MeshError('rate-limited', 'This reader is slower than the events: read the state anew, then go on.', {
    maxUnreadBytes,
  })
}
