// Five real nodes govern one community: they come in by invitation, two of them sleep while the others vote, and in the end all five say
// the same. A persona and an open chat go where the channel goes, and back.
import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { adaptersOf, baseFile, worldFolder } from '../fixtures/world-files.ts'
import { capabilityNamed } from '../fixtures/world/world.ts'
import { LocalMesh } from '../testing/local-mesh.ts'
import type { MeshNode } from '../testing/local-mesh.ts'
import { httpClient } from './http/index.ts'
import type { HttpClient } from './http/index.ts'
import { eventsOf } from './testing/event-reader.ts'
import type { EventReader, ReadEvent } from './testing/event-reader.ts'

const biology = capabilityNamed('biology')
const [older, newer] = adaptersOf(biology).map(({ version }) => version) as [string, string]
const patienceMs = 60_000

interface Villager extends AsyncDisposable {
  readonly identity: string
  readonly node: MeshNode
  readonly client: HttpClient
  readonly events: EventReader
}

interface Persona {
  readonly id: string
  readonly releases: readonly string[]
  readonly successor?: string
}

let mesh: LocalMesh
let everybody: readonly Villager[] = []
let ann: Villager
let ben: Villager
let cleo: Villager
let dan: Villager
let eve: Villager

beforeAll(async () => {
  mesh = await LocalMesh.start()
  everybody = await Promise.all(['ann', 'ben', 'cleo', 'dan', 'eve'].map(moveIn))
  ;[ann, ben, cleo, dan, eve] = everybody as [Villager, Villager, Villager, Villager, Villager]
}, 120_000)

