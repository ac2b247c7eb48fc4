import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { signReleaseItem, toHex } from '../protocol/index.ts'
import type { Author } from '../protocol/index.ts'
import { ManualClock } from './clock.ts'
import { openRegistry } from './open-registry.ts'
import type { Registry } from './open-registry.ts'
import { anAuthor, aRelease, baseA, baseB, countedRandom, infohashOf } from './testing/builders.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const alice = anAuthor('alice')
const bob = anAuthor('bob')

function aRegistry(path = ':memory:', author: Author = alice): Registry {
  const registry = openRegistry({ path, author, clock: new ManualClock(), random: countedRandom('r') })
  cleanups.push(() => registry[Symbol.asyncDispose]())
  return registry
}

function aFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-catalogue-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  return join(folder, 'registry.sqlite')
}

describe('the catalogue', () => {
  test("has own releases with what a plan needs, and is updated by one's own withdrawal", () => {
    const registry = aRegistry()
    const release = aRelease(alice)
    registry.publishRelease(release, infohashOf(release))
    expect(registry.catalogue()).toMatchObject([
      {
        releaseId: release.releaseId,
        manifest: release.manifest,
        infohash: infohashOf(release),
        publisher: alice.identity,
        own: true,
        member: false,
        outsider: false,
        communities: [],
        sealed: release.sealed,
        withdrawn: undefined,
      },
    ])
    registry.withdrawRelease(release.releaseId, 'wrong data')
    expect(registry.catalogue()).toMatchObject([{ withdrawn: 'wrong data' }])
    expect(registry.release(release.releaseId)?.withdrawn).toBe('wrong data')
  })

  test('names every followed community in which a release counts', () => {
    const registry = aRegistry()
    const release = aRelease(alice)
    const communities = ['kitchen', 'cellar'].map((name) => registry.createCommunity({ name }).id)
    registry.publishRelease(release, infohashOf(release))
    const [entry] = registry.catalogue()
    expect(entry?.communities.map(toHex).toSorted()).toEqual(communities.map(toHex).toSorted())
    expect(entry?.member).toBe(true)
    expect(registry.resolveBareName(communities[0]!, 'recipes', baseA)?.release.releaseId).toEqual(release.releaseId)
  })

  test('shows a release for one community under that community only', () => {
    const registry = aRegistry()
    const [kitchen, cellar] = ['kitchen', 'cellar'].map((name) => registry.createCommunity({ name }).id)
    const release = aRelease(alice)
    registry.publishRelease(release, infohashOf(release), toHex(kitchen!))
    expect(registry.catalogue().map(({ communities }) => communities.map(toHex))).toEqual([[toHex(kitchen!)]])
    expect(registry.resolveBareName(cellar!, 'recipes', baseA)).toBeUndefined()
  })

  test('refuses to publish in a community one is no member of', () => {
    const release = aRelease(bob)
    const registry = aRegistry(':memory:', bob)
    const { link, id } = aRegistry().createCommunity({ name: 'kitchen' })
    registry.followCommunity(link)
    expect(() => registry.publishRelease(release, infohashOf(release), toHex(id))).toThrow(
      expect.objectContaining({ code: 'bad-input' }),
    )
  })

  test('is the same after a restart', async () => {
    const path = aFile()
    const before = openRegistry({ path, author: alice, clock: new ManualClock(), random: countedRandom('r') })
    before.createCommunity({ name: 'kitchen', members: [{ identity: bob.identity, role: 'teacher' }] })
    for (const version of ['1.0.0', '1.1.0']) {
      const release = aRelease(alice, { version })
      before.publishRelease(release, infohashOf(release))
    }
    const noted = aRelease(anAuthor('carol'))
    before.noteRelease(noted, infohashOf(noted), 'dht')
    const { catalogue, communities } = {
      catalogue: before.catalogue({ anyPublisher: true }),
      communities: before.communities(),
    }
    await before[Symbol.asyncDispose]()
    const after = aRegistry(path)
    expect(after.catalogue({ anyPublisher: true }).toSorted(byId)).toEqual(catalogue.toSorted(byId))
    expect(after.communities()).toEqual(communities)
  })
})

