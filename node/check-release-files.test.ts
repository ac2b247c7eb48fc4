import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { randomNumbers } from '../model-files/index.ts'
import { checkReleaseFiles } from './check-release-files.ts'
import type { ReleasePart } from './check-release-files.ts'
import { openReleaseStore } from './release-store.ts'
import { emptyDataFolder, keepRelease } from './testing/held-release.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const { signal } = new AbortController()
const parts: readonly ReleasePart[] = ['manifest', 'metainfo', 'adapter']

test('of 1,000 flipped bits, anywhere in the files of a release, every one is found', async () => {
  await using folder = await temporaryFolder()
  const { id, files, bytes } = await aRelease(folder.path)
  await checkReleaseFiles(id, files, signal)
  const next = randomNumbers(7, 0)
  const undetected: string[] = []
  for (let n = 0; n < 1_000; n++) {
    const part = parts[n % parts.length]!
    const bit = Math.floor(((next() + 1) / 2) * bytes[part].length * 8)
    const flipped = Uint8Array.from(bytes[part])
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    await writeFile(files[part], flipped)
    const found = await checkReleaseFiles(id, files, signal).then(
      () => false,
      () => true,
    )
    if (!found) undetected.push(`${part} bit ${bit}`)
    await writeFile(files[part], bytes[part])
  }
  expect(undetected).toEqual([])
  await checkReleaseFiles(id, files, signal)
}, 60_000)

test('files of another release under this id are not what they were, and the part is named', async () => {
  await using one = await temporaryFolder()
  await using two = await temporaryFolder()
  const release = await aRelease(one.path)
  const other = await aRelease(two.path, '2.0.0')
  await copyFile(other.files.manifest, release.files.manifest)
  await expect(checkReleaseFiles(release.id, release.files, signal)).rejects.toMatchObject({
    code: 'hash-mismatch',
    details: { part: 'manifest' },
  })
  await writeFile(release.files.manifest, release.bytes.manifest)
  await writeFile(release.files.adapter, '')
  await expect(checkReleaseFiles(release.id, release.files, signal)).rejects.toMatchObject({
    code: 'hash-mismatch',
    details: { part: 'adapter' },
  })
})

async function aRelease(root: string, version = '1.0.0') {
  const paths = await emptyDataFolder(root)
  const { id, paths: held } = await keepRelease(await openReleaseStore(paths, () => {}), paths, { version })
  const files = { ...held, metainfo: join(paths.releases, id, 'metainfo') }
  const [manifest, metainfo, adapter] = await Promise.all(parts.map((part) => readFile(files[part])))
  return { id, files, bytes: { manifest: manifest!, metainfo: metainfo!, adapter: adapter! } }
}
