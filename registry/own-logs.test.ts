import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import { MemoryMesh } from './memory-exchange.ts'
import { openRegistry } from './open-registry.ts'
import type { Registry } from './open-registry.ts'
import { systemClock } from './clock.ts'
import { offlineWarning } from './own-logs.ts'
import { anAuthor, aNode, aRelease, baseA, countedRandom, infohashOf } from './testing/builders.ts'
import type { TestNode, TestNodeOptions } from './testing/builders.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function aFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-own-'))
  folders.push(folder)
  return folder
}

const alice = anAuthor('alice')

function publish(registry: Registry, version: string, summary?: string): ReturnType<Registry['publishRelease']> {
  const release = aRelease(alice, { version, ...(summary === undefined ? {} : { summary }) })
  return registry.publishRelease(release, infohashOf(release))
}

function versions(registry: Registry): string[] {
  return registry
    .catalogue({ anyPublisher: true })
    .map(({ manifest }) => manifest.version)
    .toSorted()
}

/** Alice with her data folder on disk, and Bob, who follows her community and stays. */
async function aliceAndBob(mesh: MemoryMesh, path: string): Promise<{ alice: TestNode; bob: TestNode; link: string }> {
  const bob = await aNode(mesh, 'bob')
  const alice = await aliceAgain(mesh, path)
  const { link } = alice.registry.createCommunity({ name: 'kitchen', members: [{ identity: bob.author.identity }] })
  bob.registry.followCommunity(link)
  return { alice, bob, link }
}

async function aliceAgain(mesh: MemoryMesh, path: string, options: TestNodeOptions = {}): Promise<TestNode> {
  return await aNode(mesh, 'alice', { path, ...options })
}

async function stop(...nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) await node[Symbol.asyncDispose]()
}

describe('a log that was never handed to anyone', () => {
  test('is appended to freely, also after a restart', async () => {
    const path = join(aFolder(), 'registry.sqlite')
    for (const version of ['1.0.0', '1.1.0']) {
      await using registry = openRegistry({ path, author: alice, clock: systemClock, random: countedRandom('a') })
      expect(publish(registry, version).kind).toBe('appended')
      expect(registry.pending()).toEqual([])
    }
  })
})

describe('a log that a peer holds, after a restart', () => {
  test('is not appended to before that peer was asked: actions wait, survive another restart, and are signed in order', async () => {
    const mesh = new MemoryMesh()
    const path = join(aFolder(), 'registry.sqlite')
    const before = await aliceAndBob(mesh, path)
    publish(before.alice.registry, '1.0.0')
    await before.bob.registry.until(() => versions(before.bob.registry).length === 1)
    await stop(before.alice)

    const alone = new MemoryMesh()
    const restarted = await aliceAgain(alone, path)
    expect(publish(restarted.registry, '1.1.0')).toMatchObject({ kind: 'pending', pending: { waitingFor: 'peer' } })
    expect(publish(restarted.registry, '1.2.0').kind).toBe('pending')
    expect(publish(restarted.registry, '1.2.0').kind).toBe('pending')
    expect(versions(restarted.registry)).toEqual(['1.0.0'])
    expect(restarted.registry.pending()).toHaveLength(2)
    await stop(restarted)

    const online = await aliceAgain(mesh, path)
    await online.registry.until(() => online.registry.pending().length === 0)
    await before.bob.registry.until(() => versions(before.bob.registry).length === 3)
    expect(versions(before.bob.registry)).toEqual(['1.0.0', '1.1.0', '1.2.0'])
    expect(publish(online.registry, '1.3.0').kind).toBe('appended')
    await stop(online, before.bob)
  })

  test('is signed at once with offline, and says what that risks', async () => {
    const mesh = new MemoryMesh()
    const path = join(aFolder(), 'registry.sqlite')
    const { alice, bob } = await aliceAndBob(mesh, path)
    publish(alice.registry, '1.0.0')
    await bob.registry.until(() => versions(bob.registry).length === 1)
    await stop(alice, bob)
    const offline = await aliceAgain(new MemoryMesh(), path, { offline: true })
    expect(publish(offline.registry, '1.1.0')).toMatchObject({ kind: 'appended', warning: offlineWarning })
    expect(versions(offline.registry)).toEqual(['1.0.0', '1.1.0'])
    await stop(offline)
  })

  test('is signed when the node is next started with offline, where it had waited before', async () => {
    const mesh = new MemoryMesh()
    const path = join(aFolder(), 'registry.sqlite')
    const { alice, bob } = await aliceAndBob(mesh, path)
    publish(alice.registry, '1.0.0')
    await bob.registry.until(() => versions(bob.registry).length === 1)
    await stop(alice, bob)
    const alone = await aliceAgain(new MemoryMesh(), path)
    expect(publish(alone.registry, '1.1.0').kind).toBe('pending')
    await stop(alone)
    const offline = await aliceAgain(new MemoryMesh(), path, { offline: true })
    expect(offline.registry.pending()).toEqual([])
    expect(versions(offline.registry)).toEqual(['1.0.0', '1.1.0'])
    await stop(offline)
  })

  test('what was done before it was asked can be taken back', async () => {
    const mesh = new MemoryMesh()
    const path = join(aFolder(), 'registry.sqlite')
    const { alice, bob } = await aliceAndBob(mesh, path)
    publish(alice.registry, '1.0.0')
    await bob.registry.until(() => versions(bob.registry).length === 1)
    await stop(alice, bob)
    const alone = await aliceAgain(new MemoryMesh(), path)
    publish(alone.registry, '1.1.0')
    const [pending] = alone.registry.pending()
    expect(alone.registry.discardPending(pending!.id)).toBe(true)
    expect(alone.registry.discardPending(pending!.id)).toBe(false)
    expect(alone.registry.pending()).toEqual([])
    await stop(alone)
  })
})

