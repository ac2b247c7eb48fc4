// What a BitTorrent peer may say to a network child: anything. The child lives, stays small, and goes on with honest peers.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { bytesEqual, concatBytes, latin1 } from '../protocol/index.ts'
import type { FetchReleaseJob, Swarm, VerifiedRelease } from './index.ts'
import { startHyperNode } from './network-child/hyper-node.ts'
import type { HyperNode } from './network-child/hyper-node.ts'
import { startLoopback } from './testing/loopback-swarm.ts'
import type { Loopback } from './testing/loopback-swarm.ts'
import { extendedId, fastIds, RawPeer, sha1, wireIds, wireMessage } from './testing/raw-peer.ts'
import { aReleaseOnDisk } from './testing/release-on-disk.ts'
import type { ReleaseOnDisk } from './testing/release-on-disk.ts'

const KiB = 1024
const MiB = 1024 * KiB
const blockBytes = 16 * KiB
/** Extensions are numbered in the order in which the library registers them. */
const utMetadata = 1
const ltDontHave = 2

let net: Loopback
let hyper: HyperNode
let release: ReleaseOnDisk
beforeAll(async () => {
  net = await startLoopback()
  hyper = await startHyperNode({ host: '127.0.0.1', port: 0, bootstrap: [net.hyperdht] })
  release = await aReleaseOnDisk(join(net.folder, 'published'), { bytes: 2 * MiB })
})
afterAll(async () => {
  await hyper[Symbol.asyncDispose]()
  await net[Symbol.asyncDispose]()
})

async function aSeeder(): Promise<Swarm> {
  const seeder = net.swarm({}, { exchange: false })
  await seeder.seed(release.torrent.infohash, { metainfo: release.torrent.metainfo, paths: release.paths })
  return seeder
}

function pidOf({ state }: Swarm): number {
  if (state.kind !== 'running') throw new Error(`the network child is ${state.kind}`)
  return state.pid
}

async function overTcp(swarm: Swarm): Promise<RawPeer> {
  return disposedAtEnd(await RawPeer.tcp((await swarm.addresses).tcp!))
}

async function overNoise(swarm: Swarm): Promise<RawPeer> {
  return disposedAtEnd(await RawPeer.noise(hyper.dht, (await swarm.addresses).transferKey, release.torrent.infohash))
}

function disposedAtEnd(peer: RawPeer): RawPeer {
  onTestFinished(() => peer[Symbol.asyncDispose]())
  return peer
}

/** The block at `offset` of piece `index`, as an honest peer gets it. */
async function blockFrom(peer: RawPeer, index: number, offset: number): Promise<Uint8Array> {
  const unchoked = peer.heard(({ id }) => id === wireIds.unchoke)
  const piece = peer.heard(({ id }) => id === wireIds.piece)
  ;(await peer.greet(release.torrent.infohash)).say(wireIds.interested)
  await unchoked
  peer.say(wireIds.request, index, offset, blockBytes)
  return (await piece).body.subarray(8)
}

async function servesHonestPeers(swarm: Swarm): Promise<void> {
  const { layout } = release.torrent
  const offset = 2 * blockBytes
  const start = layout.pieceBytes + offset - layout.manifestBytes
  const block = await blockFrom(await overTcp(swarm), 1, offset)
  expect(bytesEqual(block, release.adapter.subarray(start, start + blockBytes))).toBe(true)
}

const bencoded = (text: string): Uint8Array => latin1(text)
const extended = (extension: number, text: string, ...after: Uint8Array[]): Uint8Array =>
  wireMessage(extendedId, Uint8Array.of(extension), bencoded(text), ...after)
const numbers = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
const offersMetadata = 'd1:md11:ut_metadatai1e11:lt_donthavei2eee'

