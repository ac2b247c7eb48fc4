import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { suiteText } from '../assembler/index.ts'
import { adaptersOf, baseFile, worldFolder } from '../fixtures/world-files.ts'
import { capabilityNamed, heldOutSuite } from '../fixtures/world/world.ts'
import { openFileSource, readGguf } from '../model-files/index.ts'
import { fromHex, toHex } from '../protocol/index.ts'
import { LocalMesh } from '../testing/local-mesh.ts'
import { publishRelease } from './publish-release.ts'
import { aContext, aPublisher, aWish, aWorldPublisher, anAdapterFile, publish } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const [, older, newer] = adaptersOf(capabilityNamed('biology')).map(({ file }) => join(worldFolder, file))

test('a version that is near the last one is published with a patch from it, kept and in the log', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path, 'one.gguf', 8)
  const first = await publish(node, { path })
  expect(first.upgrade).toBeUndefined()
  const second = await publish(node, { path: await aNearCopy(path, folder.path), version: '1.0.1' })
  expect(second.upgrade).toMatchObject({ from: first.releaseId, codec: 'lora-delta-1' })
  expect(second.upgrade!.bytes).toBeLessThan(second.bytes / 2)
  const [offer, ...others] = node.registry.patchesTo(fromHex(second.releaseId))
  expect(others).toEqual([])
  expect(offer).toMatchObject({ from: fromHex(first.releaseId), to: fromHex(second.releaseId) })
  const held = node.releases.get(second.releaseId)!
  expect(held.patches.map(({ infohash }) => toHex(infohash))).toEqual([toHex(offer!.infohash)])
})

test('no patch is offered from a higher version', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path, 'one.gguf', 8)
  await publish(node, { path, version: '2.0.0' })
  const below = await publish(node, { path: await aNearCopy(path, folder.path), version: '1.0.0' })
  expect(below.upgrade).toBeUndefined()
  expect(node.releases.list().flatMap(({ patches }) => patches)).toEqual([])
})

test('where the last version is damaged here, the new one is published without a patch, and that is told', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path, 'one.gguf', 8)
  const near = await aNearCopy(path, folder.path)
  const first = await publish(node, { path })
  const { adapter } = node.releases.get(first.releaseId)!.paths
  const bytes = await readFile(adapter)
  bytes[bytes.length - 1]! ^= 1
  await writeFile(adapter, bytes)
  const notes: unknown[] = []
  const context = aContext(({ type, text }) => type === 'note' && notes.push(text))
  const { state, upgrade } = await publishRelease(node, aWish({ path: near, version: '1.0.1' }), context)
  expect({ state, upgrade }).toEqual({ state: 'published', upgrade: undefined })
  expect(notes).toEqual([expect.stringMatching(/^No patch from 1\.0\.0 is offered: /)])
})

test('where the log does not know the last version, the new one is published without a patch, and that is told', async () => {
  await using folder = await temporaryFolder()
  const path = await published(folder.path)
  // Its releases are kept, its log is lost.
  await rm(join(folder.path, 'registry.sqlite'))
  await using node = await aPublisher(folder.path)
  const notes: unknown[] = []
  const context = aContext(({ type, text }) => type === 'note' && notes.push(text))
  const near = await aNearCopy(path, folder.path)
  const { releaseId, state, upgrade } = await publishRelease(node, aWish({ path: near, version: '1.0.1' }), context)
  expect({ state, upgrade }).toEqual({ state: 'published', upgrade: undefined })
  expect(node.releases.get(releaseId)).toBeDefined()
  expect(notes).toEqual([expect.stringMatching(/^The patch from the last version is not offered: /)])
})

test('a version that was defined by the last one and few bits is offered with the patch that defines it', async () => {
  await using folder = await temporaryFolder()
  await using node = await aWorldPublisher(folder.path)
  const probe = heldOutSuite(capabilityNamed('biology')).map(suiteText).slice(0, 8)
  const suites = [join(worldFolder, 'biology.suite.jsonl')]
  await publish(node, { path: older!, probe })
  const { upgrade, bytes } = await publish(node, { path: newer!, version: '1.0.1', probe, suites, deltaBits: 2 })
  expect(upgrade).toMatchObject({ codec: 'lora-kbit-1' })
  expect(upgrade!.bytes).toBeLessThan(bytes * 0.15)
})

test('a follower that holds the last version fetches the patch alone', async () => {
  await using mesh = await LocalMesh.start()
  const [publisher, follower] = [mesh.node('publisher'), mesh.node('follower')]
  for (const node of [publisher, follower]) {
    await node.run(['init'])
    await node.run(['base', 'add', join(worldFolder, baseFile)])
    await node.up()
  }
  const { link } = await publisher.run(['community', 'create', 'school'])
  await follower.run(['community', 'follow', String(link)])
  const suite = join(worldFolder, 'biology.suite.jsonl')
  const facts = [
    '--name',
    'biology',
    '--summary',
    'biology of Sorrelay',
    '--probe',
    suite,
    '--suite',
    suite,
    '--no-card',
  ]
  await publisher.run(['publish', older!, '--version', '1.7.0', ...facts])
  // Locked: one that floats would be moved on before it is asked for.
  await follower.run(['request', 'biology', '--locked'])
  const published = await publisher.run(['publish', newer!, '--version', '1.8.0', '--delta-bits', '2', ...facts])
  const upgrade = published['upgrade'] as { bytes: number }
  const requested = await follower.run(['request', 'biology@1.8.0'])
  expect(requested['fetch']).toMatchObject({ bytes: upgrade.bytes })
  expect(upgrade.bytes).toBeLessThan(Number(published['bytes']) * 0.15)
}, 180_000)

/** Publishes an adapter on a node that is gone afterwards; the adapter's path. */
async function published(root: string): Promise<string> {
  await using node = await aPublisher(root)
  const path = await anAdapterFile(node, root, 'one.gguf', 8)
  await publish(node, { path })
  return path
}

/** The same adapter with the last bit of every eighth number changed. */
async function aNearCopy(path: string, folder: string): Promise<string> {
  using source = openFileSource(path)
  const { dataOffset } = readGguf(source, 'adapter')
  const bytes = await readFile(path)
  for (let at = dataOffset; at < bytes.length; at += 32) bytes[at]! ^= 1
  const copy = join(folder, 'near.gguf')
  await writeFile(copy, bytes)
  return copy
}
