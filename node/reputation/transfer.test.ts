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
import { signManifest, toHex } from '../../protocol/index.ts'
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
async function held(): Promise<HeldRelease> {
  const { staging } = publisher.options.paths
  const base = join(staging, 'base.gguf')
  const path = join(staging, 'adapter.gguf')
  await randomBase({ layers: 1, width: 64, heads: 2, feedForward: 64 }, base)
  await randomAdapter(await inspectBase(base), { rank: 4 }, path)
  using source = openFileSource(path)
  const sha256 = await sha256File(path)
  const { bytes, rank, alpha, targets, dtype } = await validateAdapter(source)
  const adapter = { bytes, sha256, rank, alpha: Math.round(alpha * 1e6), targets: [...targets], dtype }
  const signed = signManifest(aManifest({ adapter }, author), author)
  const { metainfo } = await torrentOfRelease(signed.sealed, path, patience)
  await writeFile(publisher.releases.adapterPath(toHex(sha256)), source.read(0, source.size))
  return publisher.releases.keep(signed, metainfo)
}

test('who sent a release is remembered for its bytes, and trusted a little from then on', async () => {
  const { infohash, signed } = await held()
  await publisher.network.start()
  await seedHeld(publisher.network.swarm!, publisher.releases.list()[0]!)
  const wanted = { releaseId: signed.releaseId, infohash, label: 'biology@1.0.0' }
  await seeker.fetcher.fetch(wanted, undefined, { signal: patience, emit() {} })
  const standings = seeker.reputation.standings()
  const bytes = standings.reduce((sum, { seen }) => sum + seen.goodBytes, 0)
  // A manifest and an adapter, and what was asked for twice at the end.
  expect(bytes).toBeGreaterThanOrEqual(signed.sealed.length + signed.manifest.adapter.bytes)
  for (const { subject, score, seen } of standings) {
    expect(subject).toMatch(/^(?:noise:[0-9a-f]{64}|tcp:127\.0\.0\.1:\d+)$/)
    expect(score).toBeGreaterThan(0)
    expect(seen).toMatchObject({ badBytes: 0, transfers: 1, seconds: expect.any(Number) })
  }
}, 120_000)
