import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { rawRequest } from '../testing/raw-request.ts'
import { route } from './route.ts'
import { serveHttp } from './serve.ts'
import type { HttpServer } from './serve.ts'

// One server whose clock moves on by itself, so that the limit on wrong tokens does not hide what is tested here.
const token = 't'.repeat(43)
const node = { reached: 0 }
let now = 0
let server: HttpServer
let good: Headers

type Headers = Readonly<Record<string, string>>
interface Hostile {
  readonly name: string
  readonly request: string
  readonly status: readonly (number | 'closed')[]
}

beforeAll(async () => {
  server = await serveHttp({
    routes: [
      route({
        method: 'POST',
        path: '/v1/thing',
        summary: 'counts',
        kind: 'query',
        input: z.strictObject({ x: z.number().optional() }),
        handle: async (_input, counter: typeof node) => ({ reached: ++counter.reached }),
      }),
      route({
        method: 'GET',
        path: '/v1/thing',
        summary: 'counts',
        kind: 'query',
        input: z.strictObject({}),
        handle: async (_input, counter: typeof node) => ({ reached: ++counter.reached }),
      }),
    ],
    node,
    token,
    host: '127.0.0.1',
    port: 0,
    clock: () => (now += 60_000),
    onBug: (error) => {
      throw error
    },
  })
  good = {
    Host: `127.0.0.1:${server.port}`,
    Authorization: `Bearer ${token}`,
    'Content-Type': 'application/json',
    'Content-Length': '2',
  }
})
afterAll(() => server[Symbol.asyncDispose]())

test('the exact host, no or our own origin and the token pass', async () => {
  const before = node.reached
  const same = { Origin: `http://127.0.0.1:${server.port}` }
  const passing: Headers[] = [
    good,
    { ...good, Host: `localhost:${server.port}` },
    { ...good, ...same },
    { ...good, ...same, 'Sec-Fetch-Site': 'same-origin' },
    { ...good, 'Sec-Fetch-Site': 'none' },
    { ...good, 'Content-Type': 'application/json; charset=utf-8' },
  ]
  for (const headers of passing) expect(await rawRequest(server.port, post(headers))).toBe(200)
  expect(node.reached - before).toBe(passing.length)
})

test('no hostile combination of host, origin, token, content type, method and framing reaches a handler', async () => {
  const cases = hostileRequests(server.port)
  expect(cases.length).toBeGreaterThan(150)
  const before = node.reached
  const wrong: string[] = []
  for (const { name, request, status } of cases) {
    const answered = await rawRequest(server.port, request)
    if (!status.includes(answered) || node.reached !== before) wrong.push(`${name}: ${answered}`)
  }
  expect(wrong).toEqual([])
  expect(node.reached).toBe(before)
  expect(await rawRequest(server.port, post(good))).toBe(200)
})

