// Real network children on loopback: what arrives is what was published, or nothing is kept.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MeshError, sha256, signManifest } from '../protocol/index.ts'
import { aManifest, anAuthor } from '../testing/objects.ts'
import type { FetchReleaseEvent, FetchReleaseJob, Swarm, VerifiedRelease } from './index.ts'
import { startLoopback } from './testing/loopback-swarm.ts'
import type { Loopback } from './testing/loopback-swarm.ts'
import { aReleaseOnDisk, layOut } from './testing/release-on-disk.ts'
import type { ReleaseOnDisk } from './testing/release-on-disk.ts'

const MiB = 1024 * 1024
/** Of a small size: needs root, and a system that lets it. */
const canMakeDisks = process.platform === 'linux' && spawnSync('unshare', ['--mount', 'true']).status === 0
let net: Loopback

beforeEach(async () => {
  net = await startLoopback()
})
afterEach(async () => {
  await net[Symbol.asyncDispose]()
})

/** Leads to the Noise streams of these swarms. */
const keysOf = (...swarms: Swarm[]) =>
  async function* keys(): AsyncIterable<Uint8Array> {
    for (const swarm of swarms) yield (await swarm.addresses).transferKey
  }
async function* nobody(): AsyncIterable<Uint8Array> {}

function fetchOf(release: ReleaseOnDisk, swarm: Swarm, over: Partial<FetchReleaseJob> = {}): Promise<VerifiedRelease> {
  return swarm.fetchRelease({
    ref: { releaseId: release.signed.releaseId, infohash: release.torrent.infohash },
    folder: join(net.folder, 'staging'),
    checkModel: async () => {},
    findSeeders: nobody,
    patienceMs: 20_000,
    signal: AbortSignal.timeout(50_000),
    clock: () => performance.now(),
    onEvent: () => {},
    ...over,
  })
}

/** How much of a fetch was found on the disk. */
function watchResuming(): { onEvent(event: FetchReleaseEvent): void; resumedBytes(): number } {
  let most = 0
  return {
    onEvent(event) {
      if (event.kind === 'progress') most = Math.max(most, event.progress.resumedBytes)
    },
    resumedBytes: () => most,
  }
}

const seed = (swarm: Swarm, release: ReleaseOnDisk): Promise<void> =>
  swarm.seed(release.torrent.infohash, { metainfo: release.torrent.metainfo, paths: release.paths })

describe('a release', () => {
  it('arrives over plain TCP from a seeder found by BEP 5 alone', async () => {
    const only = { noise: false, exchange: false, bep44: false }
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 3 * MiB })
    await seed(net.swarm({}, only), release)
    const verified = await fetchOf(release, net.swarm({}, only))
    expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
    expect(verified.peers.map(({ kind }) => kind)).toEqual(['tcp'])
  }, 60_000)

  it('arrives over Noise streams from a seeder whose transfer key is known, without any open port', async () => {
    const only = { tcp: false, bep5: false, bep44: false }
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 3 * MiB })
    const seeder = net.swarm({}, only)
    await seed(seeder, release)
    const verified = await fetchOf(release, net.swarm({}, only), { findSeeders: keysOf(seeder) })
    expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
    expect(verified.peers.map(({ kind }) => kind)).toEqual(['noise'])
  }, 60_000)

  it('names a peer by one client, over however many transports it is reached', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 8 * MiB })
    const seeder = net.swarm({ limits: { uploadBytesPerSecond: 4 * MiB } })
    await seed(seeder, release)
    const { peers } = await fetchOf(release, net.swarm(), { findSeeders: keysOf(seeder) })
    expect(new Set(peers.map(({ kind }) => kind))).toEqual(new Set(['tcp', 'noise']))
    expect(new Set(peers.map(({ client }) => client)).size).toBe(1)
  }, 60_000)

  it('is served onward by whoever fetched it, after the first seeder has left', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
    const [first, second, third] = [net.swarm(), net.swarm(), net.swarm()]
    await seed(first, release)
    const verified = await fetchOf(release, second)
    await second.seed(release.torrent.infohash, { metainfo: verified.metainfo, paths: verified.files })
    await first[Symbol.asyncDispose]()
    const again = await fetchOf(release, third, { folder: join(net.folder, 'third') })
    expect(readFileSync(again.files.adapter).equals(release.adapter)).toBe(true)
  }, 90_000)

  it('nobody seeds gives up with no-seeder and keeps what was fetched', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
    await expect(fetchOf(release, net.swarm(), { patienceMs: 1_500 })).rejects.toMatchObject({ code: 'no-seeder' })
  }, 60_000)
})

