import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { randomBase } from '../model-files/index.ts'
import type { Node } from './create-node.ts'
import { keepRelease } from './testing/held-release.ts'
import { aNodeIn } from './testing/node-in-folder.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'
import type { HeldRelease } from './release-store.ts'
import { verifyReleases } from './verify-releases.ts'
import type { Verification } from './verify-releases.ts'

const metainfoOf = ({ paths }: HeldRelease): string => join(dirname(paths.manifest), 'metainfo')
const parts = [
  ['adapter', ({ paths }: HeldRelease) => paths.adapter],
  ['manifest', ({ paths }: HeldRelease) => paths.manifest],
  ['list of pieces', metainfoOf],
] as const

test('releases that are as they were signed are all well', async () => {
  await using lab = await aLab()
  const held = await keepRelease(lab.node.releases, lab.node.options.paths)
  const checked: unknown[] = []
  const result = await lab.verify({ emit: (event) => checked.push(event) })
  expect(result).toEqual({ checked: 1, bytes: held.signed.manifest.adapter.bytes, broken: [], ok: true })
  expect(checked).toEqual([{ type: 'checked', release: 'biology@1.0.0' }])
})

test.each(parts.slice(1))(
  'a damaged %s of a running node is put together again without fetching',
  async (_, pathOf) => {
    await using lab = await aLab()
    const held = await keepRelease(lab.node.releases, lab.node.options.paths)
    const before = await readFile(pathOf(held))
    await flipBit(pathOf(held))
    expect(await lab.verify()).toMatchObject({
      ok: true,
      checked: 1,
      broken: [{ kind: 'release', release: 'biology@1.0.0', releaseId: held.id, repair: 'rebuilt' }],
    })
    expect(await readFile(pathOf(held))).toEqual(before)
    expect(lab.node.releases.ids()).toEqual(new Set([held.id]))
    expect(await lab.verify()).toMatchObject({ ok: true, broken: [] })
  },
)

test('a damaged adapter goes aside and is used and served no more; where nothing may be fetched it is told what to do', async () => {
  await using lab = await aLab()
  const held = await keepRelease(lab.node.releases, lab.node.options.paths)
  await flipBit(held.paths.adapter)
  const damaged = await readFile(held.paths.adapter)
  expect(await lab.verify()).toMatchObject({
    ok: false,
    broken: [
      { releaseId: held.id, code: 'hash-mismatch', repair: 'none', advice: expect.stringContaining('--no-fetch') },
    ],
  })
  expect(lab.node.releases.list()).toEqual([])
  expect(await readdir(lab.node.options.paths.objects)).toEqual([])
  const [aside] = (await lab.aside()).filter((name) => name.endsWith('.gguf'))
  expect(await readFile(join(lab.folder, 'damaged', aside!))).toEqual(damaged)
})

test('two releases of one damaged adapter are both named, and both well once it is back', async () => {
  await using lab = await aLab()
  const { releases, options } = lab.node
  const first = await keepRelease(releases, options.paths)
  const second = await keepRelease(releases, options.paths, { version: '1.0.1' })
  expect(second.paths.adapter).toBe(first.paths.adapter)
  const whole = await readFile(first.paths.adapter)
  await flipBit(first.paths.adapter)
  expect((await lab.verify()).broken.map(({ release }) => release)).toEqual(['biology@1.0.0', 'biology@1.0.1'])
  await writeFile(first.paths.adapter, whole)
  await using again = await lab.restarted()
  for (const { signed, infohash } of [first, second]) again.node.registry.noteRelease(signed, infohash, 'test')
  expect(await again.verify()).toMatchObject({ ok: true, checked: 2 })
  expect(again.node.releases.ids()).toEqual(new Set([first.id, second.id]))
})

test.each(parts)(
  'a release without its %s, left out when the node started, is broken, not unseen',
  async (_, pathOf) => {
    await using lab = await aLab()
    const held = await keepRelease(lab.node.releases, lab.node.options.paths)
    await writeFile(pathOf(held), '')
    await using again = await lab.restarted()
    expect(again.node.releases.list()).toEqual([])
    const repair = pathOf === metainfoOf ? 'rebuilt' : 'none'
    expect(await again.verify()).toMatchObject({
      checked: 1,
      ok: repair === 'rebuilt',
      broken: [{ releaseId: held.id, repair }],
    })
  },
)

