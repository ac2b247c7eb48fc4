// A community governs itself between real processes, through the command line alone, while others look on over their nodes' events.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspectBase, randomAdapter, randomBase } from '../model-files/index.ts'
import { invitationCode } from '../protocol/index.ts'
import { LocalMesh } from '../testing/local-mesh.ts'
import type { MeshNode } from '../testing/local-mesh.ts'
import { aHash } from '../testing/objects.ts'
import { eventsOf } from './testing/event-reader.ts'
import type { EventReader } from './testing/event-reader.ts'

interface Proposal {
  readonly id: string
}

let mesh: LocalMesh
let alice: MeshNode
let bob: MeshNode
let carol: MeshNode
let bobId = ''
let code = ''
const events = new Map<MeshNode, EventReader>()

beforeAll(async () => {
  mesh = await LocalMesh.start()
  ;[alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  const identities = await Promise.all([alice, bob, carol].map((node) => startNode(node)))
  bobId = identities[1]!
})

afterAll(async () => {
  for (const reader of events.values()) await reader[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
})

test('three nodes found a community, come in by invitation, vote, and one channel moves on all of them', async () => {
  const rules = ['--rule', 'supermajority', '--quorum', '50%', '--voting-period', '10m', '--inviter-cap', '3']
  const founded = await alice.run(['community', 'create', 'kitchen', ...rules, '--member', `${bobId}=user`])
  expect(founded).toMatchObject({
    role: 'admin',
    settles: true,
    rules: { decision: 'supermajority', quorum: 0.5, votingPeriodMs: 600_000, inviterCap: 3 },
  })
  await bob.run(['community', 'follow', String(founded['link'])])

  code = String((await alice.run(['community', 'invite']))['code'])
  expect(code).toMatch(/^loramesh:join:[a-z2-7]{82}$/)
  expect(await carol.run(['community', 'join', code, '--wait', '100'])).toMatchObject({
    state: 'member',
    community: { name: 'kitchen', role: 'user' },
  })
  const { members } = await carol.run(['community', 'members', 'kitchen'])
  expect(members).toMatchObject([
    { role: 'admin', own: false },
    { role: 'user', own: expect.any(Boolean) },
    { role: 'user', own: expect.any(Boolean) },
  ])

  await publish(alice)
  const { id } = await agreeOn(alice, ['propose', 'upgrade', 'biology@1.0.0', '--vote', 'yes'])
  for (const answer of await Promise.all([alice, bob, carol].map((node) => node.run(['channels'])))) {
    expect(answer).toMatchObject({
      channels: [{ capability: 'biology', release: { release: 'biology@1.0.0' }, held: [] }],
    })
  }
  const { proposal } = await bob.run(['tally', id.slice(0, 12)])
  expect(proposal).toMatchObject({
    state: 'accepted',
    count: { yes: 3, no: 0, abstain: 0 },
    measurement: { kind: 'unmeasured', why: 'no-suite' },
    signers: [expect.any(String)],
  })
}, 120_000)

test('a suite, a vote against with its reason, and a member that leaves', async () => {
  const suite = join(mesh.folder, 'suite.jsonl')
  await writeFile(suite, '{"prompt": "Q: Where?", "answer": "There."}\n')
  expect((await bob.attempt(['propose', 'suite', 'biology', suite])).json).toMatchObject({
    error: { code: 'bad-input', message: expect.stringContaining('teachers and admins') },
  })
  await agreeOn(alice, ['propose', 'suite', 'biology', suite, '--vote', 'yes'])
  expect(await carol.run(['channels'])).toMatchObject({
    channels: [{ suite: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    suites: [{ capability: 'biology', held: true }],
  })

  const asked = (await bob.run(['propose', 'rule', '--quorum', '0%'])) as { proposal: Proposal }
  const { id } = asked.proposal
  await heard(alice).next('proposal', ({ proposal }) => proposal === id)
  await alice.run(['vote', id.slice(0, 12), 'no', '--reason', 'then nobody need vote'])
  await heard(bob).next('ballot', ({ proposal, choice }) => proposal === id && choice === 'no')
  expect(await bob.run(['tally', id.slice(0, 12)])).toMatchObject({
    proposal: { state: 'open', ballots: [{ choice: 'no', reason: 'then nobody need vote' }] },
  })
  expect((await bob.run(['proposals'])) as object).toMatchObject({ proposals: [{ id }] })

  expect(await bob.run(['community', 'leave', 'kitchen', '--wait', '100'])).toEqual({ state: 'left' })
  expect(await bob.run(['community', 'list'])).toEqual({ communities: [] })
  await heard(alice).next('decided', ({ left }) => Array.isArray(left) && left[0] === bobId)

  const usedCode = await bob.attempt(['community', 'join', code])
  expect(usedCode.code).toBe(2)
  expect(usedCode.json).toMatchObject({ error: { code: 'bad-input', message: expect.stringContaining('was used') } })
  const unknown = invitationCode(aHash(9), new Uint8Array(16))
  const waiting = await bob.attempt(['community', 'join', unknown, '--wait', '0'])
  expect(waiting.code).toBe(1)
  expect(waiting.json).toMatchObject({ state: 'waiting', message: expect.stringContaining('The wish stays') })
}, 120_000)

/** Proposes by one and votes yes by the others; everybody sees the proposal, the ballots and then the decision, in that order. */
async function agreeOn(by: MeshNode, words: readonly string[]): Promise<Proposal> {
  const { proposal } = (await by.run(words)) as { proposal: Proposal }
  const others = [alice, bob, carol].filter((node) => node !== by)
  await Promise.all(
    others.map(async (node) => {
      await heard(node).next('proposal', (data) => data['proposal'] === proposal.id)
      await node.run(['vote', proposal.id.slice(0, 12), 'yes'])
    }),
  )
  for (const node of [alice, bob, carol]) {
    await heard(node).next('ballot', (data) => data['proposal'] === proposal.id && data['choice'] === 'yes')
    const { data } = await heard(node).next('decided', (decided) => decided['proposal'] === proposal.id)
    expect(data).toMatchObject({ outcome: 'accepted', count: { yes: 3, no: 0, abstain: 0 } })
  }
  return proposal
}

function heard(node: MeshNode): EventReader {
  return events.get(node)!
}

async function startNode(node: MeshNode): Promise<string> {
  const { identity } = await node.run(['init'])
  const { url } = await node.up()
  events.set(node, await eventsOf(String(url), node.data))
  return String(identity)
}

async function publish(node: MeshNode): Promise<void> {
  const [base, adapter] = [join(mesh.folder, 'base.gguf'), join(mesh.folder, 'adapter.gguf')]
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32 }, base)
  await randomAdapter(await inspectBase(base), { rank: 1 }, adapter)
  await node.run(['base', 'add', base])
  const facts = ['--version', '1.0.0', '--summary', 'answers questions about cells', '--licence', 'MIT']
  await node.run(['publish', adapter, '--name', 'biology', ...facts])
}
