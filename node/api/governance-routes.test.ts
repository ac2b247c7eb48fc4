// The routes of government as a page or a script calls them: a real node, over its HTTP port.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityToText, toHex } from '../../protocol/index.ts'
import { httpClient, serveHttp } from '../http/index.ts'
import type { HttpClient } from '../http/index.ts'
import { aPublisher } from '../testing/publishing-node.ts'
import { readEvents } from '../testing/event-reader.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import type { Node } from '../create-node.ts'
import { anAuthor } from '../../testing/objects.ts'
import { routes } from './index.ts'

const token = 'k'.repeat(43)
const stack = new AsyncDisposableStack()
let node: Node
let client: HttpClient

beforeAll(async () => {
  const folder = stack.use(await temporaryFolder())
  node = stack.use(await aPublisher(folder.path))
  const place = { host: '127.0.0.1', port: 0 }
  const server = stack.use(await serveHttp({ routes, node, token, clock: Date.now, onBug() {}, ...place }))
  client = httpClient(server.url, token)
})
afterAll(() => stack.disposeAsync())

type Answer = Record<string, unknown>
const get = async (path: string, input: object = {}): Promise<Answer> =>
  (await client.call('GET', path, input)) as Answer
const post = async (path: string, input: object): Promise<Answer> => (await client.call('POST', path, input)) as Answer

test('founds with rules and roles, proposes, comments, votes, and shows the certificate', async () => {
  const other = identityToText(anAuthor(7).identity)
  const { community } = await post('/v1/communities', {
    name: 'my kitchen',
    rules: { decision: 'consensus', quorum: 0.25, votingPeriodMs: 60_000, inviterCap: 2 },
    members: [{ identity: other, role: 'teacher' }],
  })
  expect(community).toMatchObject({
    name: 'my kitchen',
    role: 'admin',
    settles: true,
    rules: { decision: 'consensus', quorum: 0.25, votingPeriodMs: 60_000, inviterCap: 2 },
  })
  const { link, id } = community as { link: string; id: string }
  const members = [
    expect.objectContaining({ role: 'admin', own: true }),
    { identity: other, role: 'teacher', own: false },
  ]
  for (const name of ['my kitchen', link, id, id.slice(0, 8)]) {
    expect(await get(`/v1/communities/${encodeURIComponent(name)}/members`), name).toEqual({ members })
  }

  const proposals = `/v1/communities/${id}/proposals`
  const wish = { kind: 'remove', identity: other.slice(0, 8), reason: 'never came' }
  const { proposal, state } = (await post(proposals, { proposal: wish })) as { proposal: { id: string }; state: string }
  expect(state).toBe('said')
  expect(proposal).toMatchObject({
    own: true,
    state: 'open',
    count: { yes: 0, no: 0, abstain: 0 },
    voters: 2,
    quorum: 1,
  })
  const path = `/v1/proposals/${proposal.id.slice(0, 12)}`
  await post(`${path}/comments`, { text: 'any news of them?' })
  expect(await post(`${path}/ballots`, { choice: 'yes', reason: 'enough waiting' })).toMatchObject({
    proposal: { ownBallot: 'yes', outcome: 'accepted' },
  })
  expect(await get(path)).toMatchObject({
    proposal: {
      ballots: [{ choice: 'yes', own: true, reason: 'enough waiting' }],
      comments: [{ text: 'any news of them?' }, { text: 'enough waiting' }],
    },
  })
  expect(await get(`/v1/communities/${id}/certificates`)).toEqual({ length: 0, certificates: [] })
})

test('what one person alone decides is decided at once, and seen on the stream of events', async () => {
  const { community } = (await post('/v1/communities', { name: 'alone' })) as { community: { id: string } }
  const of = `/v1/communities/${community.id}`
  await using events = await readEvents(`${client.url}/v1/events?community=alone`, token)
  const questions = '{"prompt": "Q: Where?", "answer": "There."}\n'
  const proposed = await post(`${of}/proposals`, {
    proposal: { kind: 'suite', capability: 'biology', questions },
    vote: 'yes',
  })
  const { id } = proposed['proposal'] as { id: string }
  const { data } = await events.next('decided')
  const told = events.seen.map(({ type }) => type).filter((type) => type !== 'records')
  expect(told).toEqual(['hello', 'proposal', 'ballot', 'decided'])
  const { certificates } = (await get(`${of}/certificates`)) as { certificates: object[] }
  expect(certificates).toEqual([expect.objectContaining({ kind: 'proposal', proposal: id, outcome: 'accepted' })])
  expect(data).toMatchObject(certificates[0]!)

  const { suites } = (await get(`${of}/channels`)) as { suites: { suite: string }[] }
  expect(await get(`${of}/suites/${suites[0]!.suite}`)).toEqual({ suite: suites[0]!.suite, questions })
  expect(await get(`${of}/proposals`)).toEqual({ proposals: [] })
  expect(await get(`${of}/proposals`, { all: true })).toMatchObject({ proposals: [{ id, state: 'accepted' }] })
  expect(await post(`${of}/settling`, { allowed: false })).toEqual({
    community: community.id,
    settles: false,
    role: 'admin',
  })
  expect(await post(`${of}/invitations`, { role: 'teacher' })).toMatchObject({
    code: expect.stringMatching(/^loramesh:join:/),
  })
})

test.each([
  ['an unknown field', { proposal: { kind: 'rule', quorum: 0.5, force: true } }, 'usage'],
  ['an unknown kind', { proposal: { kind: 'coup' } }, 'usage'],
  ['a reason with a control character', { proposal: { kind: 'rule' }, reason: 'a\u202Eb' }, 'usage'],
  ['a reason that is too long', { proposal: { kind: 'rule' }, reason: 'x'.repeat(501) }, 'bad-input'],
  ['a share above one', { proposal: { kind: 'rule', quorum: 1.5 } }, 'bad-input'],
  ['an admission of nobody', { proposal: { kind: 'admit', identity: 'somebody', role: 'user' } }, 'bad-input'],
])('%s is refused', async (_what, input, code) => {
  await post('/v1/communities', { name: `refusing ${String(_what)}` })
  const community = encodeURIComponent(`refusing ${String(_what)}`)
  await expect(post(`/v1/communities/${community}/proposals`, input)).rejects.toMatchObject({ code })
})

test('a name that several communities have is refused with their links, an unknown one as not found', async () => {
  await post('/v1/communities', { name: 'twin' })
  await post('/v1/communities', { name: 'twin' })
  await expect(get('/v1/communities/twin/members')).rejects.toMatchObject({
    code: 'bad-input',
    details: { links: [expect.any(String), expect.any(String)] },
  })
  await expect(get('/v1/communities/nowhere/members')).rejects.toMatchObject({ code: 'not-found' })
  await expect(get(`/v1/proposals/${toHex(new Uint8Array(6))}`)).rejects.toMatchObject({ code: 'not-found' })
})