describe('keys restored without the logs they signed', () => {
  test('wait for a peer that holds them, take them over, and then go on', async () => {
    const mesh = new MemoryMesh()
    const lost = join(aFolder(), 'registry.sqlite')
    const { alice, bob, link } = await aliceAndBob(mesh, lost)
    publish(alice.registry, '1.0.0')
    publish(alice.registry, '1.1.0')
    await bob.registry.until(() => versions(bob.registry).length === 2)
    await stop(alice)

    const path = join(aFolder(), 'registry.sqlite')
    const restored = await aliceAgain(new MemoryMesh(), path, { identityMayBeOlder: true })
    expect(publish(restored.registry, '1.2.0')).toMatchObject({ kind: 'pending', pending: { waitingFor: 'peer' } })
    await stop(restored)

    // That the keys are older is a fact of the file: it is not asked again.
    const online = await aliceAgain(mesh, path)
    online.registry.followCommunity(link)
    await online.registry.until(() => online.registry.pending().length === 0)
    await bob.registry.until(() => versions(bob.registry).length === 3)
    expect(versions(online.registry)).toEqual(['1.0.0', '1.1.0', '1.2.0'])
    expect(publish(online.registry, '1.3.0').kind).toBe('appended')
    await stop(online, bob)
  })
})

describe('a restored backup', () => {
  /** Alice publishes 1.0.0, makes a backup, publishes 1.1.0, which Bob sees; then her disk dies. */
  async function restored(mesh: MemoryMesh): Promise<{ path: string; bob: TestNode }> {
    const folder = aFolder()
    const path = join(folder, 'registry.sqlite')
    const { alice, bob } = await aliceAndBob(mesh, path)
    publish(alice.registry, '1.0.0')
    await bob.registry.until(() => versions(bob.registry).length === 1)
    await stop(alice)
    const backup = join(folder, 'backup.sqlite')
    copyFileSync(path, backup)
    const later = await aliceAgain(mesh, path)
    await later.registry.until(() => later.registry.peers().length > 0)
    publish(later.registry, '1.1.0')
    await bob.registry.until(() => versions(bob.registry).length === 2)
    await stop(later)
    return { path: backup, bob }
  }

  test('takes over what peers hold beyond it, and only then signs what waited: no fork', async () => {
    const mesh = new MemoryMesh()
    const { path, bob } = await restored(mesh)
    const offline = await aliceAgain(new MemoryMesh(), path)
    publish(offline.registry, '1.2.0')
    await stop(offline)
    const alice = await aliceAgain(mesh, path)
    publish(alice.registry, '1.3.0')
    await bob.registry.until(() => versions(bob.registry).length === 4)
    expect(versions(bob.registry)).toEqual(['1.0.0', '1.1.0', '1.2.0', '1.3.0'])
    const [community] = bob.registry.communities()
    const forks = bob.registry.state(community!.id).parts.flatMap(({ forks }) => forks)
    expect(forks).toEqual([])
    await stop(alice, bob)
  })

  test('that did again what peers already hold does not do it twice; what contradicts them is kept back', async () => {
    const mesh = new MemoryMesh()
    const { path, bob } = await restored(mesh)
    const offline = await aliceAgain(new MemoryMesh(), path)
    publish(offline.registry, '1.1.0')
    await stop(offline)
    const alice = await aliceAgain(mesh, path)
    await alice.registry.until(() => alice.registry.pending().length === 0)
    expect(versions(alice.registry)).toEqual(['1.0.0', '1.1.0'])
    await stop(alice, bob)
  })

  test('whose waiting release was meanwhile published as another one shows the conflict and signs nothing', async () => {
    const mesh = new MemoryMesh()
    const { path, bob } = await restored(mesh)
    const offline = await aliceAgain(new MemoryMesh(), path)
    publish(offline.registry, '1.1.0', 'another release under the same version')
    await stop(offline)
    const alice = await aliceAgain(mesh, path)
    await alice.registry.until(() => alice.registry.pending()[0]?.waitingFor === 'conflict')
    expect(versions(alice.registry)).toEqual(['1.0.0', '1.1.0'])
    expect(publish(alice.registry, '1.2.0').kind).toBe('appended')
    await stop(alice, bob)
  })

  test('that was appended to offline is reported as forked, on both sides, and never signs again', async () => {
    const mesh = new MemoryMesh()
    const { path, bob } = await restored(mesh)
    const offline = await aliceAgain(new MemoryMesh(), path, { offline: true })
    publish(offline.registry, '1.2.0')
    await stop(offline)
    const alice = await aliceAgain(mesh, path)
    const forks: unknown[] = []
    alice.registry.onEvent((event) => event.kind === 'fork' && forks.push(event))
    await alice.registry.until(() => forks.length > 0)
    expect(forks).toMatchObject([{ own: true, index: 2 }])
    expect(publish(alice.registry, '1.3.0')).toMatchObject({ kind: 'pending', pending: { waitingFor: 'forked-log' } })
    await bob.registry.until(() => versions(bob.registry).length === 1)
    expect(versions(bob.registry)).toEqual(['1.0.0'])
    const [a, b] = [alice, bob].map(({ registry }) => toHex(registry.state(registry.communities()[0]!.id).stateHash))
    expect(a).toBe(b)
    await stop(alice, bob)
  })
})