describe('a release that was found by name', () => {
  const found = aRelease(bob)

  test('is an outsider of the catalogue until its publisher is a member', () => {
    const registry = aRegistry()
    expect(registry.noteRelease(found, infohashOf(found), 'dht')).toMatchObject({ outsider: true, member: false })
    expect(registry.catalogue()).toEqual([])
    expect(registry.catalogue({ anyPublisher: true })).toMatchObject([{ releaseId: found.releaseId }])
    registry.noteRelease(found, infohashOf(found), 'dht')
    expect(registry.catalogue({ anyPublisher: true })).toHaveLength(1)
  })

  test('does not take a name that another release of its publisher has, also after a restart', async () => {
    const path = aFile()
    const second = aRelease(bob, { summary: 'another release under the same name' })
    const elsewhere = aRelease(bob, { summary: 'the same name on another base', baseId: baseB })
    const before = openRegistry({ path, author: alice, clock: new ManualClock(), random: countedRandom('r') })
    before.noteRelease(found, infohashOf(found), 'dht')
    const refused = expect.objectContaining({
      code: 'version-taken',
      details: expect.objectContaining({ owner: toHex(found.releaseId) }),
    })
    expect(() => before.noteRelease(second, infohashOf(second), 'dht')).toThrow(refused)
    await before[Symbol.asyncDispose]()
    const after = aRegistry(path)
    expect(() => after.noteRelease(second, infohashOf(second), 'dht')).toThrow(refused)
    after.noteRelease(elsewhere, infohashOf(elsewhere), 'dht')
    expect(after.catalogue({ anyPublisher: true })).toHaveLength(2)
  })
})

describe('a pointer', () => {
  const key = { publisher: bob.identity, name: 'recipes', baseId: baseA }
  const pointer = (length: number, name = 'recipes') =>
    signReleaseItem(
      name,
      baseA,
      { release: aRelease(bob).releaseId, infohash: new Uint8Array(20), length, signedAt: 1, expiresAt: 2 },
      bob.device,
    )

  test('never goes back in sequence, also after a restart', async () => {
    const path = aFile()
    const before = openRegistry({ path, author: alice, clock: new ManualClock(), random: countedRandom('r') })
    expect(before.pointer(key)).toBeUndefined()
    before.rememberPointer(key, pointer(5))
    before.rememberPointer(key, pointer(7))
    await before[Symbol.asyncDispose]()
    const after = aRegistry(path)
    expect(() => after.rememberPointer(key, pointer(6))).toThrow(expect.objectContaining({ code: 'stale' }))
    const { publicKey, seq, value, signature } = pointer(7)
    expect(after.pointer(key)).toEqual({ publicKey, seq, value, signature })
    after.rememberPointer(key, pointer(8))
    expect(after.pointer(key)?.seq).toBe(8)
  })

  test('to one name says nothing about another name, base or publisher', () => {
    const registry = aRegistry()
    registry.rememberPointer(key, pointer(9))
    for (const other of [
      { ...key, name: 'wines' },
      { ...key, baseId: baseB },
      { ...key, publisher: alice.identity },
    ]) {
      expect(registry.pointer(other)).toBeUndefined()
      registry.rememberPointer(other, pointer(1))
    }
    expect(registry.pointer(key)?.seq).toBe(9)
  })

  test('to an own release takes its sequence number from the length of the public log', () => {
    const registry = aRegistry()
    expect(registry.publicLogLength()).toBe(0)
    const release = aRelease(alice)
    registry.publishRelease(release, infohashOf(release))
    expect(registry.publicLogLength()).toBe(2)
  })
})

