// Interruptions of a 64 MiB fetch under a limit of 4 MiB/s, between real processes on loopback.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectBase, openFileSource, randomBase, validateAdapter } from '../model-files/index.ts'
import type { BaseInfo } from '../model-files/index.ts'
import { toHex } from '../protocol/index.ts'
import type { Swarm } from './index.ts'
import type { FetchOrder, FetchReport } from './testing/fetching-node.ts'
import { startLoopback } from './testing/loopback-swarm.ts'
import type { Loopback } from './testing/loopback-swarm.ts'
import { aRealReleaseOnDisk } from './testing/release-on-disk.ts'
import type { ReleaseOnDisk } from './testing/release-on-disk.ts'

const MiB = 1024 * 1024
/** Two blocks of this width make a rank of 426 just over 64 MiB. */
const aLargeBase = { layers: 2, width: 1_024, feedForward: 2_816, dtype: 'BF16' } as const
const rank = 426
const limit = 4 * MiB
const onlyTcp = { noise: false, exchange: false, bep44: false }
const fetchingNode = fileURLToPath(new URL('./testing/fetching-node.ts', import.meta.url))

let net: Loopback
let base: BaseInfo
let release: ReleaseOnDisk
let totalBytes: number

beforeAll(async () => {
  net = await startLoopback()
  const basePath = join(net.folder, 'base.gguf')
  await randomBase(aLargeBase, basePath)
  base = await inspectBase(basePath)
  release = await aRealReleaseOnDisk(join(net.folder, 'published'), base, { rank })
  totalBytes = release.adapter.length
}, 60_000)
afterAll(async () => {
  await net[Symbol.asyncDispose]()
})

async function* nobody(): AsyncIterable<Uint8Array> {}

async function aSeeder(): Promise<Swarm> {
  const seeder = net.swarm({}, onlyTcp)
  await seeder.seed(release.torrent.infohash, { metainfo: release.torrent.metainfo, paths: release.paths })
  return seeder
}

async function sentBytes(swarm: Swarm): Promise<number> {
  return (await swarm.status()).torrents.reduce((sum, torrent) => sum + torrent.sentBytes, 0)
}

/** Runs a fetching process; kills it without warning once it has `killAtBytes`. Returns what it last said. */
async function fetchInProcess(
  folder: string,
  killAtBytes: number,
  downloadBytesPerSecond = limit,
): Promise<FetchReport> {
  const order: FetchOrder = {
    releaseId: toHex(release.signed.releaseId),
    infohash: toHex(release.torrent.infohash),
    folder,
    dht: net.dht,
    downloadBytesPerSecond,
  }
  const child = spawn(process.execPath, [fetchingNode, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  let last: FetchReport = { bytes: 0, resumedBytes: 0, done: false }
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line) as FetchReport
    if (last.bytes >= killAtBytes) child.kill('SIGKILL')
  }
  await closed
  return last
}

describe('a fetch of 64 MiB at 4 MiB/s', () => {
  it('goes on from the other seeder when one dies in mid-file', async () => {
    const [dying, survivor] = [await aSeeder(), await aSeeder()]
    let killed: Promise<number> | undefined
    let checked = false
    const killAtBytes = totalBytes * 0.4
    const verified = await net.swarm({ limits: { downloadBytesPerSecond: limit } }, onlyTcp).fetchRelease({
      ref: { releaseId: release.signed.releaseId, infohash: release.torrent.infohash },
      folder: join(net.folder, 'one-dies'),
      checkModel: async (path, manifest, signal) => {
        using source = openFileSource(path)
        expect(await validateAdapter(source, base, { signal })).toMatchObject({ rank: manifest.adapter.rank })
        checked = true
      },
      findSeeders: nobody,
      patienceMs: 30_000,
      signal: AbortSignal.timeout(100_000),
      clock: () => performance.now(),
      onEvent: (event) => {
        if (event.kind !== 'progress' || event.progress.bytes < killAtBytes || killed !== undefined) return
        killed = sentBytes(survivor)
        const { state } = dying
        if (state.kind === 'running') process.kill(state.pid, 'SIGKILL')
        void dying[Symbol.asyncDispose]()
      },
    })
    expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
    expect(checked).toBe(true)
    expect(totalBytes).toBeGreaterThan(64 * MiB)
    const before = await killed!
    const after = await sentBytes(survivor)
    expect(before).toBeLessThan(totalBytes)
    // Everything that was missing when the other died came from the survivor.
    expect(after - before).toBeGreaterThan(totalBytes - killAtBytes - 8 * MiB)
    await survivor[Symbol.asyncDispose]()
  }, 120_000)

  it.each([10, 50, 90])(
    'killed at %i percent is resumed, and less than 2 MiB is fetched again',
    async (percent) => {
      const seeder = await aSeeder()
      const folder = join(net.folder, `killed-at-${percent}`)
      const killed = await fetchInProcess(folder, (totalBytes * percent) / 100)
      expect(killed.done).toBe(false)
      // The limit was for the part that is killed; what is left may come as fast as it can.
      const resumed = await fetchInProcess(folder, Number.POSITIVE_INFINITY, 64 * MiB)
      expect(resumed).toMatchObject({ done: true })
      expect(resumed.resumedBytes).toBeGreaterThan(killed.bytes - 2 * MiB)
      expect(readFileSync(join(folder, 'adapter.gguf')).equals(release.adapter)).toBe(true)
      const manifestBytes = release.signed.sealed.length
      expect((await sentBytes(seeder)) - totalBytes - manifestBytes).toBeLessThan(2 * MiB)
      await seeder[Symbol.asyncDispose]()
    },
    120_000,
  )
})
