// Real network children on loopback: a patch is a torrent of its own, and nothing but the patch that was signed is kept.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildPatchTorrent, concatBytes, releasePieceBytes, sha256 } from '../protocol/index.ts'
import type { MeshTorrent } from '../protocol/index.ts'
import type { FetchPatchJob, PatchRef, Swarm } from './index.ts'
import { startLoopback } from './testing/loopback-swarm.ts'
import type { Loopback } from './testing/loopback-swarm.ts'
import { aReleaseOnDisk } from './testing/release-on-disk.ts'

let net: Loopback
beforeEach(async () => {
  net = await startLoopback()
})
afterEach(async () => {
  await net[Symbol.asyncDispose]()
})

async function* nobody(): AsyncIterable<Uint8Array> {}

interface PatchOnDisk {
  readonly bytes: Uint8Array
  readonly torrent: MeshTorrent
  readonly path: string
  readonly ref: PatchRef
}

async function aPatchOnDisk(length: number): Promise<PatchOnDisk> {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * i + (i >> 8)) & 255)
  const pieceBytes = releasePieceBytes(length)
  const hashes: Uint8Array[] = []
  for (let at = 0; at < length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes)
    hashes.push(new Uint8Array(createHash('sha1').update(piece).digest()))
  }
  const torrent = buildPatchTorrent(length, concatBytes(...hashes))
  const path = join(net.folder, 'published.patch')
  await mkdir(net.folder, { recursive: true })
  await writeFile(path, bytes)
  return { bytes, torrent, path, ref: { infohash: torrent.infohash, bytes: length, sha256: sha256(bytes) } }
}

const seed = (swarm: Swarm, { torrent, path }: PatchOnDisk): Promise<void> =>
  swarm.seed(torrent.infohash, { metainfo: torrent.metainfo, paths: { patch: path } })

const staging = (): string => join(net.folder, 'staging')

function fetchOf(ref: PatchRef, swarm: Swarm, over: Partial<FetchPatchJob> = {}) {
  return swarm.fetchPatch({
    ref,
    folder: staging(),
    findSeeders: nobody,
    patienceMs: 20_000,
    signal: AbortSignal.timeout(50_000),
    clock: () => performance.now(),
    onEvent: () => {},
    ...over,
  })
}

describe('a patch', () => {
  it('arrives from whoever seeds it, and is served onward by whoever fetched it', async () => {
    const patch = await aPatchOnDisk(200_000)
    const [first, second, third] = [net.swarm(), net.swarm(), net.swarm()]
    await seed(first, patch)
    const fetched = await fetchOf(patch.ref, second)
    expect(readFileSync(fetched.path).equals(patch.bytes)).toBe(true)
    expect(fetched.metainfo).toEqual(patch.torrent.metainfo)
    await first[Symbol.asyncDispose]()
    const again = await fetchOf(patch.ref, third, { folder: join(net.folder, 'third') })
    expect(readFileSync(again.path).equals(patch.bytes)).toBe(true)
  }, 90_000)

  it.each<[string, Partial<PatchRef>]>([
    ['of another digest', { sha256: new Uint8Array(32) }],
    ['of another size', { bytes: 5 }],
  ])(
    '%s than was signed is refused, and neither kept nor served',
    async (_, lie) => {
      const patch = await aPatchOnDisk(100_000)
      await seed(net.swarm(), patch)
      const fetcher = net.swarm()
      await expect(fetchOf({ ...patch.ref, ...lie }, fetcher)).rejects.toMatchObject({ code: 'hash-mismatch' })
      expect(existsSync(staging())).toBe(false)
      expect((await fetcher.status()).torrents).toEqual([])
    },
    60_000,
  )

  it('that is a release torrent is refused by its metainfo', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 100_000 })
    await net.swarm().seed(release.torrent.infohash, { metainfo: release.torrent.metainfo, paths: release.paths })
    const ref = { infohash: release.torrent.infohash, bytes: 100_000, sha256: sha256(release.adapter) }
    await expect(fetchOf(ref, net.swarm())).rejects.toMatchObject({ code: 'manifest-invalid' })
    expect(existsSync(join(staging(), 'adapter.gguf'))).toBe(false)
  }, 60_000)

  it('nobody seeds gives up with no-seeder', async () => {
    const { ref } = await aPatchOnDisk(1_000)
    await expect(fetchOf(ref, net.swarm(), { patienceMs: 1_500 })).rejects.toMatchObject({ code: 'no-seeder' })
  }, 60_000)
})
