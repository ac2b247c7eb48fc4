import { execFileSync } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { adaptersOf, baseFile, worldFolder } from '../fixtures/world-files.ts'
import { capabilityNamed, heldOutSuite } from '../fixtures/world/world.ts'
import { toHex } from '../protocol/index.ts'
import type { PublishWish } from './release-wish.ts'
import { emptyDataFolder } from './testing/held-release.ts'
import { aPublisher, anAdapterFile, publish } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('what a publication that was killed left is gone when the node starts again; unfinished downloads stay', async () => {
  await using folder = await temporaryFolder()
  const { staging } = await emptyDataFolder(folder.path)
  const download = 'ab'.repeat(20)
  for (const name of ['publish-Xy12Zw', download]) {
    await mkdir(join(staging, name))
    await writeFile(join(staging, name, 'adapter.gguf'), 'half')
  }
  await using node = await aPublisher(folder.path)
  expect(await readdir(node.options.paths.staging)).toEqual([download])
})

test.skipIf(process.platform === 'win32')('a pipe or a device is refused, not read', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const pipe = join(folder.path, 'pipe')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, '/dev/zero'])
    await expect(publish(node, { path })).rejects.toMatchObject({ code: 'bad-input' })
  await expect(publish(node, { path: join(folder.path, 'none') })).rejects.toMatchObject({ code: 'not-found' })
  expect(await readdir(node.options.paths.staging)).toEqual([])
})

test('what is said of a release is checked before its adapter is read', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const none = join(folder.path, 'none')
  const wrong: readonly (readonly [field: string, Partial<PublishWish>])[] = [
    ['name', { name: 'Recipes' }],
    ['name', { name: '' }],
    ['version', { version: 'v1' }],
    ['summary', { summary: 'two\nlines' }],
    ['capabilities.0.name', { capabilities: [{ name: 'A b', description: 'x' }] }],
    ['tags.0', { tags: ['No Tag'] }],
    ['licence', { licence: '' }],
    ['licence', { licence: 'my own' }],
    ['requires.0.range', { requires: [{ name: 'science', range: 'newest' }] }],
  ]
  for (const [field, facts] of wrong) {
    await expect(publish(node, { path: none, ...facts })).rejects.toMatchObject({
      code: 'bad-input',
      details: { field },
    })
  }
})

test('a strength near the limit can be published, also a negative one', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  for (const [version, scale, scaleRange] of [
    ['1.0.0', 16, [0, 16_000_000]],
    ['2.0.0', -1, [-2_000_000, 0]],
  ] as const) {
    await publish(node, { path, version, scale })
    const held = node.releases.list().find(({ signed }) => signed.manifest.version === version)
    expect(held?.signed.manifest.use).toEqual({ scale: scale * 1e6, scaleRange })
  }
})

test('a publisher may say how weak and how strong its adapter may be made, with its own strength in between', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  await publish(node, { path, scale: 1, scaleRange: [0.5, 1.25] })
  expect(node.releases.list()[0]?.signed.manifest.use.scaleRange).toEqual([500_000, 1_250_000])
  for (const scaleRange of [[1.5, 2] as const, [0, 0.5] as const]) {
    const wish = { path: join(folder.path, 'none'), version: '2.0.0', scale: 1, scaleRange }
    await expect(publish(node, wish)).rejects.toMatchObject({ code: 'bad-input', details: { scaleRange } })
  }
})

test('an adapter that changes the answers to certain questions only is probed with questions of its publisher', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  await node.bases.add(join(worldFolder, baseFile), {})
  const { label } = node.bases.list().find(({ label }) => label === 'Sorrelay')!
  const wish = {
    path: join(worldFolder, adaptersOf(capabilityNamed('chemistry'))[0]!.file),
    name: 'chemistry',
    base: label,
  }
  // Made a thousand times weaker, it shows nothing by itself.
  await expect(publish(node, { ...wish, scale: 0.001 })).rejects.toMatchObject({
    code: 'probe-failed',
    message: expect.stringContaining('--probe FILE.jsonl'),
  })
  expect(node.releases.list()).toEqual([])
  const questions = heldOutSuite(capabilityNamed('chemistry'))
    .slice(0, 3)
    .map(({ prompt, answer }) => `${prompt} ${answer}`)
  await publish(node, { ...wish, probe: questions })
  const { probe } = node.releases.list()[0]!.signed.manifest
  for (const [i, text] of questions.entries()) {
    const base = { path: join(worldFolder, baseFile), sha256: node.bases.find(label).file }
    expect(probe[i]!.tokens.slice(1)).toEqual(await node.engine.tokenize(text, { forBase: base }))
    expect(probe[i]!.baseNll - probe[i]!.adapterNll).toBeGreaterThan(50_000)
  }
})

test('of two publications of one version at once one is refused, and nothing of it is kept or served', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const both = ['one', 'another'].map((summary) => publish(node, { path, summary }))
  const outcomes = await Promise.allSettled(both)
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'version-taken' } })
  const { objects, releases } = node.options.paths
  expect(node.releases.list()).toHaveLength(1)
  expect(await readdir(releases)).toHaveLength(1)
  expect(await readdir(objects)).toHaveLength(1)
})

test('what it requires and what it was made from is signed, the latter by id, name or first digits', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const { releaseId } = await publish(node, { path, name: 'one' })
  const unknown = 'ab'.repeat(32)
  const requires = [{ name: 'one', range: '^1.0.0' }]
  await publish(node, { path, name: 'two', requires, parents: ['one@1.0.0', releaseId.slice(0, 12), unknown] })
  const { manifest } = node.releases.list().find(({ signed }) => signed.manifest.name === 'two')!.signed
  expect(manifest.requires).toEqual(requires)
  expect(manifest.lineage.parents.map(({ release }) => toHex(release))).toEqual([releaseId, unknown])
  await expect(publish(node, { path, name: 'three', parents: ['none@1.0.0'] })).rejects.toMatchObject({
    code: 'not-found',
  })
})

test('a backport may be published, a version below another of its line may not', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  for (const version of ['1.2.1', '2.0.0', '1.2.2']) await publish(node, { path, version })
  for (const version of ['1.2.2', '1.2.0'])
    await expect(publish(node, { path, version })).rejects.toMatchObject({ code: 'version-taken' })
})
