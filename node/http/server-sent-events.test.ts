// Streams of events over a real port, read as a page reads them.
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MeshError } from '../../protocol/index.ts'
import { readEvents } from '../testing/event-reader.ts'
import { route } from './route.ts'
import type { CallContext } from './route.ts'
import { serveHttp } from './serve.ts'
import type { HttpServer } from './serve.ts'

const token = 'k'.repeat(43)

test('events come as they happen, each with its id, name and data on one line', async () => {
  await using server = await serving(async ({ emit }) => {
    emit({ type: 'ballot', id: 'run-7', choice: 'yes', reason: 'two\nlines' })
    return {}
  })
  await using events = await readEvents(`${server.url}/v1/events`, token)
  expect(await events.next('ballot')).toEqual({
    id: 'run-7',
    type: 'ballot',
    data: { type: 'ballot', id: 'run-7', choice: 'yes', reason: 'two\nlines' },
  })
  expect(await events.next('end')).toMatchObject({ data: { type: 'end' } })
  await expect(events.next('more')).rejects.toThrow('the stream ended')
})

test('a handler is told what its client saw last, and aborted when the client goes', async () => {
  const told = Promise.withResolvers<CallContext>()
  await using server = await serving(async (context) => {
    context.emit({ type: 'hello', after: context.lastEventId })
    told.resolve(context)
    if (!context.signal.aborted) await once(context.signal, 'abort')
    return {}
  })
  const events = await readEvents(`${server.url}/v1/events`, token, { 'last-event-id': 'run-7' })
  expect((await events.next('hello')).data).toMatchObject({ after: 'run-7' })
  const { signal } = await told.promise
  const aborted = once(signal, 'abort')
  await events[Symbol.asyncDispose]()
  await aborted
})

test('what is refused before the first event is answered with its status; without a token nothing streams', async () => {
  await using server = await serving(async () => {
    throw new MeshError('not-found', 'There is no such community.')
  })
  const get = (headers: Record<string, string>): Promise<Response> => fetch(`${server.url}/v1/events`, { headers })
  const refused = await get({ authorization: `Bearer ${token}` })
  expect(refused.status).toBe(404)
  expect(await refused.json()).toMatchObject({ error: { code: 'not-found' } })
  expect((await get({})).status).toBe(401)
})

test('a refusal after the first event is the last one', async () => {
  await using server = await serving(async ({ emit }) => {
    emit({ type: 'hello' })
    throw new MeshError('storage-failed', 'The disk is gone.')
  })
  await using events = await readEvents(`${server.url}/v1/events`, token)
  expect((await events.next('end')).data).toMatchObject({ error: { code: 'storage-failed' } })
})

test('a reader that does not read is cut off with a last event, not buffered without end', async () => {
  let sent = 0
  const cut = Promise.withResolvers<void>()
  await using server = await serving(async ({ emit, signal }) => {
    while (!signal.aborted) {
      emit({ type: 'news', id: String(sent++), text: 'x'.repeat(64 * 1024) })
      await new Promise(setImmediate)
    }
    emit({ type: 'news', id: 'too late' })
    cut.resolve()
    return {}
  })
  const response = await unread(`${server.url}/v1/events`)
  await cut.promise
  const text = await allOf(response)
  const frames = text.trimEnd().split('\n\n').slice(1)
  expect(frames.length).toBe(sent + 1)
  expect(frames.at(-2)).toContain(`id: ${sent - 1}\n`)
  expect(frames.at(-1)).toMatch(/^event: end\ndata: .*"code":"rate-limited"/)
})

test('a stream on which nothing happens shows that it lives', async () => {
  await using server = await serving(untilAborted, { heartbeatMs: 5 })
  const response = await unread(`${server.url}/v1/events`)
  response.setEncoding('utf8')
  let text = ''
  for await (const chunk of response as AsyncIterable<string>) {
    text += chunk
    if (text.includes(': still here\n\n')) break
  }
  expect(text).toContain('retry: 2000\n\nevent: hello\n')
})

test('a node that stops says so on its streams, and waits for none of them', async () => {
  await using server = await serving(untilAborted)
  await using events = await readEvents(`${server.url}/v1/events`, token)
  await events.next('hello')
  await server.drain()
  expect((await events.next('end')).data).toMatchObject({ error: { code: 'stopping' } })
})

async function untilAborted({ emit, signal }: CallContext): Promise<object> {
  emit({ type: 'hello' })
  if (!signal.aborted) await once(signal, 'abort')
  return {}
}

function serving(
  handle: (context: CallContext) => Promise<object>,
  options: { readonly heartbeatMs?: number } = {},
): Promise<HttpServer> {
  const row = route({
    method: 'GET',
    path: '/v1/events',
    summary: 'streams',
    kind: 'events',
    input: z.strictObject({}),
    handle: (_input, _node: object, context) => handle(context),
  })
  const place = { host: '127.0.0.1', port: 0 }
  return serveHttp({ routes: [row], node: {}, token, clock: Date.now, onBug() {}, ...place, ...options })
}

/** An answer of which nothing is read yet. */
function unread(address: string): Promise<IncomingMessage> {
  return new Promise((done) => {
    httpRequest(address, { headers: { authorization: `Bearer ${token}` }, agent: false }, done).end()
  })
}

async function allOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8')
  let text = ''
  for await (const chunk of response as AsyncIterable<string>) text += chunk
  return text
}
