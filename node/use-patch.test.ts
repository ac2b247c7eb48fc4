// Two nodes of this process with real network children: one holds two versions and offers a patch between them, the other holds the older
// one and wants the newer.
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  defineByDelta,
  inspectBase,
  openFileSource,
  randomAdapter,
  randomBase,
  randomNumbers,
  readGguf,
  sha256File,
  validateAdapter,
} from '../model-files/index.ts'
import { signManifest, toHex } from '../protocol/index.ts'
import { LocalMesh } from '../testing/local-mesh.ts'
import { aManifest, anAuthor } from '../testing/objects.ts'
import type { Node } from './create-node.ts'
import { offerExactPatch, offerPatch } from './make-patch.ts'
import type { PatchOffer } from './make-patch.ts'
import { releaseFetcher } from './release-fetcher.ts'
import type { FetchedRelease } from './release-fetcher.ts'
import { torrentOfRelease } from './release-pieces.ts'
import { openReleaseStore } from './release-store.ts'
import type { HeldRelease } from './release-store.ts'
import { seedHeld } from './seed-held.ts'
import { aNodeIn } from './testing/node-in-folder.ts'

const patience = AbortSignal.timeout(240_000)
const author = anAuthor(1)
const notes: string[] = []
const context = {
  signal: patience,
  emit: (event: { readonly type: string; readonly text?: unknown }) => {
    if (event.type === 'note') notes.push(String(event.text))
  },
}

let mesh: LocalMesh
const lasting = new AsyncDisposableStack()
let stack: AsyncDisposableStack
let publisher: Node
let seeker: Node
let older: HeldRelease
let newer: HeldRelease
let made = 0

beforeAll(async () => {
  mesh = lasting.use(await LocalMesh.start())
}, 60_000)
afterAll(async () => lasting[Symbol.asyncDispose](), 60_000)

beforeEach(async () => {
  notes.length = 0
  stack = new AsyncDisposableStack()
  const place = join(mesh.folder, String(made++))
  publisher = stack.use(await aNodeIn(join(`${place}-publisher`), mesh.bootstraps))
  seeker = stack.use(await aNodeIn(join(`${place}-seeker`), mesh.bootstraps))
  const { first, second } = await twoVersions(publisher.options.paths.staging)
  older = await keep(publisher, '1.0.0', first)
  newer = await keep(publisher, '1.1.0', second)
  await keep(seeker, '1.0.0', first)
  await publisher.network.start()
  await seedHeld(publisher.network.swarm!, newer)
}, 60_000)
afterEach(async () => stack[Symbol.asyncDispose](), 60_000)

/** An adapter, and the same with a small part of its numbers moved a little. */
async function twoVersions(folder: string): Promise<{ first: string; second: string }> {
  const [base, first, second] = ['base', 'first', 'second'].map((name) => join(folder, `${name}.gguf`)) as [
    string,
    string,
    string,
  ]
  await randomBase({ layers: 1, width: 64, heads: 2, feedForward: 64 }, base)
  await randomAdapter(await inspectBase(base), { rank: 8 }, first)
  using source = openFileSource(first)
  const { dataOffset } = readGguf(source, 'adapter')
  const bytes = source.read(0, source.size).slice()
  for (let at = dataOffset; at < bytes.length; at += 32) bytes[at]! ^= 1
  await writeFile(second, bytes)
  return { first, second }
}

async function keep(node: Node, version: string, path: string): Promise<HeldRelease> {
  const sha256 = await sha256File(path)
  using source = openFileSource(path)
  const { bytes, rank, alpha, targets, dtype } = await validateAdapter(source)
  const adapter = { bytes, sha256, rank, alpha: Math.round(alpha * 1e6), targets: [...targets], dtype }
  const signed = signManifest(aManifest({ name: 'biology', version, adapter }, author), author)
  const { metainfo } = await torrentOfRelease(signed.sealed, path, patience)
  await writeFile(node.releases.adapterPath(toHex(sha256)), source.read(0, source.size))
  return node.releases.keep(signed, metainfo)
}

/** Fetches the newer version as a node does that has heard of these patches. */
function fetchWith(offers: readonly PatchOffer[]): Promise<FetchedRelease> {
  const { network, registry, releases, bases, engine, reputation, options } = seeker
  const parts = {
    staging: options.paths.staging,
    log: options.log,
    network,
    registry,
    releases,
    bases,
    engine,
    reputation,
  }
  const { infohash, signed } = newer
  const wanted = { releaseId: signed.releaseId, infohash, label: 'biology@1.1.0', sealed: signed.sealed }
  return releaseFetcher({ ...parts, patchesTo: () => offers }).fetch(wanted, undefined, context)
}

async function exactOffer(): Promise<PatchOffer> {
  const offer = await offerExactPatch(publisher, { from: older, to: newer }, patience)
  expect(offer).toBeDefined()
  return offer!
}

const sizeOf = (release: HeldRelease): number => release.signed.sealed.length + release.signed.manifest.adapter.bytes
const adapterOf = ({ paths }: HeldRelease): Buffer => readFileSync(paths.adapter)

