import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { adaptersOf, newestAdapter, worldFolder } from '../fixtures/world-files.ts'
import { suiteText } from '../assembler/index.ts'
import { capabilityNamed, heldOutSuite } from '../fixtures/world/world.ts'
import { toHex } from '../protocol/index.ts'
import { proposeRelease } from './propose-release.ts'
import { publishRelease } from './publish-release.ts'
import type { ProposalWish } from './propose-release.ts'
import { aContext, aPublisher, aWish, aWorldPublisher, anAdapterFile, publish } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const suite = join(worldFolder, 'biology.suite.jsonl')
const [oldest, , newest] = adaptersOf(capabilityNamed('biology')).map(({ file }) => join(worldFolder, file))

function aProposal(wish: Partial<ProposalWish> & Pick<ProposalWish, 'path'>): ProposalWish {
  return { scale: 1, capabilities: [], tags: [], ...wish }
}

test('of an adapter that says nothing the name is proposed and the rest is unknown', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path, 'recipes-1.0.0.gguf')
  expect(await proposeRelease(node, aProposal({ path }), aContext())).toMatchObject({
    name: 'recipes',
    version: { version: '1.0.0', step: 'first' },
    licence: 'NOASSERTION',
    capabilities: [],
    unknown: ['summary', 'licence'],
    published: [],
  })
})

test('after a release its words are proposed again, with the next version, and a copy of its bytes is told', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path, 'recipes.gguf')
  const capabilities = [
    { name: 'recipes', description: 'cooking' },
    { name: 'menus', description: 'what goes with what' },
  ]
  await publish(node, { path, name: 'recipes', version: '1.2.0', summary: 'cooks', capabilities, tags: ['food'] })
  const again = await proposeRelease(node, aProposal({ path }), aContext())
  expect(again).toMatchObject({
    version: { version: '1.2.1', step: 'patch' },
    summary: 'cooks',
    licence: 'MIT',
    capabilities,
    tags: ['food'],
    unknown: [],
    published: ['1.2.0'],
    notes: ['It is byte for byte the adapter of recipes@1.2.0.'],
  })
  const wider = await anAdapterFile(node, folder.path, 'wider.gguf', 2)
  const other = await proposeRelease(node, aProposal({ path: wider, name: 'recipes' }), aContext())
  expect(other).toMatchObject({ version: { version: '2.0.0' }, notes: [] })
  const alike = await proposeRelease(node, aProposal({ path, name: 'recipe' }), aContext())
  expect(alike.lookAlikes).toEqual([{ name: 'recipes', why: 'one edit away' }])
})

test('a version that does better on the same suite is a minor one, and what does worse is told', async () => {
  await using folder = await temporaryFolder()
  await using node = await aWorldPublisher(folder.path)
  await publish(node, { path: oldest!, name: 'biology', version: '1.6.0', suites: [suite] })
  const better = await proposeRelease(node, aProposal({ path: newest!, name: 'biology', suites: [suite] }), aContext())
  expect(better.version).toMatchObject({ version: '1.7.0', why: expect.stringMatching(/instead of \d/) })
  expect(better.notes[0]).toMatch(/^biology\.suite\.jsonl: exact-match \d+\.\d % \(base \d+\.\d %\), n = \d+/)

  await publish(node, { path: newest!, name: 'biology', version: '1.7.0', suites: [suite] })
  const worse = await proposeRelease(node, aProposal({ path: oldest!, name: 'biology', suites: [suite] }), aContext())
  expect(worse.version).toMatchObject({ version: '1.7.1', step: 'patch' })
  expect(worse.notes.join('\n')).toContain('It does worse than 1.7.0')
})

test('a suite is asked once: what was measured for a proposal is signed when it is published', async () => {
  await using folder = await temporaryFolder()
  await using node = await aWorldPublisher(folder.path)
  const path = join(folder.path, 'law.gguf')
  await copyFile(join(worldFolder, newestAdapter('law').file), path)
  const suites = [join(worldFolder, 'law.suite.jsonl')]
  const asked: unknown[] = []
  const context = aContext((event) => event.type === 'asked' && asked.push(event))
  await proposeRelease(node, aProposal({ path, suites }), context)
  const total = asked.length / 2
  expect(asked[0]).toEqual({ type: 'asked', suite: 'law.suite.jsonl', who: 'base', done: 1, total })
  expect(asked.at(-1)).toEqual({ type: 'asked', suite: 'law.suite.jsonl', who: 'adapter', done: total, total })
  asked.length = 0
  const probe = heldOutSuite(capabilityNamed('law')).map(suiteText).slice(0, 8)
  const { evaluations } = await publishRelease(node, aWish({ path, suites, probe }), context)
  expect(asked).toEqual([])
  const [{ signed } = {}] = node.releases.list()
  const [evaluation] = signed!.manifest.evaluations
  expect(evaluation).toMatchObject({ metric: 'exact-match', value: 1_000_000, n: total, standardError: 0 })
  expect(evaluation!.baseValue).toBeLessThan(200_000)
  expect(evaluations).toEqual([{ ...evaluation, suite: toHex(evaluation!.suite) }])
})

test('a suite that is none is refused before the adapter is read', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = join(folder.path, 'none')
  const suites = [join(worldFolder, 'law-1.0.0.gguf')]
  await expect(proposeRelease(node, aProposal({ path, suites }), aContext())).rejects.toMatchObject({
    code: 'bad-input',
  })
})
