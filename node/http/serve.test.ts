import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { MeshError } from '../../protocol/index.ts'
import { httpClient } from './client.ts'
import { route } from './route.ts'
import type { CallContext, OperationEvent, Route } from './route.ts'
import { serveHttp } from './serve.ts'
import type { HttpServer } from './serve.ts'

const token = 'k'.repeat(43)

test('a query gets its input from path, query and body, checked, and answers JSON with bytes as hex', async () => {
  await using server = await serving([
    aQuery('GET', '/v1/things/:id', { id: z.string(), limit: z.coerce.number() }),
    aQuery('POST', '/v1/things', { a: z.array(z.number()) }),
  ])
  const client = httpClient(server.url, token)
  expect(await client.call('GET', '/v1/things/x%2Fy', { limit: 3 })).toEqual({
    input: { id: 'x/y', limit: 3 },
    bytes: '00ff',
  })
  expect(await client.call('POST', '/v1/things', { a: [1] })).toEqual({ input: { a: [1] }, bytes: '00ff' })
  await expect(client.call('POST', '/v1/things', { a: 'no' })).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(/a: /),
  })
})

test('a value out of its bounds is refused for its content, in words; another shape is wrong usage', async () => {
  await using server = await serving([aQuery('POST', '/v1/things', { text: z.string().min(1).max(5) })])
  const client = httpClient(server.url, token)
  const refusalOf = (text: unknown): Promise<unknown> =>
    client.call('POST', '/v1/things', { text }).catch((error: unknown) => error)
  expect(await refusalOf('too long')).toMatchObject({
    code: 'bad-input',
    message: 'This call is not valid: text: at most 5 characters are taken.',
  })
  expect(await refusalOf('')).toMatchObject({
    code: 'bad-input',
    message: 'This call is not valid: text: must not be empty.',
  })
  expect(await refusalOf(7)).toMatchObject({ code: 'usage' })
})

test('a node that leaves right after its answer does not cut it off', async () => {
  const left = Promise.withResolvers<void>()
  const server = await serving([
    {
      ...aQuery('GET', '/v1/large', {}),
      async handle() {
        setImmediate(() => void server.drain().then(() => server[Symbol.asyncDispose]().then(left.resolve)))
        return { text: 'x'.repeat(32_000_000) }
      },
    },
  ])
  const answer = (await httpClient(server.url, token).call('GET', '/v1/large')) as { text: string }
  expect(answer.text.length).toBe(32_000_000)
  await left.promise
})

test('an operation streams its events and then its result', async () => {
  await using server = await serving([
    anOperation(async ({ emit }) => {
      for (const n of [1, 2, 3]) emit({ type: 'step', n })
      return { done: true }
    }),
  ])
  const events: OperationEvent[] = []
  const result = await httpClient(server.url, token).call(
    'POST',
    '/v1/work',
    {},
    { onEvent: (event) => events.push(event) },
  )
  expect(events).toEqual([1, 2, 3].map((n) => ({ type: 'step', n })))
  expect(result).toEqual({ done: true })
})

test('the error of a query or an operation arrives as the same MeshError; a bug as a plain one, and is told', async () => {
  const bugs: unknown[] = []
  const failing = (error: Error): Route<object>['handle'] =>
    async function fail() {
      throw error
    }
  await using server = await serving(
    [
      {
        ...aQuery('GET', '/v1/refused', {}),
        handle: failing(new MeshError('base-missing', 'No base.', { bases: ['b'] })),
      },
      { ...anOperation(async () => ({})), path: '/v1/refused', handle: failing(new MeshError('no-seeder', 'Nobody.')) },
      { ...aQuery('GET', '/v1/bug', {}), handle: failing(new TypeError('x is not a function')) },
    ],
    bugs,
  )
  const client = httpClient(server.url, token)
  await expect(client.call('GET', '/v1/refused')).rejects.toMatchObject({
    code: 'base-missing',
    details: { bases: ['b'] },
  })
  await expect(client.call('POST', '/v1/refused')).rejects.toMatchObject({ code: 'no-seeder', message: 'Nobody.' })
  await expect(client.call('GET', '/v1/bug')).rejects.toThrow('bug in lora-mesh: x is not a function')
  expect(bugs).toHaveLength(1)
})

test('a client that hangs up aborts its operation', async () => {
  const aborted = Promise.withResolvers<unknown>()
  const started = Promise.withResolvers<void>()
  await using server = await serving([anOperation(untilAborted(started, aborted))])
  const controller = new AbortController()
  const call = httpClient(server.url, token).call('POST', '/v1/work', {}, { signal: controller.signal })
  await started.promise
  controller.abort(new MeshError('aborted', 'Ctrl-C'))
  await expect(call).rejects.toMatchObject({ code: 'aborted', message: 'Ctrl-C' })
  expect(await aborted.promise).toMatchObject({ code: 'aborted' })
})

