import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { openReleaseStore } from './release-store.ts'
import type { HeldRelease, ReleaseStore } from './release-store.ts'
import { emptyDataFolder, keepRelease } from './testing/held-release.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'
import { verifyReleases } from './verify-releases.ts'

const { signal } = new AbortController()

test('releases that are as they were signed are all well', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const releases = await openReleaseStore(paths, () => {})
  const { signed } = await keepRelease(releases, paths)
  const checked: string[] = []
  const result = await verifyReleases({ releases }, signal, (name) => checked.push(name))
  expect(result).toEqual({ checked: 1, bytes: signed.manifest.adapter.bytes, broken: [], ok: true })
  expect(checked).toEqual(['biology@1.0.0'])
})

test.each([
  ['the adapter', ({ paths }: HeldRelease) => paths.adapter],
  ['the manifest', ({ paths }: HeldRelease) => paths.manifest],
])(
  'one flipped bit in %s of a running node is found; the release is held and served no more',
  async (_what, pathOf) => {
    await using folder = await temporaryFolder()
    const paths = await emptyDataFolder(folder.path)
    const lost: string[] = []
    const releases = await openReleaseStore(
      paths,
      () => {},
      ({ id }) => lost.push(id),
    )
    const held = await keepRelease(releases, paths)
    await flipBit(pathOf(held))
    const { ok, broken } = await verifyReleases({ releases }, signal, () => {})
    expect(ok).toBe(false)
    expect(broken).toMatchObject([{ release: 'biology@1.0.0', releaseId: held.id }])
    expect(lost).toEqual([held.id])
    expect(releases.list()).toEqual([])
    expect(releases.leftOut().map(({ id }) => id)).toEqual([held.id])
  },
)

test('files that vanished while the node runs are named, not called a bug', async () => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const releases = await openReleaseStore(paths, () => {})
  const held = await keepRelease(releases, paths)
  await rm(held.paths.adapter)
  const { broken } = await verifyReleases({ releases }, signal, () => {})
  expect(broken).toMatchObject([
    { code: expect.not.stringMatching('internal'), message: expect.stringContaining('gguf') },
  ])
})

test.each([
  ['its adapter is gone', (held: HeldRelease) => rm(held.paths.adapter)],
  ['its manifest is empty', (held: HeldRelease) => writeFile(held.paths.manifest, '')],
  ['its metainfo is gone', (held: HeldRelease) => rm(join(dirname(held.paths.manifest), 'metainfo'))],
])('a release that was left out when the node started is broken, not unseen: %s', async (_how, damage) => {
  await using folder = await temporaryFolder()
  const paths = await emptyDataFolder(folder.path)
  const held = await keepRelease(await openReleaseStore(paths, () => {}), paths)
  await damage(held)
  const releases: ReleaseStore = await openReleaseStore(paths, () => {})
  const result = await verifyReleases({ releases }, signal, () => {})
  expect(result).toMatchObject({ checked: 1, ok: false, broken: [{ releaseId: held.id }] })
})

async function flipBit(path: string): Promise<void> {
  const bytes = await readFile(path)
  const at = bytes.length - 10
  bytes[at] = bytes[at]! ^ 1
  await writeFile(path, bytes)
}