it('what could not be checked, for a reason of this machine, is kept for the next try and not served', async () => {
  const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
  await seed(net.swarm(), release)
  const fetcher = net.swarm()
  const checkModel = async (): Promise<void> => {
    throw new MeshError('engine-failed', 'the engine crashed')
  }
  await expect(fetchOf(release, fetcher, { checkModel })).rejects.toMatchObject({ code: 'engine-failed' })
  expect((await fetcher.status()).torrents).toEqual([])
  const { onEvent, resumedBytes } = watchResuming()
  await fetchOf(release, fetcher, { onEvent })
  expect(resumedBytes()).toBe(release.adapter.length + release.signed.sealed.length)
}, 60_000)

it('goes on where it was when the network child is killed in the middle', async () => {
  const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 8 * MiB })
  await seed(net.swarm(), release)
  const fetcher = net.swarm({ limits: { downloadBytesPerSecond: 4 * MiB } })
  let killed: number | undefined
  const resumed: number[] = []
  const onEvent = (event: FetchReleaseEvent): void => {
    if (event.kind !== 'progress') return
    resumed.push(event.progress.resumedBytes)
    const { state } = fetcher
    if (killed !== undefined || event.progress.bytes < 3 * MiB || state.kind !== 'running') return
    killed = state.pid
    process.kill(killed, 'SIGKILL')
  }
  const verified = await fetchOf(release, fetcher, { onEvent })
  expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
  expect(killed).toBeDefined()
  expect(fetcher.state).not.toMatchObject({ pid: killed })
  expect(Math.max(...resumed)).toBeGreaterThan(MiB)
}, 60_000)

it.skipIf(!canMakeDisks)(
  'a disk that is full says so, keeps what is there, and goes on when there is room (needs leave to mount)',
  async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 12 * MiB })
    await seed(net.swarm(), release)
    const disk = join(net.folder, 'disk')
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk])
    try {
      const folder = join(disk, 'staging')
      const fetcher = net.swarm()
      await expect(fetchOf(release, fetcher, { folder })).rejects.toMatchObject({ code: 'disk-full' })
      execFileSync('mount', ['-o', 'remount,size=32m', disk])
      const { onEvent, resumedBytes } = watchResuming()
      const verified = await fetchOf(release, fetcher, { folder, onEvent })
      expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
      expect(resumedBytes()).toBeGreaterThan(3 * MiB)
    } finally {
      execFileSync('umount', ['--lazy', disk])
    }
  },
  60_000,
)

describe('a fetch that is stopped', () => {
  it('at the door serves nothing, keeps its bytes, and can be made again', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
    const fetcher = net.swarm()
    await seed(net.swarm(), release)
    const stop = new AbortController()
    const checkModel = async (): Promise<void> => {
      stop.abort()
      stop.signal.throwIfAborted()
    }
    await expect(fetchOf(release, fetcher, { checkModel, signal: stop.signal })).rejects.toThrow(/aborted/)
    expect((await fetcher.status()).torrents).toEqual([])
    const { onEvent, resumedBytes } = watchResuming()
    await fetchOf(release, fetcher, { onEvent })
    expect(resumedBytes()).toBe(release.adapter.length + release.signed.sealed.length)
  }, 60_000)

  it('halfway can be made again at once', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 2 * MiB })
    const fetcher = net.swarm({ limits: { downloadBytesPerSecond: MiB } })
    await seed(net.swarm(), release)
    const stop = new AbortController()
    const onEvent = (event: FetchReleaseEvent): void => {
      if (event.kind === 'progress' && event.progress.bytes > 0) stop.abort()
    }
    await expect(fetchOf(release, fetcher, { onEvent, signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' })
    const verified = await fetchOf(release, fetcher)
    expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
  }, 60_000)

  it('by dropping its release says so at once', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
    const fetcher = net.swarm()
    const refusal = fetchOf(release, fetcher).catch((error: unknown) => error)
    while ((await fetcher.status()).torrents.length === 0);
    await fetcher.drop(release.torrent.infohash)
    expect(await refusal).toMatchObject({ code: 'aborted' })
  }, 15_000)

  it('because another of the same release goes on leaves that one alone', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
    const fetcher = net.swarm()
    const first = fetchOf(release, fetcher)
    while ((await fetcher.status()).torrents.length === 0);
    await expect(fetchOf(release, fetcher)).rejects.toMatchObject({ code: 'already-exists' })
    await seed(net.swarm(), release)
    await first
  }, 60_000)
})

