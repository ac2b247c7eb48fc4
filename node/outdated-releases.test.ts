import { expect, test } from 'vitest'
import { fromHex, signManifest, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import { lockfileText } from '../resolver/index.ts'
import { aManifest, anAuthor } from '../testing/objects.ts'
import { auditPersonas } from './audit-personas.ts'
import { lockPlan } from './lock-plan.ts'
import { outdatedReleases } from './outdated-releases.ts'
import type { PersonaOrigin } from './persona-store.ts'
import { planExplanation, planOnOwnBases } from './plan-request.ts'
import { addBase, nodeParts } from './testing/node-parts.ts'
import type { NodeParts } from './testing/node-parts.ts'
import { whyInPersona } from './why-release.ts'

const { signal } = new AbortController()

test('nothing is outdated while names mean what they meant', async () => {
  await using node = await nodeParts()
  await publish(node, { version: '1.0.0' })
  await made(node, 'biology')
  expect(await outdatedReleases(node, undefined, signal)).toEqual([])
})

test('a newer release shows as wanted and latest; under a range asked for the two differ, and it says why', async () => {
  await using node = await nodeParts()
  await publish(node, { version: '1.0.0' })
  const bare = await made(node, 'biology')
  const ranged = await made(node, 'biology@~1.0 and stamps')
  await publish(node, { version: '1.0.1' }, { version: '2.0.0' })
  expect(await outdatedReleases(node, bare, signal)).toEqual([
    { persona: bare, name: 'biology', current: '1.0.0', wanted: '2.0.0', latest: '2.0.0' },
  ])
  expect(await outdatedReleases(node, ranged, signal)).toEqual([
    {
      persona: ranged,
      name: 'biology',
      current: '1.0.0',
      wanted: '1.0.1',
      latest: '2.0.0',
      why: 'the request asks for biology@~1.0',
    },
  ])
  expect((await outdatedReleases(node, undefined, signal)).map(({ persona }) => persona).toSorted()).toEqual(
    [bare, ranged].toSorted(),
  )
})

test('a persona that stays is behind all the same, wants nothing, and says so', async () => {
  await using node = await nodeParts()
  await publish(node, { version: '1.0.0' })
  const persona = await made(node, 'biology', { follows: 'stay' })
  await publish(node, { version: '1.1.0' })
  expect(await outdatedReleases(node, undefined, signal)).toMatchObject([
    { persona, current: '1.0.0', wanted: '1.0.0', latest: '1.1.0', why: expect.stringContaining('stays') },
  ])
})

test('a persona that has moved on is left out unless it is named', async () => {
  await using node = await nodeParts()
  await publish(node, { version: '1.0.0' })
  const old = await node.personas.get(await made(node, 'biology'))
  await publish(node, { version: '1.1.0' })
  await node.personas.move(old, await lockfileFor(node, 'biology'))
  expect(await outdatedReleases(node, undefined, signal)).toEqual([])
  expect(await outdatedReleases(node, old.id, signal)).toMatchObject([{ current: '1.0.0', latest: '1.1.0' }])
})

test('what only others require is outdated too', async () => {
  await using node = await nodeParts()
  await publish(node, { version: '1.0.0', requires: [{ name: 'science', range: '^1' }] }, { name: 'science' })
  const persona = await made(node, 'biology')
  await publish(node, { name: 'science', version: '1.2.0' })
  expect(await outdatedReleases(node, persona, signal)).toEqual([
    { persona, name: 'science', current: '1.0.0', wanted: '1.2.0', latest: '1.2.0' },
  ])
})

test('what a community decides its names mean is the latest, wherever that leads', async () => {
  await using node = await nodeParts()
  const [first] = await publish(node, { version: '1.0.0' }, { version: '2.0.0' })
  const persona = await made(node, 'biology')
  expect(await outdatedReleases(node, persona, signal, () => first)).toMatchObject([
    { current: '2.0.0', wanted: '1.0.0', latest: '1.0.0' },
  ])
})

test('what the channel of a withdrawn release leads to is said where it is outdated, and in a plan that asks for it', async () => {
  await using node = await nodeParts()
  const [, decided] = await publish(node, { version: '1.0.0' }, { version: '2.0.0' })
  const { governance } = node.registry
  const { id } = node.registry.createCommunity({ name: 'kitchen' })
  governance.allowSettling(id, true)
  const base = fromHex(node.bases.current()!.id)
  const action = { kind: 'upgrade', capability: 'biology', base, release: fromHex(decided!) } as const
  const said = governance.propose(id, action)
  if (said.kind !== 'appended') throw new Error(said.message)
  governance.vote(id, said.record.id, 'yes')
  await node.registry.until(() => governance.channels(id).length === 1, AbortSignal.timeout(20_000))
  const persona = await made(node, 'biology')
  const explained = async (text: string): Promise<string> =>
    planExplanation(node, await planOnOwnBases(node, { text, anyPublisher: false, signal }))
  expect(await explained('biology')).not.toContain('withdrawn')

  node.registry.withdrawRelease(fromHex(decided!), 'wrong data')
  const lost = expect.stringContaining('The channel biology leads to biology@2.0.0, which was withdrawn (wrong data)')
  expect(await outdatedReleases(node, persona, signal)).toEqual([
    { persona, name: 'biology', current: '2.0.0', wanted: '1.0.0', latest: '1.0.0', why: lost },
  ])
  expect(await explained('biology')).toEqual(lost)
  expect(await explained('biology')).toContain('-> biology@1.0.0')
  expect(await explained('stamps')).not.toContain('withdrawn')
  expect((await auditPersonas(node, { signal, emit() {} })).findings).toContainEqual(
    expect.objectContaining({ code: 'withdrawn', subject: 'biology@2.0.0', advice: lost }),
  )
})

test('why also tells of a withdrawal with its reason, and of what took the place', async () => {
  await using node = await nodeParts()
  const [first] = await publish(node, { version: '1.0.0' })
  const persona = await made(node, 'biology')
  const plain = await whyInPersona(node, 'biology', undefined, signal)
  expect(plain).toEqual({
    persona,
    name: 'biology',
    why: expect.stringContaining('biology@1.0.0 is part of'),
    evaluations: [],
  })
  node.registry.withdrawRelease(fromHex(first!), 'wrong data')
  await publish(node, { version: '1.1.0' })
  expect(await whyInPersona(node, 'biology', persona, signal)).toMatchObject({
    withdrawn: 'wrong data',
    latest: '1.1.0',
  })
  await expect(whyInPersona(node, 'law', persona, signal)).rejects.toMatchObject({ code: 'not-found' })
})

test('the same request on the same catalogue gives the same lockfile, byte for byte, twice and on two nodes', async () => {
  await using one = await nodeParts({ author: anAuthor(5) })
  await using other = await nodeParts({ author: anAuthor(6) })
  await addBase(one, 'mine')
  await addBase(other, 'yours')
  const facts = [
    { name: 'biology', version: '1.0.0', requires: [{ name: 'science', range: '^1' }] },
    { name: 'biology', version: '1.2.0', requires: [{ name: 'science', range: '^1' }] },
    { name: 'physics', version: '0.3.0' },
    { name: 'science', version: '1.0.0' },
  ]
  const releases = facts.map((fact) => signed(one, fact))
  for (const release of releases) one.registry.noteRelease(release, release.releaseId.slice(0, 20), 'test')
  // Told in another order, to a node that calls its copy of the base by another name.
  for (const release of releases.toReversed())
    other.registry.noteRelease(release, release.releaseId.slice(0, 20), 'test')
  const text = 'biology, physics and juggling'
  const first = lockfileText(await lockfileFor(one, text))
  expect(first).toContain('"juggling"')
  expect(JSON.parse(first)).toMatchObject({ releases: [{ name: 'biology', version: '1.2.0' }, {}, {}] })
  expect(lockfileText(await lockfileFor(one, text))).toBe(first)
  expect(lockfileText(await lockfileFor(other, text))).toBe(first)
})

/** Ids of releases of the node itself, for its base. */
async function publish(node: NodeParts, ...facts: readonly Partial<Manifest>[]): Promise<string[]> {
  if (node.bases.current() === undefined) await addBase(node)
  return facts.map((fact) => {
    const release = signed(node, fact, node.options.keys.author)
    node.registry.publishRelease(release, release.releaseId.slice(0, 20))
    return toHex(release.releaseId)
  })
}

function signed(node: NodeParts, facts: Partial<Manifest>, author = anAuthor()) {
  const base = node.bases.current()!
  const { name = 'biology' } = facts
  const about = { id: fromHex(base.id), tokenizer: fromHex(base.tokenizer), label: 'as published', evaluatedOn: [] }
  const capabilities = [{ name, description: `what there is to know of ${name}` }]
  return signManifest(aManifest({ name, base: about, capabilities, ...facts }, author), author)
}

async function made(node: NodeParts, request: string, origin: Partial<PersonaOrigin> = {}): Promise<string> {
  const lockfile = await lockfileFor(node, request)
  return (await node.personas.save(lockfile, { follows: 'float', madeAt: 1, request, ...origin })).id
}

async function lockfileFor(node: NodeParts, text: string) {
  const { plan, base } = await planOnOwnBases(node, { text, anyPublisher: true, signal })
  const entries = node.registry.catalogue({ anyPublisher: true })
  const chosen = plan.releases.map(({ release }) => entries.find(({ releaseId }) => toHex(releaseId) === release)!)
  return lockPlan(plan, base!, chosen)
}