test('what a log still tells of is put together again after a restart', async () => {
  await using lab = await aLab()
  const held = await keepRelease(lab.node.releases, lab.node.options.paths)
  lab.node.registry.noteRelease(held.signed, held.infohash, 'test')
  await writeFile(held.paths.manifest, 'garbage')
  await using again = await lab.restarted()
  expect(await again.verify()).toMatchObject({
    ok: true,
    broken: [{ release: 'biology@1.0.0', repair: 'rebuilt' }],
  })
  expect(again.node.releases.ids()).toEqual(new Set([held.id]))
})

test('files that vanished while the node runs are named, not called a bug', async () => {
  await using lab = await aLab()
  const held = await keepRelease(lab.node.releases, lab.node.options.paths)
  await rm(held.paths.adapter)
  expect((await lab.verify()).broken).toMatchObject([
    { code: expect.not.stringMatching('internal'), message: expect.stringContaining('gguf') },
  ])
})

test('an adapter that nothing needs and that is not what its name says goes aside', async () => {
  await using lab = await aLab()
  const name = `${'ab'.repeat(32)}.gguf`
  await writeFile(join(lab.node.options.paths.objects, name), 'anything')
  expect(await lab.verify()).toMatchObject({ ok: true, broken: [{ kind: 'object', repair: 'set-aside' }] })
  expect(await lab.aside()).toEqual([name])
})

test('a damaged lockfile is broken', async () => {
  await using lab = await aLab()
  await writeFile(join(lab.node.options.paths.personas, '0123456789ab.lock.json'), '{}')
  expect(await lab.verify()).toMatchObject({ ok: false, broken: [{ kind: 'persona', releaseId: '0123456789ab' }] })
})

test('a base is read when that is asked for, and never moved', async () => {
  await using lab = await aLab()
  const path = join(lab.folder, 'a-base.gguf')
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32 }, path)
  await lab.node.bases.add(path, {})
  expect(await lab.verify({ bases: true })).toMatchObject({ ok: true })
  await flipBit(path)
  expect(await lab.verify()).toMatchObject({ ok: true })
  expect(await lab.verify({ bases: true })).toMatchObject({
    ok: false,
    broken: [{ kind: 'base', code: 'hash-mismatch', advice: expect.stringContaining(`base add ${path}`) }],
  })
  expect(await readFile(path)).not.toHaveLength(0)
})

interface Lab extends AsyncDisposable {
  readonly node: Node
  readonly folder: string
  verify(options?: { bases?: boolean; emit?: (event: object) => void }): Promise<Verification>
  /** Names of what was moved aside. */
  aside(): Promise<string[]>
  /** The node of the same folder after this one has ended. */
  restarted(): Promise<Lab>
}

/** Never starts a network: nothing is fetched here. */
async function aLab(): Promise<Lab> {
  const { path, ...folder } = await temporaryFolder()
  return labIn(path, folder)
}

async function labIn(folder: string, owner: AsyncDisposable | undefined): Promise<Lab> {
  const node = await aNodeIn(folder)
  let ended = false
  const end = async (): Promise<void> => {
    if (!ended) await node[Symbol.asyncDispose]()
    ended = true
  }
  return {
    node,
    folder,
    verify: ({ bases = false, emit = () => {} } = {}) =>
      verifyReleases(node, { bases, fetch: false }, { signal: new AbortController().signal, emit }),
    aside: () => readdir(join(folder, 'damaged')),
    async restarted() {
      await end()
      return labIn(folder, undefined)
    },
    async [Symbol.asyncDispose]() {
      await end()
      await owner?.[Symbol.asyncDispose]()
    },
  }
}

async function flipBit(path: string): Promise<void> {
  const bytes = await readFile(path)
  const at = bytes.length - 10
  bytes[at] = bytes[at]! ^ 1
  await writeFile(path, bytes)
}