/** After the handshake; each is sent on a connection of its own. */
const sayings: readonly [name: string, bytes: () => Uint8Array][] = [
  ['messages of every kind that end too early', () => concatBytes(...everyId().flatMap((id) => shortened(id)))],
  ['a message of 4 GiB', () => concatBytes(Uint8Array.of(255, 255, 255, 255, 7), randomBytes(64 * KiB))],
  ['a message of 2 GiB', () => concatBytes(Uint8Array.of(127, 255, 255, 255, 20), randomBytes(64 * KiB))],
  ['random bytes', () => randomBytes(200 * KiB)],
  ['messages of random bytes', () => concatBytes(...everyId().map((id) => wireMessage(id, randomBytes(300))))],
  ['bitfields of any length', () => concatBytes(...[0, 1, 600, 200 * KiB].map((n) => wireMessage(5, ones(n))))],
  ['pieces that nobody has', () => concatBytes(...numbers.map((n) => wireMessage(wireIds.have, n)))],
  ['requests for what is not there', () => concatBytes(interested, ...everywhere(wireIds.request))],
  ['cancels of what was not asked for', () => concatBytes(...everywhere(wireIds.cancel))],
  ['rejects of what was not asked for', () => concatBytes(...everywhere(fastIds.reject))],
  ['blocks that nobody asked for', () => concatBytes(...numbers.map((n) => wireMessage(7, n, n, ones(100))))],
  ['an extended handshake that is no bencode', () => extended(0, 'd1:m')],
  ['an extended handshake of a million lists', () => extended(0, 'l'.repeat(250 * KiB))],
  ['an extended handshake that is a number', () => extended(0, 'i7e')],
  ['an extended handshake that is text', () => extended(0, '3:abc')],
  ['extension numbers that are text', () => extended(0, 'd1:m40:'.padEnd(47, 'x') + 'e')],
  ['extension numbers that are objects', () => extended(0, 'd1:md11:ut_metadatad8:toStringi5eeee')],
  ['extensions named like parts of an object', () => extended(0, 'd1:md9:__proto__d8:toStringi1ee11:constructori1eee')],
  [
    'metadata sizes that can not be',
    () => concatBytes(...['-1', '0', '99999999999', '1'].map((n) => offersOf(n)), extended(0, 'd13:metadata_size1:xe')),
  ],
  [
    'requests for metadata that is not there',
    () =>
      concatBytes(
        extended(0, offersMetadata),
        ...['i-1e', 'i0e', 'i99999999999999e', '1:x', 'le', 'de'].map((n) =>
          extended(utMetadata, `d8:msg_typei0e5:piece${n}e`),
        ),
      ),
  ],
  [
    'metadata that nobody asked for',
    () =>
      concatBytes(
        extended(0, offersMetadata),
        ...['i-1e', 'i0e', 'i99999999999999e', '1:x'].map((n) =>
          extended(utMetadata, `d8:msg_typei1e5:piece${n}10:total_sizei5ee`, ones(500)),
        ),
      ),
  ],
  ['extensions that were not offered', () => concatBytes(...[2, 3, 255].map((n) => extended(n, 'de')))],
  [
    '"don\'t have" of any piece',
    () => concatBytes(...numbers.map((n) => wireMessage(20, Uint8Array.of(ltDontHave), n))),
  ],
]

const interested = wireMessage(wireIds.interested)
const ones = (length: number): Uint8Array => new Uint8Array(length).fill(0xff)
const everyId = (): number[] => Array.from({ length: 23 }, (_, id) => id)
const shortened = (id: number): Uint8Array[] => [0, 1, 3, 5, 9].map((length) => wireMessage(id, ones(length)))
const offersOf = (bytes: string): Uint8Array => extended(0, `d1:md11:ut_metadatai1ee13:metadata_sizei${bytes}ee`)
function everywhere(id: number): Uint8Array[] {
  return numbers.flatMap((a) => numbers.flatMap((b) => numbers.map((c) => wireMessage(id, a, b, c))))
}

describe.each([
  ['TCP', overTcp],
  ['a Noise stream', overNoise],
])('a seeding network child that is told over %s', (_, connect) => {
  let seeder: Swarm
  beforeAll(async () => {
    seeder = await aSeeder()
  })
  afterAll(async () => {
    await seeder[Symbol.asyncDispose]()
  })

  it.each(sayings)('%s lives and serves others', async (_name, bytes) => {
    const pid = pidOf(seeder)
    ;(await connect(seeder)).handshake(release.torrent.infohash).raw(bytes())
    ;(await (await connect(seeder)).greet(release.torrent.infohash)).raw(bytes())
    await servesHonestPeers(seeder)
    expect(pidOf(seeder)).toBe(pid)
  })
})

/** Resident memory in bytes; told by Linux alone. */
function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * KiB
}

