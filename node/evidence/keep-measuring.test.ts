// Two real nodes: one publishes and proposes; the other, which holds neither release, gets both and measures them, so that the vote is over
// as soon as both have voted.
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { adaptersOf, baseFile, worldFolder } from '../../fixtures/world-files.ts'
import { capabilityNamed } from '../../fixtures/world/world.ts'
import { LocalMesh } from '../../testing/local-mesh.ts'
import type { MeshNode } from '../../testing/local-mesh.ts'
import { httpClient } from '../http/index.ts'
import type { HttpClient } from '../http/index.ts'
import { eventsOf } from '../testing/event-reader.ts'
import type { EventReader } from '../testing/event-reader.ts'

const biology = capabilityNamed('biology')
const [older, newer] = adaptersOf(biology).map(({ version }) => version) as [string, string]

interface Member {
  readonly node: MeshNode
  readonly identity: string
  readonly client: HttpClient
  readonly events: EventReader
}

let mesh: LocalMesh
let ann: Member
let ben: Member

beforeAll(async () => {
  mesh = await LocalMesh.start()
  ;[ann, ben] = (await Promise.all(['ann', 'ben'].map(moveIn))) as [Member, Member]
}, 120_000)

afterAll(async () => {
  for (const { events } of [ann, ben]) await events[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
}, 60_000)

test('a member that holds neither release fetches both, measures, and the vote is over at once', async () => {
  const founding = { name: 'village', members: [{ identity: ben.identity, role: 'user' }] }
  const { community } = (await ann.client.call('POST', '/v1/communities', founding)) as { community: { link: string } }
  await ben.client.call('POST', '/v1/communities/follow', { link: community.link })
  const questions = await readFile(join(worldFolder, 'biology.suite.jsonl'), 'utf8')
  await decide({ kind: 'suite', capability: 'biology', questions: questions.split('\n').slice(0, 8).join('\n') })
  for (const version of [older, newer]) await publish(version)

  const upgrade = await propose({ kind: 'upgrade', release: `biology@${newer}` })
  await voteAll(upgrade)
  for (const { events } of [ann, ben]) {
    const { data } = await events.next('decided', (decided) => decided['proposal'] === upgrade)
    expect(data).toMatchObject({ outcome: 'accepted', count: { yes: 2, no: 0, abstain: 0 } })
  }
  const { proposal } = (await ben.client.call('GET', `/v1/proposals/${upgrade}`)) as {
    proposal: { receipts: { author: string }[]; measurement: object }
  }
  expect(proposal.receipts.map(({ author }) => author).toSorted()).toEqual([ann.identity, ben.identity].toSorted())
  expect(proposal.measurement).toMatchObject({ kind: 'measured', receipts: 2, confirmedBy: 2 })
}, 240_000)

async function moveIn(name: string): Promise<Member> {
  const node = mesh.node(name)
  const { identity } = await node.run(['init'])
  await node.run(['base', 'add', join(worldFolder, baseFile)])
  const { url } = await node.up()
  const token = (await readFile(join(node.data, 'token'), 'utf8')).trim()
  const events = await eventsOf(String(url), node.data)
  return { node, identity: String(identity), client: httpClient(String(url), token), events }
}

async function publish(version: string): Promise<void> {
  const file = `biology-${version}.gguf`
  // A copy: a model card is written beside what is published.
  const path = join(mesh.folder, file)
  await copyFile(join(worldFolder, file), path)
  const facts = ['--name', 'biology', '--version', version, '--summary', biology.title, '--licence', 'Apache-2.0']
  await ann.node.run(['publish', path, ...facts, '--probe', join(worldFolder, 'biology.suite.jsonl')])
}

async function propose(proposal: object): Promise<string> {
  const said = await ann.client.call('POST', '/v1/communities/village/proposals', { proposal })
  return (said as { proposal: { id: string } }).proposal.id
}

async function voteAll(proposal: string): Promise<void> {
  for (const { events, client } of [ann, ben]) {
    await events.next('proposal', (data) => data['proposal'] === proposal)
    await client.call('POST', `/v1/proposals/${proposal}/ballots`, { choice: 'yes' })
  }
}

async function decide(wish: object): Promise<void> {
  const proposal = await propose(wish)
  await voteAll(proposal)
  for (const { events } of [ann, ben]) await events.next('decided', (decided) => decided['proposal'] === proposal)
}
