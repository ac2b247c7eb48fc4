import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import { openReleaseStore } from './release-store.ts'
import { emptyDataFolder, keepRelease } from './testing/held-release.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('what is kept is there after opening again, several versions of one adapter beside each other', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const store = await openReleaseStore(paths, unexpected)
  const one = await keepRelease(store, paths)
  const two = await keepRelease(store, paths, { version: '1.1.0' })
  expect(two.paths.adapter).toBe(one.paths.adapter)
  const again = await openReleaseStore(paths, unexpected)
  expect([...again.ids()].toSorted()).toEqual([one.id, two.id].toSorted())
  expect(again.get(one.id)).toEqual(one)
  expect(again.get('00')).toBeUndefined()
  expect(again.leftOut()).toEqual([])
})

test('a folder that was cut off before its manifest is cleared away', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const half = join(paths.releases, 'ab'.repeat(32))
  await mkdir(half)
  await writeFile(join(half, 'metainfo'), 'half')
  const store = await openReleaseStore(paths, unexpected)
  expect(store.list()).toEqual([])
  expect(existsSync(half)).toBe(false)
})

test('one whose manifest, metainfo or adapter is damaged is left out, told and listed, and the others are there', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const store = await openReleaseStore(paths, unexpected)
  const whole = await keepRelease(store, paths)
  const cut = await keepRelease(store, paths, { version: '1.1.0' })
  const flipped = await keepRelease(store, paths, { version: '1.2.0' })
  const without = await keepRelease(store, paths, { version: '1.3.0' })
  await truncate(cut.paths.manifest, 100)
  await writeFile(flipped.paths.manifest, withFlippedBit(await readFile(flipped.paths.manifest)))
  await rm(join(dirname(without.paths.manifest), 'metainfo'))
  await writeFile(join(paths.releases, 'stray'), '')
  const told: string[] = []
  const again = await openReleaseStore(paths, (line) => told.push(line))
  expect([...again.ids()]).toEqual([whole.id])
  expect(told).toHaveLength(4)
  for (const { id } of [cut, flipped, without, { id: 'stray' }]) {
    expect(told).toContainEqual(expect.stringContaining(id.slice(0, 12)))
    expect(again.leftOut()).toContainEqual({ id, code: expect.any(String), message: expect.any(String) })
  }
})

test('files that do not belong together are left out: under another id, with the torrent of another release', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const store = await openReleaseStore(paths, unexpected)
  const one = await keepRelease(store, paths)
  const other = await keepRelease(store, paths, { version: '10.11.12-other.one' })
  await writeFile(join(dirname(other.paths.manifest), 'metainfo'), one.metainfo)
  const renamed = join(paths.releases, 'cd'.repeat(32))
  await mkdir(renamed)
  await writeFile(join(renamed, 'manifest'), one.signed.sealed)
  await writeFile(join(renamed, 'metainfo'), one.metainfo)
  const again = await openReleaseStore(paths, () => {})
  expect([...again.ids()]).toEqual([one.id])
  expect(again.leftOut().map(({ code }) => code)).toEqual(['hash-mismatch', 'hash-mismatch'])
})

test('an adapter that is gone is told with what to do, and is no longer left out when it was got again', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const kept = await keepRelease(await openReleaseStore(paths, unexpected), paths)
  await rm(kept.paths.adapter)
  const again = await openReleaseStore(paths, () => {})
  expect(again.list()).toEqual([])
  expect(again.leftOut()).toEqual([
    { id: kept.id, code: 'not-found', message: expect.stringContaining('lora-mesh seed') },
  ])
  const got = await keepRelease(again, paths)
  expect(toHex(got.signed.releaseId)).toBe(kept.id)
  expect(again.leftOut()).toEqual([])
})

test('an adapter that changed since it was read is not handed out, and the release can be got again', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const lost: string[] = []
  const store = await openReleaseStore(
    paths,
    () => {},
    ({ id }) => lost.push(id),
  )
  const held = await keepRelease(store, paths)
  await store.requireIntact(held, AbortSignal.timeout(10_000))
  await store.requireIntact(held, AbortSignal.timeout(10_000))
  await writeFile(held.paths.adapter, withFlippedBit(await readFile(held.paths.adapter)))
  await expect(store.requireIntact(held, AbortSignal.timeout(10_000))).rejects.toMatchObject({ code: 'hash-mismatch' })
  expect(store.get(held.id)).toBeUndefined()
  expect(lost).toEqual([held.id])
  const again = await keepRelease(store, paths)
  await store.requireIntact(again, AbortSignal.timeout(10_000))
  expect(store.leftOut()).toEqual([])
})

test('a release that is removed leaves the adapter that another release has too', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const store = await openReleaseStore(paths, () => {})
  const [first, second] = [await keepRelease(store, paths), await keepRelease(store, paths, { version: '1.0.1' })]
  expect(first.paths.adapter).toBe(second.paths.adapter)
  await store.remove(first)
  expect(await readdir(paths.objects)).toHaveLength(1)
  await store.remove(second)
  expect([await readdir(paths.objects), await readdir(paths.releases)]).toEqual([[], []])
})

function withFlippedBit(bytes: Uint8Array): Uint8Array {
  const at = Math.floor(bytes.length / 2)
  return bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))
}

function unexpected(line: string): void {
  throw new Error(line)
}