test('a stopping server aborts what runs and its client is told so', async () => {
  const started = Promise.withResolvers<void>()
  const server = await serving([anOperation(untilAborted(started, Promise.withResolvers()))])
  const call = httpClient(server.url, token).call('POST', '/v1/work')
  const outcome = call.then(
    () => 'passed',
    (error: MeshError) => error.code,
  )
  await started.promise
  await server[Symbol.asyncDispose]()
  expect(await outcome).toBe('stopping')
  await expect(httpClient(server.url, token).call('POST', '/v1/work')).rejects.toMatchObject({ code: 'not-reachable' })
})

test('a draining server finishes what runs and refuses new calls', async () => {
  const started = Promise.withResolvers<void>()
  const finish = Promise.withResolvers<void>()
  await using server = await serving([
    anOperation(async () => {
      started.resolve()
      await finish.promise
      return { ok: true }
    }),
  ])
  const client = httpClient(server.url, token)
  const call = client.call('POST', '/v1/work')
  await started.promise
  const drained = server.drain()
  await expect(client.call('POST', '/v1/work')).rejects.toMatchObject({ code: 'stopping' })
  finish.resolve()
  expect(await call).toEqual({ ok: true })
  await drained
})

test('wrong tokens run into a limit that never hits the right one, and it eases with time', async () => {
  let now = 0
  await using server = await serving([aQuery('GET', '/v1/x', {})], [], () => now)
  const wrong = httpClient(server.url, 'w'.repeat(43))
  const codes = new Set<string>()
  for (let i = 0; i < 40; i++)
    codes.add(
      await wrong.call('GET', '/v1/x').then(
        () => 'passed',
        (error: MeshError) => error.code,
      ),
    )
  expect([...codes]).toEqual(['unauthorised', 'rate-limited'])
  await httpClient(server.url, token).call('GET', '/v1/x')
  now += 10_000
  await expect(wrong.call('GET', '/v1/x')).rejects.toMatchObject({ code: 'unauthorised' })
})

test('a flood with the right token is slowed down as well', async () => {
  await using server = await serving([aQuery('GET', '/v1/x', {})], [], () => 0)
  const client = httpClient(server.url, token)
  const calls = Array.from({ length: 450 }, () =>
    client.call('GET', '/v1/x').then(
      () => 'passed',
      (error: MeshError) => error.code,
    ),
  )
  const outcomes = await Promise.all(calls)
  expect(outcomes.filter((outcome) => outcome === 'passed')).toHaveLength(400)
})

test('every answer forbids framing, sniffing and scripts, and none invites other origins', async () => {
  await using server = await serving([aQuery('GET', '/v1/x', {})])
  const response = await new Promise<IncomingMessage>((done) => {
    httpRequest(`${server.url}/v1/x`, { headers: { authorization: `Bearer ${token}` }, agent: false }, done).end()
  })
  response.resume()
  await once(response, 'end')
  expect(response.headers).toMatchObject({
    'content-security-policy': "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
  })
  expect(
    Object.keys(response.headers).filter((name) => name.startsWith('access-control') || name === 'x-powered-by'),
  ).toEqual([])
})

test('only loopback is bound, and a taken port is said so', async () => {
  for (const host of ['0.0.0.0', '192.0.2.1', '::', 'example.org', '127.0.0.1.example.org']) {
    await expect(serving([], [], () => 0, { host })).rejects.toMatchObject({ code: 'bad-config' })
  }
  await using server = await serving([])
  await expect(serving([], [], () => 0, { port: server.port })).rejects.toMatchObject({
    code: 'bad-config',
    details: { reason: 'EADDRINUSE' },
  })
})

function serving(
  routes: readonly Route<object>[],
  bugs: unknown[] = [],
  clock: () => number = Date.now,
  place: { host?: string; port?: number } = {},
): Promise<HttpServer> {
  return serveHttp({
    routes,
    node: {},
    token,
    host: '127.0.0.1',
    port: 0,
    clock,
    onBug: (bug) => bugs.push(bug),
    ...place,
  })
}

function aQuery(method: 'GET' | 'POST', path: string, shape: z.ZodRawShape): Route<object> {
  const handle = async (input: unknown): Promise<object> => ({ input, bytes: Uint8Array.of(0, 255) })
  return route({ method, path, summary: 'echoes', kind: 'query', input: z.strictObject(shape), handle })
}

function anOperation(work: (context: CallContext) => Promise<object>): Route<object> {
  const handle = (_input: unknown, _node: object, context: CallContext): Promise<object> => work(context)
  return route({
    method: 'POST',
    path: '/v1/work',
    summary: 'works',
    kind: 'operation',
    input: z.strictObject({}),
    handle,
  })
}

function untilAborted(started: PromiseWithResolvers<void>, aborted: PromiseWithResolvers<unknown>) {
  return async ({ signal }: CallContext): Promise<object> => {
    started.resolve()
    await new Promise((done) => signal.addEventListener('abort', done))
    aborted.resolve(signal.reason)
    throw signal.reason
  }
}