describe.skipIf(!existsSync('/proc/self/status'))('the memory of a seeding network child', () => {
  let seeder: Swarm
  beforeAll(async () => {
    seeder = await aSeeder()
  })
  afterAll(async () => {
    await seeder[Symbol.asyncDispose]()
  })

  /** Lets peers do something and returns by how much the child grew at most. */
  async function growth(attack: () => Promise<void>): Promise<number> {
    const pid = pidOf(seeder)
    await servesHonestPeers(seeder)
    const before = residentBytes(pid)
    let most = before
    const watch = setInterval(() => (most = Math.max(most, residentBytes(pid))), 50)
    await attack()
    clearInterval(watch)
    await servesHonestPeers(seeder)
    expect(pidOf(seeder)).toBe(pid)
    return Math.max(most, residentBytes(pid)) - before
  }

  async function flood(bytes: Uint8Array): Promise<void> {
    const peer = (await (await overTcp(seeder)).greet(release.torrent.infohash)).stopReading()
    peer.raw(extended(0, offersMetadata), bytes)
    await peer.closed
  }

  it('does not grow by answers that a peer asks for and never takes', async () => {
    const request = extended(utMetadata, 'd8:msg_typei0e5:piecei0ee')
    expect(await growth(() => flood(Buffer.concat(Array.from({ length: 200_000 }, () => request))))).toBeLessThan(
      64 * MiB,
    )
  })

  it('does not grow by blocks that nobody asked for', async () => {
    const blocks = Array.from({ length: 500_000 }, (_, index) => wireMessage(wireIds.piece, index, 0))
    expect(await growth(() => flood(Buffer.concat(blocks)))).toBeLessThan(64 * MiB)
  })

  it('does not grow by what extended handshakes hold', async () => {
    const names = Array.from({ length: 20_000 }, (_, n) => `8:${String(n).padStart(8, '0')}i1e`).join('')
    expect(await growth(() => flood(extended(0, `d1:md${names}ee`)))).toBeLessThan(64 * MiB)
  })

  it('does not grow by fifty peers that stop in mid-message, and they are gone within five seconds', async () => {
    const grown = await growth(async () => {
      const peers = await Promise.all(
        Array.from({ length: 50 }, async () => (await overTcp(seeder)).greet(release.torrent.infohash)),
      )
      const startedAt = performance.now()
      for (const peer of peers) peer.raw(wireMessage(wireIds.piece, ones(200 * KiB)).subarray(0, 150 * KiB))
      await Promise.all(peers.map(({ closed }) => closed))
      expect(performance.now() - startedAt).toBeLessThan(6_000)
    })
    expect(grown).toBeLessThan(64 * MiB)
  })
})

