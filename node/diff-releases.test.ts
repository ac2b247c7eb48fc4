import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { adaptersOf, worldFolder } from '../fixtures/world-files.ts'
import { capabilityNamed } from '../fixtures/world/world.ts'
import { signManifest, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import { lockfileText, parseLockfile } from '../resolver/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import { aHash, aManifest, anAuthor } from '../testing/objects.ts'
import { changedFields, diffReleases } from './diff-releases.ts'
import type { DiffSide } from './diff-releases.ts'
import { torrentOfRelease } from './release-pieces.ts'
import { keepRelease } from './testing/held-release.ts'
import { nodeParts } from './testing/node-parts.ts'
import type { NodeParts } from './testing/node-parts.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const context = { signal: new AbortController().signal, emit() {} }
const named = (name: string): DiffSide => ({ name })

test('only leaves that differ are named, by their path; what came or went has one side', () => {
  const before = { same: 1, deep: { rank: 8, kept: [1] }, list: ['a'], gone: 'x' }
  const after = { same: 1, deep: { rank: 16, kept: [1] }, list: ['a', 'b'], come: true }
  expect(changedFields(before, after)).toEqual([
    { field: 'come', b: true },
    { field: 'deep.rank', a: 8, b: 16 },
    { field: 'gone', a: 'x' },
    { field: 'list', a: ['a'], b: ['a', 'b'] },
  ])
})

test('two versions: what is said of them, their evaluations, and how far their updates are apart', async () => {
  await using node = await nodeParts()
  const suite = aHash(77)
  const measured = { suite, metric: 'accuracy', value: 600_000, baseValue: 100_000, n: 50, standardError: 70_000 }
  note(node, { version: '1.0.0', evaluations: [measured] })
  note(node, { version: '1.1.0', summary: 'knows more', evaluations: [{ ...measured, value: 800_000 }] })
  const difference = await diffReleases(node, named('biology@1.0.0'), named('biology@1.1.0'), context)
  expect(difference).toMatchObject({
    kind: 'releases',
    same: false,
    fields: [
      { field: 'summary', a: 'answers questions about cells', b: 'knows more' },
      { field: 'version', a: '1.0.0', b: '1.1.0' },
    ],
    evaluations: [{ suite: toHex(suite), metric: 'accuracy', a: { value: 600_000 }, b: { value: 800_000, n: 50 } }],
    why: expect.stringContaining('lora-mesh seed biology@1.0.0'),
  })
  expect(difference).not.toHaveProperty('adapter')
})

test('a release that is held is at no distance from itself, by id or by name', async () => {
  await using node = await nodeParts()
  const { id } = await keepRelease(node.releases, node.options.paths)
  expect(await diffReleases(node, named(id.slice(0, 16)), named('biology@1.0.0'), context)).toMatchObject({
    same: true,
    fields: [],
    adapter: { all: { relativeChange: 0 } },
  })
})

test('adapters for different bases are not compared', async () => {
  await using node = await nodeParts()
  const { paths } = await keepRelease(node.releases, node.options.paths)
  const base = { id: aHash(99), tokenizer: aHash(12), label: 'another', evaluatedOn: [] }
  const { adapter } = node.releases.list()[0]!.signed.manifest
  const other = signManifest(aManifest({ version: '2.0.0', base, adapter }), anAuthor())
  await node.releases.keep(other, (await torrentOfRelease(other.sealed, paths.adapter, context.signal)).metainfo)
  const difference = await diffReleases(node, named('biology@1.0.0'), named('biology@2.0.0'), context)
  expect(difference).toMatchObject({ why: expect.stringContaining('different bases') })
  expect(difference).not.toHaveProperty('adapter')
})

test('files need no node: the versions of one capability of the world are some way apart, the same bytes are not', async () => {
  await using folder = await temporaryFolder()
  const files = adaptersOf(capabilityNamed('biology')).map(({ file }) => join(worldFolder, file))
  const sides = files.map((path) => ({ path }))
  const steps: object[] = []
  const difference = await diffReleases(undefined, sides[0]!, sides[1]!, {
    ...context,
    emit: (step) => steps.push(step),
  })
  if (difference.kind !== 'releases') throw new Error('files of adapters are compared as releases')
  const { all, kinds } = difference.adapter!
  expect(all.relativeChange).toBeGreaterThan(0.05)
  for (const { relativeChange, matrices } of kinds) {
    expect(relativeChange).toBeGreaterThan(0)
    expect(matrices).toBeGreaterThan(0)
  }
  expect(steps.at(-1)).toMatchObject({ type: 'progress', label: 'comparing' })
  const copy = join(folder.path, 'copy.gguf')
  await copyFile(files[0]!, copy)
  expect(await diffReleases(undefined, sides[0]!, { path: copy }, context)).toMatchObject({ same: true })
})

test('personas, kept or as files: releases in place of each other, come and gone, and what else differs', async () => {
  await using node = await nodeParts()
  await using folder = await temporaryFolder()
  const before = aLockfile([
    ['biology', '1.0.0'],
    ['law', '1.0.0'],
  ])
  const after = {
    ...aLockfile([
      ['biology', '2.0.0'],
      ['physics', '0.1.0'],
    ]),
    systemPrompt: 'Be brief.',
  }
  const { id } = await node.personas.save(before, { follows: 'stay', madeAt: 1 })
  const path = join(folder.path, 'other.json')
  await writeFile(path, lockfileText(after))
  const difference = await diffReleases(node, named(id), { path }, context)
  expect(difference).toMatchObject({
    kind: 'personas',
    a: id,
    same: false,
    fields: [{ field: 'systemPrompt', b: 'Be brief.' }],
    releases: [
      { name: 'biology', a: { version: '1.0.0' }, b: { version: '2.0.0' } },
      { name: 'law', a: { version: '1.0.0' } },
      { name: 'physics', b: { version: '0.1.0' } },
    ],
  })
  expect(await diffReleases(node, named(id), named(id.slice(0, 6)), context)).toMatchObject({
    same: true,
    releases: [],
  })
})

test('a persona and a release are not comparable, and unknown names are not found', async () => {
  await using node = await nodeParts()
  note(node, { version: '1.0.0' })
  const { id } = await node.personas.save(aLockfile([]), { follows: 'stay', madeAt: 1 })
  const diff = (a: string, b: string) => diffReleases(node, named(a), named(b), context)
  await expect(diff(id, 'biology@1.0.0')).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringContaining(id),
  })
  await expect(diff('biology@1.0.0', 'biology@9.9.9')).rejects.toMatchObject({ code: 'not-found' })
})

function note(node: NodeParts, facts: Partial<Manifest>): void {
  node.registry.noteRelease(signManifest(aManifest(facts), anAuthor()), new Uint8Array(20), 'test')
}

function aLockfile(releases: readonly (readonly [name: string, version: string])[]): Lockfile {
  const locked = releases.map(([name, version]) => ({
    name,
    version,
    publisher: 'a'.repeat(52),
    releaseId: Buffer.from(`${name}@${version}`).toString('hex').padEnd(64, '0').slice(0, 64),
    sha256: '00'.repeat(32),
    bytes: 1,
    infohash: '00'.repeat(20),
    scale: 1_000_000,
    capability: name,
    facets: [name],
    requiredBy: [],
  }))
  const base = { id: '01'.repeat(32), label: 'tiny' }
  return parseLockfile(
    JSON.stringify({ format: 'lora-mesh-lockfile/1', base, releases: locked, mode: 'stack', gaps: [] }),
  )
}