it('what can not be seeded does not keep the network child from starting again', async () => {
  const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
  const swarm = net.swarm()
  const metainfo = release.torrent.metainfo.subarray(0, -1)
  await expect(swarm.seed(new Uint8Array(20), { metainfo, paths: release.paths })).rejects.toMatchObject({
    code: 'malformed',
  })
  await seed(swarm, release)
  const { state } = swarm
  if (state.kind === 'running') process.kill(state.pid, 'SIGKILL')
  while (swarm.state === state) await swarm.status().catch(() => {})
  expect((await swarm.status()).torrents).toHaveLength(1)
}, 30_000)

describe('the door refuses, and keeps nothing of,', () => {
  const refused = async (release: ReleaseOnDisk, code: string, over: Partial<FetchReleaseJob> = {}): Promise<void> => {
    const seeder = net.swarm()
    await seed(seeder, release)
    await expect(fetchOf(release, net.swarm(), over)).rejects.toMatchObject({ code })
    expect(existsSync(join(net.folder, 'staging'))).toBe(false)
  }

  it('another adapter than the one that was signed', async () => {
    const folder = join(net.folder, 'published')
    const release = await aReleaseOnDisk(folder, { bytes: MiB, adapterClaims: { sha256: sha256(Uint8Array.of(1)) } })
    await refused(release, 'hash-mismatch')
  }, 60_000)

  it('an adapter of another size than the manifest says', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB, adapterClaims: { bytes: 7 } })
    await refused(release, 'manifest-mismatch')
  }, 60_000)

  it('a manifest with a wrong signature', async () => {
    const honest = await aReleaseOnDisk(join(net.folder, 'honest'), { bytes: MiB })
    const forged = honest.signed.sealed.slice()
    forged[forged.length - 1]! ^= 1
    await refused(await layOut(join(net.folder, 'forged'), honest.signed, honest.adapter, forged), 'bad-signature')
  }, 60_000)

  it('a manifest that was changed after signing', async () => {
    const honest = await aReleaseOnDisk(join(net.folder, 'honest'), { bytes: MiB })
    const text = Buffer.from(honest.signed.sealed)
    text.write('questionz', text.indexOf('questions'))
    await refused(await layOut(join(net.folder, 'changed'), honest.signed, honest.adapter, text), 'hash-mismatch')
  }, 60_000)

  it('another release than the one asked for, validly signed', async () => {
    const honest = await aReleaseOnDisk(join(net.folder, 'honest'), { bytes: MiB })
    const other = signManifest(aManifest({ version: '6.6.6' }, anAuthor(1)), anAuthor(1))
    const swapped = await layOut(join(net.folder, 'swapped'), honest.signed, honest.adapter, other.sealed)
    await refused(swapped, 'hash-mismatch')
  }, 60_000)

  it('what is not wanted once its manifest is known, before the adapter is fetched', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 8 * MiB })
    const seeder = net.swarm({ limits: { uploadBytesPerSecond: MiB } })
    await seed(seeder, release)
    const bytes: number[] = []
    const onEvent = (event: FetchReleaseEvent): void => {
      if (event.kind === 'progress') bytes.push(event.progress.bytes)
    }
    const checkManifest = (): void => {
      throw new MeshError('base-mismatch', 'for another base')
    }
    await expect(fetchOf(release, net.swarm(), { checkManifest, onEvent })).rejects.toMatchObject({
      code: 'base-mismatch',
    })
    expect(Math.max(...bytes)).toBeLessThan(release.adapter.length)
    expect(existsSync(join(net.folder, 'staging'))).toBe(false)
  }, 60_000)

  it('what the model check refuses', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: MiB })
    const checkModel = async (): Promise<void> => {
      throw new MeshError('base-mismatch', 'for another base')
    }
    await refused(release, 'base-mismatch', { checkModel })
  }, 60_000)

  it('pieces that were tampered with, and blames and bans the peer that sent them', async () => {
    const release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 2 * MiB })
    writeFileSync(release.paths.adapter, new Uint8Array(release.adapter.length))
    const events: FetchReleaseEvent[] = []
    const seeder = net.swarm()
    await seed(seeder, release)
    const fetching = fetchOf(release, net.swarm(), { onEvent: (event) => events.push(event), patienceMs: 30_000 })
    await expect(fetching).rejects.toMatchObject({ code: 'piece-mismatch' })
    expect(events.filter((event) => event.kind === 'peer-blamed').some(({ banned }) => banned)).toBe(true)
  }, 90_000)
})
