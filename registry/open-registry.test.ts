import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import { systemClock } from './clock.ts'
import { Database } from './database.ts'
import { LogStore } from './log-store.ts'
import { MemoryMesh } from './memory-exchange.ts'
import { openRegistry } from './open-registry.ts'
import { aLog, anAuthor, aNode, aRelease, baseA, countedRandom, infohashOf, saysUnknown } from './testing/builders.ts'

test('a follower that knew nothing finds what members publish, and members see what it wants', async () => {
  const mesh = new MemoryMesh()
  await using a = await aNode(mesh, 'a')
  await using b = await aNode(mesh, 'b')
  await using c = await aNode(mesh, 'c')
  const { link, id } = a.registry.createCommunity({ name: 'kitchen', members: [{ identity: b.author.identity }] })
  expect(b.registry.followCommunity(link).state).toBe('waiting-for-genesis')
  c.registry.followCommunity(link)
  const shakespeare = aRelease(a.author, { name: 'shakespeare' })
  const recipes = aRelease(b.author, { name: 'recipes' })
  a.registry.publishRelease(shakespeare, infohashOf(shakespeare))
  b.registry.publishRelease(recipes, infohashOf(recipes))

  await c.registry.until(() => c.registry.catalogue().length === 2)
  expect(
    c.registry
      .catalogue()
      .map(({ manifest }) => manifest.name)
      .toSorted(),
  ).toEqual(['recipes', 'shakespeare'])

  const preview = c.registry.previewJob({
    capability: 'wine-pairing',
    description: 'wine pairing',
    base: { id: baseA, label: 'tiny base' },
  })
  c.registry.postJob(id, preview)
  for (const node of [a, b]) {
    await node.registry.until(() => node.registry.jobs().length === 1)
    expect(node.registry.jobs()[0]).toMatchObject({ capability: 'wine-pairing', member: false, own: false })
  }
  const hashes = [a, b, c].map((node) => toHex(node.registry.state(id).stateHash))
  expect(new Set(hashes).size).toBe(1)
})

test('a stranger without a link learns nothing', async () => {
  const mesh = new MemoryMesh()
  await using a = await aNode(mesh, 'a')
  await using x = await aNode(mesh, 'x')
  a.registry.createCommunity({ name: 'kitchen', members: [{ identity: anAuthor('b').identity }] })
  expect(x.registry.communities()).toEqual([])
})

test('a damaged signature in the file is told after the start, and does not keep the node from starting', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'registry.sqlite')
  damageSignature(path)
  await using registry = openRegistry({ path, author: anAuthor('a'), clock: systemClock, random: countedRandom('a') })
  let told: unknown
  registry.onEvent((event) => (told = event.kind === 'failed' ? event.error : told))
  await registry.start()
  await registry.until(() => told !== undefined)
  expect(told).toMatchObject({ code: 'storage-failed', blame: 'self' })
})

function damageSignature(path: string): void {
  using database = new Database({ path })
  const log = aLog(anAuthor('b'), 'public', [saysUnknown('one'), saysUnknown('two')])
  new LogStore(database).offerVerified(log)
  const { id, envelope, fields } = log[1]!
  const at = Buffer.from(envelope).indexOf(fields.signature)
  database.run('UPDATE records SET envelope = ? WHERE id = ?', envelope.with(at, envelope[at]! ^ 1), id)
}
