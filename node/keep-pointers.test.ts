import { expect, test } from 'vitest'
import {
  MeshError,
  bytesEqual,
  devicesSalt,
  identityToText,
  limits,
  readReleaseItem,
  releaseSalt,
  signDevicesItem,
  signManifest,
  toHex,
} from '../protocol/index.ts'
import type { MutableItem, SignedManifest } from '../protocol/index.ts'
import { ManualClock, openRegistry } from '../registry/index.ts'
import type { Registry } from '../registry/index.ts'
import { aHash, aManifest, aRootKey, anAuthor } from '../testing/objects.ts'
import { keepPointers } from './keep-pointers.ts'
import type { PointerParts } from './keep-pointers.ts'
import { openReleaseStore } from './release-store.ts'
import { emptyDataFolder, keepRelease } from './testing/held-release.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const author = anAuthor()
const devicesItem = signDevicesItem([author.certificate], 1, aRootKey(1))

test('the device list and one pointer per own name and base are put, to the highest version', async () => {
  await using lab = await aLab()
  for (const version of ['1.0.0', '2.0.0', '1.9.0']) lab.publish(version)
  const items = await lab.putOnce()
  expect(items.map(({ salt }) => toHex(salt)).toSorted()).toEqual(
    [devicesSalt, releaseSalt('biology', aHash(11))].map(toHex).toSorted(),
  )
  const pointer = readReleaseItem(items.find(({ salt }) => !bytesEqual(salt, devicesSalt))!)
  const [newest] = lab.registry.catalogue().filter(({ manifest }) => manifest.version === '2.0.0')
  expect(pointer.release).toEqual(newest!.releaseId)
  expect(pointer.expiresAt - pointer.signedAt).toBe(limits.pointerLifetimeMs)
})

test('the same bytes are put again while nothing changes, and signed anew when half of their life is over', async () => {
  await using lab = await aLab()
  lab.publish('1.0.0')
  const first = await lab.putOnce()
  lab.clock.advance(limits.pointerLifetimeMs / 2 - 1_000)
  expect(await lab.putOnce()).toEqual(first)
  lab.clock.advance(2_000)
  const renewed = await lab.putOnce()
  expect(renewed.at(-1)!.seq).toBe(first.at(-1)!.seq + 1)
  const [before, after] = [first, renewed].map((items) => readReleaseItem(items.at(-1)!))
  expect(after).toEqual({ ...before, signedAt: lab.clock.now(), expiresAt: lab.clock.now() + limits.pointerLifetimeMs })
})

test('a node that forgot what it signed asks the DHT, so that its next pointer is not refused as an old one', async () => {
  await using lost = await aLab()
  lost.publish('1.0.0')
  await lost.putOnce()
  lost.clock.advance(limits.pointerLifetimeMs)
  const lastSigned = (await lost.putOnce()).at(-1)!
  await using restored = await aLab()
  restored.clock.advance(limits.pointerLifetimeMs)
  restored.publish('1.0.0')
  restored.publish('1.1.0')
  const next = (await restored.putOnce({}, () => 3, [lastSigned])).at(-1)!
  expect(next.seq).toBe(lastSigned.seq + 1)
})

test('a withdrawn release is pointed to no more', async () => {
  await using lab = await aLab()
  const { releaseId } = lab.publish('1.0.0')
  lab.registry.withdrawRelease(releaseId, 'broken')
  expect(await lab.putOnce()).toEqual([devicesItem])
})

test('a pointer of somebody else is passed on while its release is held, as it was met', async () => {
  await using lab = await aLab()
  const other = anAuthor(2)
  await using folder = await temporaryFolder()
  await using there = await aLab(other)
  there.publish('1.0.0')
  const met = (await there.putOnce()).at(-1)!
  const paths = await emptyDataFolder(folder.path)
  const releases = await openReleaseStore(paths, () => {})
  await keepRelease(releases, paths, { author: other })
  lab.registry.rememberPointer({ publisher: other.identity, name: 'biology', baseId: aHash(11) }, met)
  expect(await lab.putOnce({ releases })).toEqual([devicesItem, met])
})

test('a put that fails keeps none of the others from being put', async () => {
  await using lab = await aLab()
  lab.publish('1.0.0')
  const items = await lab.putOnce({}, () => {
    throw new MeshError('timeout', 'Nobody answers.')
  })
  expect(items).toHaveLength(2)
})

interface Lab extends AsyncDisposable {
  readonly registry: Registry
  readonly clock: ManualClock
  publish(version: string): SignedManifest
  /** What is put when the network starts, of which the DHT holds `held`. */
  putOnce(other?: Partial<PointerParts>, answer?: () => number, held?: readonly MutableItem[]): Promise<MutableItem[]>
}

async function aLab(own = author): Promise<Lab> {
  const clock = new ManualClock()
  let drawn = 0
  const random = (length: number): Uint8Array => new Uint8Array(length).fill(++drawn % 251)
  const registry = openRegistry({ path: ':memory:', author: own, clock, random })
  const folder = await temporaryFolder()
  const releases = await openReleaseStore(await emptyDataFolder(folder.path), () => {})
  const keys = { author: own, identity: identityToText(own.identity), devicesItem }
  return {
    registry,
    clock,
    publish(version) {
      const signed = signManifest(aManifest({ version }, own), own)
      registry.publishRelease(signed, aHash(7).slice(0, 20))
      return signed
    },
    async putOnce(other = {}, answer = () => 3, held = []) {
      const put: MutableItem[] = []
      const parts: PointerParts = { keys, registry, releases, clock: () => clock.now(), ...other }
      // Disposing waits for the round that began at once.
      const keeper = keepPointers(parts, {
        async putPointer(item) {
          put.push(item)
          return answer()
        },
        getPointers: async () => [...held],
      })
      await keeper[Symbol.asyncDispose]()
      return put
    },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}
