// A long operation over HTTP: newline-delimited JSON events, the last one `{type: 'result', result}` or `{type: 'error', error}`.
import { once } from 'node:events'
import type { Response } from 'express'
import { errorBody } from '../error-mapping.ts'
import { jsonText } from '../json-text.ts'
import type { CallContext, OperationEvent } from './route.ts'

/** Runs the operation and streams what it says; never rejects for the operation's own failure, which is the last event. */
export async function eventStream(
  response: Response,
  signal: AbortSignal,
  run: (context: CallContext) => Promise<object>,
): Promise<void> {
  response.status(200).set({ 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' })
  response.flushHeaders()
  const write = (event: object): boolean => !response.destroyed && response.write(`${jsonText(event)}\n`)
  const emit = (event: OperationEvent): void => {
    // A reader that is too slow misses progress, never anything else.
    if (event.type === 'progress' && response.writableNeedDrain) return
    write(event)
  }
  const last = await run({ signal, emit }).then(
    (result) => ({ type: 'result', result }),
    (error: unknown) => ({ type: 'error', error: errorBody(error) }),
  )
  write(last)
  if (response.destroyed) return
  response.end()
  await once(response, 'close')
}