test('publishing the same release again changes nothing; another one under its version is refused', async () => {
  await using registry = openRegistry({
    path: ':memory:',
    author: alice,
    clock: systemClock,
    random: countedRandom('a'),
  })
  const once = publish(registry, '1.0.0')
  const twice = publish(registry, '1.0.0')
  expect(
    once.kind === 'appended' && twice.kind === 'appended' && toHex(once.record.id) === toHex(twice.record.id),
  ).toBe(true)
  expect(() => publish(registry, '1.0.0', 'something else')).toThrow(expect.objectContaining({ code: 'version-taken' }))
  const strangers = aRelease(anAuthor('bob'))
  expect(() => registry.publishRelease(strangers, infohashOf(strangers))).toThrow(
    expect.objectContaining({ code: 'bad-input' }),
  )
})

test("a follower's wishes end where members stop keeping them", async () => {
  await using node = await aNode(new MemoryMesh(), 'follower')
  await using founder = openRegistry({
    path: ':memory:',
    author: alice,
    clock: systemClock,
    random: countedRandom('a'),
  })
  const { id, link } = founder.createCommunity({ name: 'kitchen' })
  node.registry.followCommunity(link)
  const post = (capability: string): void => {
    const preview = node.registry.previewJob({ capability, description: 'x', base: { id: baseA, label: 'tiny' } })
    node.registry.postJob(id, preview)
  }
  for (let i = 1; i < 16; i++) post(`wish-${i}`)
  expect(() => post('wish-16')).toThrow(expect.objectContaining({ code: 'quota-exceeded' }))
  expect(node.registry.jobs()).toHaveLength(15)
})