describe('an upgrade from a version that is held', () => {
  it('costs the patch only, makes the very bytes, and is served onward with the patch', async () => {
    const offer = await exactOffer()
    const { release, bytes, sources } = await fetchWith([offer])
    expect(notes).toEqual([])
    expect(bytes).toBe(offer.bytes)
    expect(bytes).toBeLessThan(sizeOf(newer) / 2)
    expect(adapterOf(release).equals(adapterOf(newer))).toBe(true)
    expect(sources.reduce((sum, source) => sum + source.bytes, 0)).toBeLessThan(sizeOf(newer))
    const { torrents } = await seeker.network.swarm!.status()
    const served = torrents.filter(({ state }) => state === 'seeding').map(({ infohash }) => infohash)
    expect(served).toEqual(expect.arrayContaining([toHex(newer.infohash), toHex(offer.infohash)]))
    expect(torrents.find(({ infohash }) => infohash === toHex(newer.infohash))?.receivedBytes).toBe(0)
    expect(readdirSync(seeker.options.paths.staging)).toEqual([])
    const opened = await openReleaseStore(seeker.options.paths, () => {})
    expect(opened.get(release.id)?.patches.map(({ infohash }) => toHex(infohash))).toEqual([toHex(offer.infohash)])
  }, 90_000)

  it('takes the whole file where the patch is not what was signed', async () => {
    const offer = await exactOffer()
    const { release, bytes } = await fetchWith([{ ...offer, sha256: new Uint8Array(32) }])
    expect(notes.join()).toMatch(/not the one its publisher signed.*The whole file is fetched/)
    expect(bytes).toBe(sizeOf(newer))
    expect(adapterOf(release).equals(adapterOf(newer))).toBe(true)
    expect(release.patches).toEqual([])
    expect(readdirSync(seeker.options.paths.staging)).toEqual([])
  }, 90_000)

  it('takes the whole file where the older one is damaged', async () => {
    const offer = await exactOffer()
    const held = seeker.releases.get(older.id)!
    truncateSync(held.paths.adapter, 5_000)
    expect(adapterOf((await fetchWith([offer])).release).equals(adapterOf(newer))).toBe(true)
    expect(notes.join()).toMatch(/for another file than the one that is here/)
  }, 90_000)

  it('takes the whole file where the patch makes another one', async () => {
    const folder = publisher.options.paths.staging
    const out = (name: string): string => join(folder, name)
    const { patch } = await defineByDelta({
      oldPath: older.paths.adapter,
      newPath: newer.paths.adapter,
      bits: 2,
      out: out('defined'),
      patchOut: out('defined.patch'),
    })
    const offer = await offerPatch(publisher, { from: older, to: newer }, patch)
    expect(adapterOf((await fetchWith([offer])).release).equals(adapterOf(newer))).toBe(true)
    expect(notes.join()).toMatch(/makes another file than the one that is wanted/)
  }, 90_000)

  it.each<[string, (offer: PatchOffer) => PatchOffer]>([
    ['from a version that is not held', (offer) => ({ ...offer, from: new Uint8Array(32) })],
    ['by a codec that is not known', (offer) => ({ ...offer, codec: 'other-1' })],
    ['that is no smaller than the file', (offer) => ({ ...offer, bytes: newer.signed.manifest.adapter.bytes })],
  ])(
    'asks nobody for a patch %s',
    async (_, change) => {
      const { bytes } = await fetchWith([change(await exactOffer())])
      expect([bytes, notes]).toEqual([sizeOf(newer), []])
    },
    90_000,
  )
})

it('a patch that saves next to nothing is not offered', async () => {
  const bytes = adapterOf(older)
  const random = randomNumbers(1, 1)
  using source = openFileSource(older.paths.adapter)
  // Any sign and mantissa, exponents from -63 to -1: there is nothing in it to be saved.
  for (let at = readGguf(source, 'adapter').dataOffset; at < bytes.length; at += 4) {
    const exponent = 64 + Math.floor((random() + 1) * 31.5)
    bytes.writeUInt32LE((((random() * 2 ** 31) & 0x807f_ffff) | (exponent << 23)) >>> 0, at)
  }
  const path = join(publisher.options.paths.staging, 'other.gguf')
  await writeFile(path, bytes)
  const other = await keep(publisher, '2.0.0', path)
  expect(await offerExactPatch(publisher, { from: older, to: other }, patience)).toBeUndefined()
  expect(publisher.releases.get(other.id)!.patches).toEqual([])
}, 60_000)

it('a patch that is damaged on the disk is taken off it, and the release stays', async () => {
  await exactOffer()
  const [patch] = publisher.releases.get(newer.id)!.patches
  writeFileSync(patch!.path, 'short')
  const opened = await openReleaseStore(publisher.options.paths, () => {})
  expect(opened.get(newer.id)?.patches).toEqual([])
  expect(readdirSync(join(patch!.path, '..')).filter((name) => name.startsWith('patch-'))).toEqual([])
}, 60_000)