function hostileRequests(port: number): Hostile[] {
  const hosts = [
    '',
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1',
    'localhost',
    `127.0.0.1:${port + 1}`,
    `127.0.0.1:0${port}`,
    `127.0.0.1.evil.example:${port}`,
    `evil.example@127.0.0.1:${port}`,
    `127.0.0.1:${port}@evil.example`,
    `LOCALHOST:${port}`,
    `localhost.:${port}`,
    `0.0.0.0:${port}`,
    `[::1]:${port}`,
    `127.1:${port}`,
    `2130706433:${port}`,
    `0x7f000001:${port}`,
    `127.0.0.2:${port}`,
    `127.0.0.1:${port}, evil.example`,
    `127.0.0.1:${port}/`,
    `127.0.0.1:${port}#`,
    `127.0.0.1: ${port}`,
    'null',
    '*',
  ]
  const origins = [
    'null',
    'http://evil.example',
    `http://evil.example:${port}`,
    `https://127.0.0.1:${port}`,
    'http://127.0.0.1',
    `http://127.0.0.1:${port}/`,
    `http://127.0.0.1:${port + 1}`,
    `http://127.0.0.1:${port}.evil.example`,
    `http://localhost.evil.example:${port}`,
    'file://',
    '*',
    '',
    `http://evil.example http://127.0.0.1:${port}`,
    `http://user@127.0.0.1:${port}`,
    `HTTP://127.0.0.1:${port}`,
    'chrome-extension://abcdef',
    `ws://127.0.0.1:${port}`,
    `http://LOCALHOST:${port}`,
    `//127.0.0.1:${port}`,
    `127.0.0.1:${port}`,
  ]
  const tokens = [
    '',
    'Bearer',
    'Bearer ',
    `bearer ${token}`,
    `Bearer  ${token}`,
    `Bearer ${token} x`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${'u'.repeat(43)}`,
    `Basic ${btoa(`x:${token}`)}`,
    `Basic ${token}`,
    token,
    `Token ${token}`,
    `Bearer ${'t'.repeat(9_000)}`,
    'Bearer null',
    'Bearer undefined',
    'Bearer [object Object]',
    'Bearer *',
    `Bearer "${token}"`,
    `Bearer ${token},Bearer ${token}`,
    `Digest token=${token}`,
  ]
  const types = [
    '',
    'text/plain',
    'text/plain;application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/json',
    'application/jsonp',
    'application/json5',
    'application/json; charset=utf-7',
    'application/json; charset=utf-16',
    'application/json, text/plain',
    'application/ld+json',
    'application/json;',
    '*/*',
    'application/octet-stream',
    'text/html',
  ]
  const methods = [
    'HEAD',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'CONNECT',
    'PROPFIND',
    'get',
    'post',
    'EVIL',
    'M-SEARCH',
    'PURGE',
    'LINK',
  ]
  const paths = [
    '/V1/thing',
    '/v1/thing/',
    '/v1//thing',
    '/v1/thing/../thing',
    '/v1/%74hing/',
    '/',
    '/v1',
    '//v1/thing',
    `http://evil.example/v1/thing`,
    `http://127.0.0.1:${port}/v1/thing`,
  ]
  const line = (text: string): string => JSON.stringify(text.slice(0, 60))
  return [
    ...hosts.map((host) => ({
      name: `Host ${line(host)}`,
      request: post({ ...good, Host: host }),
      status: [421, 400],
    })),
    ...hosts.map((host) => ({
      name: `GET, Host ${line(host)}`,
      request: get({ ...good, Host: host }),
      status: [421, 400],
    })),
    ...origins.map((origin) => ({
      name: `Origin ${line(origin)}`,
      request: post({ ...good, Origin: origin }),
      status: [403],
    })),
    ...origins.map((origin) => ({
      name: `GET, Origin ${line(origin)}`,
      request: get({ ...good, Origin: origin }),
      status: [403],
    })),
    ...tokens.map((value) => ({
      name: `Authorization ${line(value)}`,
      request: post({ ...good, Authorization: value }),
      status: [401],
    })),
    ...tokens.map((value) => ({
      name: `GET, Authorization ${line(value)}`,
      request: get({ ...good, Authorization: value }),
      status: [401],
    })),
    ...types.map((type) => ({
      name: `Content-Type ${line(type)}`,
      request: post({ ...good, 'Content-Type': type }),
      status: [415],
    })),
    ...methods.map((method) => ({
      name: method,
      request: post(good, { method }),
      status: [405, 400, 415, 'closed' as const],
    })),
    ...paths.map((path) => ({ name: `path ${path}`, request: post(good, { path }), status: [404, 421] })),
    ...['cross-site', 'same-site', 'SAME-ORIGIN', 'garbage', ''].map((site) => ({
      name: `Sec-Fetch-Site ${site}`,
      request: get({ ...good, 'Sec-Fetch-Site': site }),
      status: [403],
    })),
    ...Object.entries(good).map(([name, value]) => ({
      name: `${name} twice`,
      request: post({ ...good, [`X\r\n${name}`]: value }),
      status: [400],
    })),
    ...['Host', 'Authorization', 'Content-Type'].map((name) => ({
      name: `no ${name}`,
      request: post(Object.fromEntries(Object.entries(good).filter(([key]) => key !== name))),
      status: [421, 401, 415],
    })),
    { name: 'two hosts, ours first', request: post({ ...good, 'X\r\nHost': 'evil.example' }), status: [400] },
    { name: 'HTTP/1.0 without host', request: 'GET /v1/thing HTTP/1.0\r\n\r\n', status: [421] },
    { name: 'HTTP/2 preface', request: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: [400, 'closed'] },
    { name: 'length and chunks', request: post({ ...good, 'Transfer-Encoding': 'chunked' }), status: [400] },
    { name: 'folded header', request: post({ ...good, 'X-A': 'b\r\n Host: evil.example' }), status: [400] },
    { name: 'bare line feeds', request: 'GET /v1/thing HTTP/1.1\nHost: evil.example\n\n', status: [400, 421] },
    { name: 'compressed body', request: post({ ...good, 'Content-Encoding': 'gzip' }), status: [415] },
    {
      name: 'too large a body',
      request: post({ ...good, 'Content-Length': '65537' }, { body: `{"x":${'1'.repeat(65_531)}}` }),
      status: [413],
    },
    { name: 'too many headers', request: post({ ...good, 'X-Long': 'x'.repeat(20_000) }), status: [431] },
    { name: 'not JSON', request: post(good, { body: '{]' }), status: [400] },
    { name: 'a JSON string', request: post(good, { body: '""' }), status: [400] },
    { name: 'an array', request: post({ ...good, 'Content-Length': '3' }, { body: '[1]' }), status: [400] },
    { name: 'unknown key', request: post({ ...good, 'Content-Length': '7' }, { body: '{"y":1}' }), status: [400] },
    {
      name: 'a prototype',
      request: post({ ...good, 'Content-Length': '21' }, { body: '{"__proto__":{"x":1}}' }),
      status: [400],
    },
    { name: 'unknown query', request: post(good, { path: '/v1/thing?y=1' }), status: [400] },
    { name: 'token in the query', request: get({ Host: good['Host']! }, `/v1/thing?token=${token}`), status: [401] },
    {
      name: 'method override',
      request: get({ ...good, 'X-HTTP-Method-Override': 'GET', Origin: 'http://evil.example' }),
      status: [403],
    },
    {
      name: 'forwarded host',
      request: get({ ...good, Host: 'evil.example', 'X-Forwarded-Host': good['Host']! }),
      status: [421],
    },
    {
      name: 'upgrade',
      request: get({ Host: good['Host']!, Connection: 'Upgrade', Upgrade: 'websocket' }),
      status: [401, 400, 'closed'],
    },
  ]
}

function post(headers: Headers, { method = 'POST', path = '/v1/thing', body = '{}' } = {}): string {
  return `${method} ${path} HTTP/1.1\r\n${headerLines(headers)}\r\n${body}`
}

function get(headers: Headers, path = '/v1/thing'): string {
  const { 'Content-Length': _, ...rest } = headers
  return `GET ${path} HTTP/1.1\r\n${headerLines(rest)}\r\n`
}

function headerLines(headers: Headers): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
}
