// Reputation as a page and the command line get it: a real node over its HTTP port, and the command against its data folder.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityToText } from '../../protocol/index.ts'
import { runCommand } from '../../testing/local-mesh.ts'
import { anAuthor } from '../../testing/objects.ts'
import type { Node } from '../create-node.ts'
import { httpClient, serveHttp } from '../http/index.ts'
import type { HttpClient } from '../http/index.ts'
import { aPublisher } from '../testing/publishing-node.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { routes } from './index.ts'

const stack = new AsyncDisposableStack()
const other = identityToText(anAuthor(7).identity)
let node: Node
let client: HttpClient

beforeAll(async () => {
  const folder = stack.use(await temporaryFolder())
  node = stack.use(await aPublisher(folder.path))
  const token = 'k'.repeat(43)
  const place = { host: '127.0.0.1', port: 0 }
  const server = stack.use(await serveHttp({ routes, node, token, clock: Date.now, onBug() {}, ...place }))
  client = httpClient(server.url, token)
})
afterAll(() => stack.disposeAsync())

test('trusts, shows what follows and why, and takes it back', async () => {
  expect(await client.call('GET', '/v1/reputation', {})).toEqual({ standings: [] })
  await client.call('POST', '/v1/reputation/trust', { identity: other })
  const seen = { kind: 'noise', id: 'ab'.repeat(32), client: 'c', receivedBytes: 2 ** 20, sentBytes: 0 } as const
  node.reputation.watchTransfer(() => 0).served([seen])
  expect(await client.call('GET', '/v1/reputation', {})).toMatchObject({
    standings: [
      { subject: `identity:${other}`, score: 0.5, chosen: true, connected: false, why: 'You chose to trust it.' },
      { subject: `noise:${seen.id}`, goodBytes: 2 ** 20, badBytes: 0, why: 'It sent this node bytes that were right.' },
    ],
  })
  await client.call('POST', '/v1/reputation/distrust', { identity: other })
  expect(await client.call('GET', '/v1/reputation', {})).toMatchObject({ standings: [{ subject: `noise:${seen.id}` }] })
})

test('refuses what is no identity, and this node itself', async () => {
  const trust = (identity: string) => client.call('POST', '/v1/reputation/trust', { identity })
  await expect(trust('bob')).rejects.toMatchObject({ code: 'malformed' })
  await expect(trust(identityToText(node.options.keys.author.identity))).rejects.toMatchObject({ code: 'bad-input' })
})

test('the command shows a table with the reasons, also of a node that is not running', async () => {
  await using folder = await temporaryFolder()
  const run = (...words: string[]) => runCommand([...words, '--data', folder.path])
  await run('init')
  expect((await run('peers', 'trust', other)).stdout).toContain(`Trusted: ${other}.`)
  const table = (await run('peers', '--explain')).stdout.split('\n')
  expect(table[0]).toMatch(/^who +trust +good +bad +speed +repeated +refuted +why$/)
  expect(table[1]).toBe(`${other.slice(0, 12)}…  0.500  0 B   0 B  -      0.0       0.0      You chose to trust it.`)
  expect((await run('peers', 'distrust', other.slice(0, 8))).code).toBe(0)
  const { json } = await run('peers', '--explain', '--json')
  expect(json).toEqual({ standings: [] })
}, 60_000)