describe('a fetch that meets hostile peers', () => {
  const fetches: Promise<unknown>[] = []
  let releases = 1

  function fetchOf(
    fetcher: Swarm,
    wanted: ReleaseOnDisk,
    over: Partial<FetchReleaseJob> = {},
  ): Promise<VerifiedRelease> {
    const fetching = fetcher.fetchRelease({
      ref: { releaseId: wanted.signed.releaseId, infohash: wanted.torrent.infohash },
      folder: join(net.folder, `staging ${fetches.length}`),
      checkModel: async () => {},
      findSeeders: async function* nobody() {},
      patienceMs: 20_000,
      signal: AbortSignal.timeout(40_000),
      clock: () => performance.now(),
      onEvent: () => {},
      ...over,
    })
    fetches.push(fetching.catch(() => {}))
    return fetching
  }

  /** Once it is fetching: connections for what it doesn't know are refused. */
  async function untilFetching(fetcher: Swarm): Promise<void> {
    while ((await fetcher.status()).torrents.length === 0);
  }

  /** Answers every request for metadata with `metadata`, and calls back when all of it was sent. */
  function givesMetadata(peer: RawPeer, metadata: Uint8Array, onGiven: () => void = () => {}): void {
    peer.onMessage(({ id, body }) => {
      if (id !== extendedId) return
      if (body[0] !== utMetadata) return void peer.raw(offersOf(String(metadata.length)))
      peer.raw(extended(utMetadata, `d8:msg_typei1e5:piecei0e10:total_sizei${metadata.length}ee`, metadata))
      onGiven()
    })
  }
  const infoOf = (wanted: ReleaseOnDisk): Uint8Array => wanted.torrent.metainfo.subarray('d4:info'.length, -1)

  it('refuses metadata that is no torrent, though its publisher named it', async () => {
    const fetcher = net.swarm({}, { exchange: false })
    const garbage = latin1('x'.repeat(500))
    const fetching = fetchOf(fetcher, { ...release, torrent: { ...release.torrent, infohash: sha1(garbage) } })
    fetching.catch(() => {})
    await untilFetching(fetcher)
    const pid = pidOf(fetcher)
    givesMetadata((await overTcp(fetcher)).handshake(sha1(garbage)), garbage)
    await expect(fetching).rejects.toMatchObject({ code: 'manifest-invalid' })
    expect(pidOf(fetcher)).toBe(pid)
  })

  it('refuses metadata that means another torrent than the one asked for', async () => {
    const fetcher = net.swarm({}, { exchange: false })
    // The same keys in another order: the library would write them in the right one.
    const info = Buffer.from(infoOf(release)).toString('latin1')
    const at = info.indexOf('4:name')
    const turned = latin1(`d${info.slice(at, -1)}${info.slice(1, at)}e`)
    const fetching = fetchOf(fetcher, { ...release, torrent: { ...release.torrent, infohash: sha1(turned) } })
    fetching.catch(() => {})
    await untilFetching(fetcher)
    givesMetadata((await overTcp(fetcher)).handshake(sha1(turned)), turned)
    await expect(fetching).rejects.toMatchObject({ code: 'manifest-invalid' })
  })

  it('takes metadata as it was when its hash was right, whatever comes after it', async () => {
    const fetcher = net.swarm({}, { exchange: false })
    const { infohash } = release.torrent
    const fetching = fetchOf(fetcher, release)
    fetching.catch(() => {})
    await untilFetching(fetcher)
    const pid = pidOf(fetcher)
    const liar = (await overTcp(fetcher)).handshake(infohash)
    givesMetadata(liar, infoOf(release), () => {
      const garbage = extended(utMetadata, 'd8:msg_typei1e5:piecei0e10:total_sizei9ee', ones(400))
      liar.raw(garbage, garbage, garbage)
    })
    await liar.heard(({ id }) => id === fastIds.haveNone || id === wireIds.bitfield)
    await aSeeder()
    const verified = await fetching
    expect(readFileSync(verified.files.adapter).equals(release.adapter)).toBe(true)
    expect(pidOf(fetcher)).toBe(pid)
  })

  it.each([
    ['reject every request', (peer: RawPeer, body: Uint8Array) => peer.say(fastIds.reject, body)],
    ['never answer a request', () => {}],
    [
      'answer with a block from elsewhere',
      (peer: RawPeer, body: Uint8Array) => peer.say(wireIds.piece, body.subarray(0, 4), 7, ones(blockBytes)),
    ],
  ])(
    'ends in time when peers that have everything %s',
    async (_name, answer) => {
      const fetcher = net.swarm({}, { exchange: false })
      const small = await aReleaseOnDisk(join(net.folder, `small ${_name}`), { bytes: 100 * KiB, rngSeed: ++releases })
      const { infohash } = small.torrent
      const fetching = fetchOf(fetcher, small)
      fetching.catch(() => {})
      await untilFetching(fetcher)
      const pid = pidOf(fetcher)
      // More of them than there are pieces.
      for (let n = 0; n < 4; n++) {
        const peer = await overTcp(fetcher)
        peer.onMessage(({ id, body }) => id === wireIds.request && answer(peer, body))
        givesMetadata(peer.handshake(infohash), infoOf(small))
        await peer.heard(({ id }) => id === fastIds.haveNone || id === wireIds.bitfield)
        peer.say(fastIds.haveAll).say(wireIds.unchoke)
        await peer.heard(({ id }) => id === wireIds.interested)
      }
      const seeder = net.swarm({}, { exchange: false })
      await seeder.seed(infohash, { metainfo: small.torrent.metainfo, paths: small.paths })
      const verified = await fetching
      expect(readFileSync(verified.files.adapter).equals(small.adapter)).toBe(true)
      expect(pidOf(fetcher)).toBe(pid)
    },
    60_000,
  )
})