afterAll(async () => {
  for (const villager of everybody) await villager[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
}, 60_000)

test('five nodes agree on an upgrade and on its undoing, and personas and an open chat go along', async () => {
  await found()
  await publish(older)
  await decide(await propose(ann, { kind: 'upgrade', release: `biology@${older}` }), everybody)
  await agreeOn(older)

  const { persona } = await eve.node.run(['request', 'biology'])
  const first = String(persona)
  await using chat = eve.node.openChat(first)
  await chat.say('What is bark?')

  // What is published moves nobody: this community has decided what the name means.
  await publish(newer)
  // A half of the village sleeps, one of the two admins among them.
  const [asleep, awake] = [
    [ben, dan],
    [ann, cleo, eve],
  ]
  for (const { node } of asleep) node.pause()
  const upgrade = await propose(ann, { kind: 'upgrade', release: `biology@${newer}` })
  await vote(upgrade, awake)
  for (const one of awake) await until(one, () => yesVotes(one, upgrade), awake.length)
  await until(eve, () => knows(eve, newer), true)
  expect(await eve.node.run(['outdated'])).toEqual({ outdated: [] })
  expect(await personaOf(eve, first)).not.toHaveProperty('successor')
  for (const { node } of asleep) node.wake()
  await decide(upgrade, asleep)
  await agreeOn(newer)

  const { to } = (await heard(eve, 'persona-moved', { from: first })).data
  const second = String(to)
  expect(await personaOf(eve, second)).toMatchObject({ releases: [`biology@${newer}`] })
  await chat.say('What is sap?')
  expect(chat.told).toContain(`This persona was upgraded and is now ${second}: biology ${older} -> ${newer}.`)

  await decide(await propose(cleo, { kind: 'rollback', capability: 'biology' }), everybody)
  await agreeOn(older)
  await heard(eve, 'persona-moved', { from: second, to: first })
  await chat.say('What is moss?')
  expect(chat.told).toContain(`now ${first}: biology ${newer} -> ${older}.`)
}, 300_000)

async function moveIn(name: string): Promise<Villager> {
  const node = mesh.node(name)
  const { identity } = await node.run(['init'])
  await node.run(['base', 'add', join(worldFolder, baseFile)])
  const { url } = await node.up()
  const token = (await readFile(join(node.data, 'token'), 'utf8')).trim()
  const events = await eventsOf(String(url), node.data)
  return {
    identity: String(identity),
    node,
    client: httpClient(String(url), token),
    events,
    [Symbol.asyncDispose]: () => events[Symbol.asyncDispose](),
  }
}

/** Two admins, whose nodes both have to sign; the others are invited, each by somebody else. */
async function found(): Promise<void> {
  const members = [{ identity: ben.identity, role: 'admin' }]
  const founding = { name: 'village', members, rules: { votingPeriodMs: 600_000 } }
  const { community } = (await ann.client.call('POST', '/v1/communities', founding)) as { community: { link: string } }
  await ben.client.call('POST', '/v1/communities/follow', { link: community.link })
  await until(ben, async () => (await own(ben))['state'], 'following')
  await ben.client.call('POST', '/v1/communities/village/settling', { allowed: true })
  for (const [host, guest] of [
    [ann, cleo],
    [ben, dan],
    [cleo, eve],
  ] as const) {
    const { code } = (await host.client.call('POST', '/v1/communities/village/invitations')) as { code: string }
    const joined = await guest.client.call('POST', '/v1/communities/join', { code, waitMs: patienceMs })
    expect(joined).toMatchObject({ state: 'member' })
  }
}

async function publish(version: string): Promise<void> {
  const file = `biology-${version}.gguf`
  // A copy: a model card is written beside what is published.
  const path = join(mesh.folder, file)
  await copyFile(join(worldFolder, file), path)
  const facts = ['--name', 'biology', '--version', version, '--summary', biology.title, '--licence', 'Apache-2.0']
  const probe = ['--probe', join(worldFolder, 'biology.suite.jsonl')]
  await ann.node.run(['publish', path, ...facts, ...probe])
}

async function propose({ client }: Villager, proposal: object): Promise<string> {
  const said = await client.call('POST', '/v1/communities/village/proposals', { proposal })
  return (said as { proposal: { id: string } }).proposal.id
}

async function vote(proposal: string, voters: readonly Villager[]): Promise<void> {
  await Promise.all(
    voters.map(async (one) => {
      await heard(one, 'proposal', { proposal })
      await one.client.call('POST', `/v1/proposals/${proposal}/ballots`, { choice: 'yes' })
    }),
  )
}

/** The last votes: with them all are in, and the admins' nodes settle it. */
async function decide(proposal: string, voters: readonly Villager[]): Promise<void> {
  await vote(proposal, voters)
  for (const one of everybody) {
    const { data } = await heard(one, 'decided', { proposal })
    expect(data).toMatchObject({ outcome: 'accepted', count: { yes: 5, no: 0, abstain: 0 } })
  }
}

/** All five hold the same state, and the name means this release to all of them. */
async function agreeOn(version: string): Promise<void> {
  const { stateHash } = await own(ann)
  expect(stateHash).toMatch(/^[0-9a-f]{64}$/)
  for (const one of everybody) {
    await until(one, async () => (await own(one))['stateHash'], stateHash)
    expect(await one.client.call('GET', '/v1/communities/village/channels')).toMatchObject({
      channels: [{ capability: 'biology', release: { release: `biology@${version}` } }],
    })
  }
}

async function own({ client }: Villager): Promise<Record<string, unknown>> {
  const { communities } = (await client.call('GET', '/v1/communities')) as { communities: Record<string, unknown>[] }
  return communities[0] ?? {}
}

/** Of a proposal that is not decided. */
async function yesVotes({ client }: Villager, id: string): Promise<number | undefined> {
  const { proposal } = (await client.call('GET', `/v1/proposals/${id}`)) as {
    proposal: { state: string; count: { yes: number } }
  }
  return proposal.state === 'open' ? proposal.count.yes : undefined
}

async function knows({ client }: Villager, version: string): Promise<boolean> {
  const { releases } = (await client.call('GET', '/v1/releases')) as { releases: { version: string }[] }
  return releases.some((release) => release.version === version)
}

async function personaOf({ client }: Villager, id: string): Promise<Persona | undefined> {
  const { personas } = (await client.call('GET', '/v1/releases')) as { personas: Persona[] }
  return personas.find((one) => one.id === id)
}

/** The next event of this type with these facts. */
async function heard({ node, events }: Villager, type: string, facts: Record<string, unknown>): Promise<ReadEvent> {
  const late = AbortSignal.timeout(patienceMs)
  const event = events.next(type, (data) => Object.entries(facts).every(([name, value]) => data[name] === value))
  const tooLate = new Promise<never>((_resolve, reject) => {
    const what = `${node.name} heard no ${type} ${JSON.stringify(facts)}`
    late.addEventListener('abort', () => reject(new Error(`${what}\n${JSON.stringify(events.seen)}\n${node.log}`)))
  })
  return Promise.race([event, tooLate])
}

async function until({ node }: Villager, look: () => Promise<unknown>, wanted: unknown): Promise<void> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const value = await look()
    if (value === wanted) return
    if (performance.now() > deadline) throw new Error(`${node.name} is at ${String(value)}\n${node.log}`)
    await wait(50)
  }
}
