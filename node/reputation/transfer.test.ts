// What is left of a real transfer: two nodes of this process with real network children on loopback.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  inspectBase,
  openFileSource,
  randomAdapter,
  randomBase,
  sha256File,
  validateAdapter,
} from '../../model-files/index.ts'
import { releasePieceBytes, signManifest, toHex } from '../../protocol/index.ts'
import { LocalMesh } from '../../testing/local-mesh.ts'
import { aManifest, anAuthor } from '../../testing/objects.ts'
import type { Node } from '../create-node.ts'
import { torrentOfRelease } from '../release-pieces.ts'
import type { HeldRelease } from '../release-store.ts'
import { seedHeld } from '../seed-held.ts'
import { aNodeIn } from '../testing/node-in-folder.ts'

const author = anAuthor(1)
const patience = AbortSignal.timeout(100_000)
const stack = new AsyncDisposableStack()
let mesh: LocalMesh
let publisher: Node
let seeker: Node

beforeAll(async () => {
  mesh = stack.use(await LocalMesh.start())
  publisher = stack.use(await aNodeIn(join(mesh.folder, 'publisher'), mesh.bootstraps))
  seeker = stack.use(await aNodeIn(join(mesh.folder, 'seeker'), mesh.bootstraps))
}, 60_000)
afterAll(() => stack.disposeAsync(), 60_000)

/** An adapter of random numbers, laid into the publisher's store as one that was published. */
async function held(version: string): Promise<HeldRelease> {
  const { staging } = publisher.options.paths
  const base = join(staging, 'base.gguf')
  const path = join(staging, 'adapter.gguf')
  await randomBase({ layers: 1, width: 64, heads: 2, feedForward: 64 }, base)
  await randomAdapter(await inspectBase(base), { rank: 4 }, path)
  using source = openFileSource(path)
  const sha256 = await sha256File(path)
  const { bytes, rank, alpha, targets, dtype } = await validateAdapter(source)
  const adapter = { bytes, sha256, rank, alpha: Math.round(alpha * 1e6), targets: [...targets], dtype }
  const signed = signManifest(aManifest({ version, adapter }, author), author)
  const { metainfo } = await torrentOfRelease(signed.sealed, path, patience)
  await writeFile(publisher.releases.adapterPath(toHex(sha256)), source.read(0, source.size))
  return publisher.releases.keep(signed, metainfo)
}

async function served(version: string): Promise<HeldRelease> {
  const release = await held(version)
  await publisher.network.start()
  await seedHeld(publisher.network.swarm!, release)
  return release
}

function fetchIt({ infohash, signed }: HeldRelease, signal: AbortSignal, onNote = (_text: unknown): void => {}) {
  const wanted = { releaseId: signed.releaseId, infohash, label: `biology@${signed.manifest.version}` }
  const emit = (event: { readonly type: string; readonly text?: unknown }): void => {
    if (event.type === 'note') onNote(event.text)
  }
  return seeker.fetcher.fetch(wanted, undefined, { signal, emit })
}

test('who sent a release is remembered for its bytes, and trusted a little from then on', async () => {
  const release = await served('1.0.0')
  await fetchIt(release, patience)
  const standings = seeker.reputation.standings()
  const bytes = standings.reduce((sum, { seen }) => sum + seen.goodBytes, 0)
  // A manifest and an adapter, and what was asked for twice at the end.
  expect(bytes).toBeGreaterThanOrEqual(release.signed.sealed.length + release.signed.manifest.adapter.bytes)
  for (const { subject, score, seen } of standings) {
    expect(subject).toMatch(/^(?:noise:[0-9a-f]{64}|tcp:127\.0\.0\.1:\d+)$/)
    expect(score).toBeGreaterThan(0)
    expect(seen).toMatchObject({ badBytes: 0, transfers: 1, seconds: expect.any(Number) })
  }
}, 120_000)

test('who sent wrong bytes is remembered for them, although nothing came of the transfer', async () => {
  const release = await served('1.1.0')
  const { bytes } = release.signed.manifest.adapter
  await writeFile(release.paths.adapter, new Uint8Array(bytes))
  const stop = new AbortController()
  const fetching = fetchIt(release, stop.signal, (text) => {
    if (String(text).includes('sent bad bytes')) stop.abort()
  })
  await expect(fetching).rejects.toMatchObject({ code: 'aborted' })
  const guilty = seeker.reputation.standings().filter(({ seen }) => seen.badBytes > 0)
  expect(guilty.map(({ seen }) => seen.badBytes % releasePieceBytes(bytes))).toEqual(guilty.map(() => 0))
  expect(guilty.length).toBeGreaterThan(0)
}, 120_000)