describe('a wanted job', () => {
  const draft = { capability: 'wine-pairing', description: 'wines for a dish', base: { id: baseA, label: 'tiny base' } }

  test('is shown whole before it is posted, and posted exactly as shown', () => {
    const registry = aRegistry()
    const { id } = registry.createCommunity({ name: 'kitchen' })
    const preview = registry.previewJob(draft)
    for (const shown of ['wine-pairing', 'wines for a dish', 'tiny base', toHex(baseA)])
      expect(preview.text).toContain(shown)
    expect(registry.jobs()).toEqual([])
    const result = registry.postJob(id, preview)
    expect(result).toMatchObject({ kind: 'appended', record: { body: preview.bytes } })
    expect(registry.jobs()).toMatchObject([
      {
        capability: 'wine-pairing',
        description: 'wines for a dish',
        author: alice.identity,
        own: true,
        member: true,
        communities: [id],
      },
    ])
  })

  test('is posted once, however often its preview is; the same wish again is another job', () => {
    const registry = aRegistry()
    const { id } = registry.createCommunity({ name: 'kitchen' })
    const preview = registry.previewJob(draft)
    registry.postJob(id, preview)
    registry.postJob(id, preview)
    expect(registry.jobs()).toHaveLength(1)
    registry.postJob(id, registry.previewJob(draft))
    expect(registry.jobs()).toHaveLength(2)
  })

  test('that was posted in two communities is one job', () => {
    const registry = aRegistry()
    const ids = ['kitchen', 'cellar'].map((name) => registry.createCommunity({ name }).id)
    const preview = registry.previewJob(draft)
    for (const id of ids) registry.postJob(id, preview)
    expect(registry.jobs().map(({ communities }) => communities.length)).toEqual([2])
  })

  test('with text that nobody should sign is refused', () => {
    const registry = aRegistry()
    const { id } = registry.createCommunity({ name: 'kitchen' })
    for (const wrong of [
      { capability: 'Wine Pairing' },
      { description: 'x'.repeat(501) },
      { description: 'line\nfeed' },
      { description: 'right\u202eleft' },
    ]) {
      expect(() => registry.previewJob({ ...draft, ...wrong })).toThrow(expect.objectContaining({ code: 'bad-input' }))
    }
    expect(() => registry.postJob(id.toReversed(), registry.previewJob(draft))).toThrow(
      expect.objectContaining({ code: 'not-found' }),
    )
  })
})

describe('a community', () => {
  test('is followed by its link without anybody online, and says that it waits', () => {
    const { link, id } = aRegistry().createCommunity({ name: 'kitchen' })
    const follower = aRegistry(':memory:', bob)
    expect(follower.followCommunity(link)).toMatchObject({
      id,
      link,
      state: 'waiting-for-genesis',
      message: expect.stringContaining('peer'),
    })
    expect(follower.followCommunity(link).state).toBe('waiting-for-genesis')
    expect(follower.communities()).toHaveLength(1)
    expect(() => follower.state(id)).toThrow(expect.objectContaining({ code: 'not-found' }))
    expect(() => follower.followCommunity('loramesh:community:short')).toThrow(
      expect.objectContaining({ code: 'malformed' }),
    )
  })

  test('has its founder as an admin, once, and the roles that were given', () => {
    const view = aRegistry().createCommunity({
      name: 'kitchen',
      members: [
        { identity: alice.identity, role: 'user' },
        { identity: bob.identity, role: 'teacher' },
      ],
    })
    expect(view).toMatchObject({ state: 'following', name: 'kitchen', role: 'admin' })
    const roles = view.state === 'following' ? view.members.map(({ identity, role }) => [toHex(identity), role]) : []
    expect(new Map(roles as [string, string][])).toEqual(
      new Map([
        [toHex(alice.identity), 'admin'],
        [toHex(bob.identity), 'teacher'],
      ]),
    )
  })
})

function byId(a: { readonly releaseId: Uint8Array }, b: { readonly releaseId: Uint8Array }): number {
  return toHex(a.releaseId) < toHex(b.releaseId) ? -1 : 1
}
