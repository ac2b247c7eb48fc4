import { expect, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import { MemoryMesh } from './memory-exchange.ts'
import { anAuthor, aNode, aRelease, baseA, infohashOf } from './testing/builders.ts'

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
