/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are used here so */
// Fetches and seeds release torrents with webtorrent, shut off from everything but what it is told: no trackers, no DHT of its own, no
// peer exchange, no local discovery, no port mapping. Where peers come from is the business of others; they are added here.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import WebTorrent, { type Torrent } from 'webtorrent'
import {
  bytesEqual,
  isMeshError,
  MeshError,
  type MeshTorrent,
  readTorrentOf,
  releaseManifestFile,
  toHex,
  type TorrentKind,
} from '../../protocol/index.ts'
import { BanList } from './ban-list.ts'
import type { Address } from './guarded-dht.ts'
import type { FetchEvent, FetchProgress, FetchResult, NetworkLimits, PeerName, TorrentStatus } from './messages.ts'
import { pathsByName, TorrentFiles, type TorrentPaths } from './torrent-files.ts'
import { infohashOf, TorrentSession } from './torrent-session.ts'
import { limitWires, StalledWires } from './wire-limits.ts'

export interface TorrentClientOptions {
  /** Undefined: no TCP at all. */
  readonly listen?: Address
  readonly limits: NetworkLimits
  readonly random?: () => number
  readonly nowMs?: () => number
}

export interface FetchJob {
  readonly kind: TorrentKind
  readonly infohash: Uint8Array
  readonly folder: string
  readonly metainfo?: Uint8Array
  readonly signal: AbortSignal
  emit(event: FetchEvent): void
}

const shutOff = {
  dht: false,
  tracker: false,
  lsd: false,
  utPex: false,
  natUpnp: false,
  natPmp: false,
  utp: false,
  webSeeds: false,
  // Protocol encryption hides nothing from anyone; Noise streams are what is encrypted.
  secure: 0,
}
const handshakeBytes = 68
const handshakeMs = 5_000
const incomingConnectionsMax = 128
const progressMs = 250
const sweepMs = 1_000
/** How long a fetch whose every peer was banned waits for an honest one to appear. */
const honestPeerMs = 15_000

interface Entry {
  readonly session: TorrentSession
  state: 'fetching' | 'seeding'
  files?: TorrentFiles
  metainfo?: MeshTorrent
}

export class TorrentClient implements AsyncDisposable {
  readonly bans = new BanList()
  readonly #client: WebTorrent
  readonly #options: TorrentClientOptions
  readonly #entries = new Map<string, Entry>()
  readonly #stalled = new StalledWires()
  readonly #sweep: NodeJS.Timeout
  readonly #nowMs: () => number

  static async start(options: TorrentClientOptions): Promise<TorrentClient> {
    limitWires()
    const { downloadBytesPerSecond = -1, uploadBytesPerSecond = -1, peersPerTorrentMax = 55 } = options.limits
    const client = new WebTorrent({
      ...shutOff,
      maxConns: peersPerTorrentMax,
      downloadLimit: downloadBytesPerSecond,
      uploadLimit: uploadBytesPerSecond,
      // Handed to net.Server.listen as it is, which also takes a host.
      torrentPort: options.listen ?? { host: '127.0.0.1', port: 0 },
    })
    await new Promise<void>((resolve, reject) => {
      client.once('listening', resolve)
      client.once('error', (error: Error) => reject(cannotListen(error, options.listen)))
    })
    return new TorrentClient(client, options)
  }

  private constructor(client: WebTorrent, options: TorrentClientOptions) {
    this.#client = client
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    // A torrent's errors are handled where it was added; without a listener here they would end the process.
    client.on('error', () => {})
    const server = client._connPool.tcpServer
    if (options.listen === undefined) server.close()
    server.maxConnections = incomingConnectionsMax
    server.prependListener('connection', (socket: Socket) => this.#onIncoming(socket))
    this.#sweep = setInterval(() => {
      const wires = [...this.#entries.values()].flatMap(({ session }) => session.torrent.wires)
      for (const { session, state } of this.#entries.values()) if (state === 'fetching') session.askOn()
      this.#stalled.drop(wires, this.#nowMs(), options.limits.downloadBytesPerSecond !== undefined)
    }, sweepMs).unref()
  }

  get tcpPort(): number | undefined {
    return this.#options.listen && this.#client.torrentPort
  }

  /**
   * Downloads a release or a patch into `folder` and returns when every byte is verified and on the disk; the torrent then seeds on from there.
   * What the folder already holds is verified and kept. Rejects with `aborted`, `disk-full`, `storage-failed`, `manifest-invalid`
   * (the torrent is none of that kind) or `piece-mismatch` (all who had it lied, and nobody else came).
   */
  async fetch(job: FetchJob): Promise<FetchResult> {
    job.signal.throwIfAborted()
    const infohash = toHex(job.infohash)
    if (this.#entries.has(infohash)) throw new MeshError('already-exists', 'This release is already being fetched.')
    const known = await knownMetainfo(job)
    const end = Promise.withResolvers<void>()
    // An end that comes before anyone waits for it must not be an unhandled rejection.
    end.promise.catch(() => {})
    const entry = this.#add(job, known, {
      onRefused: (error) => end.reject(error),
      onBlame: (blame) => job.emit({ kind: 'blame', ...blame }),
    })
    entry.session.torrent.on('error', (error: Error) => end.reject(storageError(error)))
    entry.session.torrent.once('done', () => end.resolve())
    entry.session.torrent.once('close', () => end.reject(dropped()))
    const onAbort = () => end.reject(job.signal.reason)
    job.signal.addEventListener('abort', onAbort, { once: true })
    const watch = this.#watch(entry, job, end.reject)
    try {
      await end.promise
      job.emit({ kind: 'progress', progress: watch.progress() })
      await entry.files!.sync().catch((error: Error) => Promise.reject(storageError(error)))
      entry.state = 'seeding'
      return { metainfo: entry.metainfo!.metainfo, peers: entry.session.traffic() }
    } catch (error) {
      await this.drop(job.infohash)
      throw error
    } finally {
      watch.stop()
      job.signal.removeEventListener('abort', onAbort)
    }
  }

  /** Serves files that were verified before, and tells the infohash. What is being served already goes on from these files. */
  async seed(metainfo: Uint8Array, paths: TorrentPaths): Promise<Uint8Array> {
    const kind = kindOf(paths)
    const release = readTorrentOf(kind, metainfo)
    const infohash = toHex(release.infohash)
    const entry = this.#entries.get(infohash)
    if (entry?.state === 'seeding') {
      await entry.files!.moveTo(pathsByName(paths))
      return release.infohash
    }
    if (entry) throw new MeshError('already-exists', 'This release is still being fetched.')
    const files = new TorrentFiles(pathsByName(paths), release)
    const torrent = this.#client.add(release.metainfo, { ...torrentOptions(() => files), skipVerify: true })
    const ready = Promise.withResolvers<void>()
    torrent.once('ready', () => ready.resolve())
    torrent.on('error', (error: Error) => {
      this.#entries.delete(infohash)
      ready.reject(storageError(error))
    })
    torrent.once('close', () => ready.reject(dropped()))
    this.#entries.set(infohash, {
      session: this.#session(torrent, kind, {}),
      state: 'seeding',
      files,
      metainfo: release,
    })
    await ready.promise
    return release.infohash
  }

  async drop(infohash: Uint8Array): Promise<void> {
    const entry = this.#entries.get(toHex(infohash))
    this.#entries.delete(toHex(infohash))
    const torrent = entry?.session.torrent
    if (torrent && !torrent.destroyed) {
      await new Promise<void>((resolve) => torrent.destroy({ destroyStore: false }, () => resolve()))
    }
  }

  session(infohash: Uint8Array): TorrentSession | undefined {
    return this.#entries.get(toHex(infohash))?.session
  }

  addAddress(infohash: Uint8Array, address: string): void {
    if (this.#options.listen !== undefined) this.session(infohash)?.addAddress(address)
  }

  addStream(infohash: Uint8Array, stream: Duplex, peer: string): boolean {
    return this.session(infohash)?.addStream(stream, peer) ?? false
  }

  infohashes(): Uint8Array[] {
    return [...this.#entries.values()].map(({ session }) => infohashOf(session.torrent))
  }

  status(): TorrentStatus[] {
    return [...this.#entries].map(([infohash, { session, state }]) => {
      const peers = session.traffic()
      const sum = (of: (peer: (typeof peers)[number]) => number) => peers.reduce((total, peer) => total + of(peer), 0)
      const [sentBytes, receivedBytes] = [sum((peer) => peer.sentBytes), sum((peer) => peer.receivedBytes)]
      return { infohash, state, sentBytes, receivedBytes, peers }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep)
    await new Promise<void>((resolve) => this.#client.destroy(() => resolve()))
  }

  #add(
    { kind, infohash, folder }: FetchJob,
    known: MeshTorrent | undefined,
    events: {
      onRefused(error: MeshError): void
      onBlame(blame: { peer: PeerName; piece: number; banned: boolean }): void
    },
  ): Entry {
    const makeFiles = () => {
      const release = entry.metainfo!
      entry.files = new TorrentFiles((name) => join(folder, name), release)
      // A next start then need not ask peers for it again.
      void mkdir(folder, { recursive: true })
        .then(() => writeFile(metainfoPath(folder), release.metainfo))
        .catch(() => {})
      return entry.files
    }
    const torrent = this.#client.add(known?.metainfo ?? toHex(infohash), torrentOptions(makeFiles))
    const session = this.#session(torrent, kind, events, (release) => (entry.metainfo = release))
    const entry: Entry = { session, state: 'fetching', ...(known && { metainfo: known }) }
    this.#entries.set(toHex(infohash), entry)
    return entry
  }

  #session(
    torrent: Torrent,
    kind: TorrentKind,
    events: {
      onRefused?(error: MeshError): void
      onBlame?(blame: { peer: PeerName; piece: number; banned: boolean }): void
    },
    onMetainfo: (release: MeshTorrent) => void = () => {},
  ): TorrentSession {
    const { random = Math.random } = this.#options
    return new TorrentSession(torrent, kind, this.bans, { ...events, onMetainfo }, random, this.#nowMs)
  }

  /** Reports progress, tells when the manifest is there, and gives up when only liars were found. */
  #watch(entry: Entry, job: FetchJob, fail: (error: MeshError) => void) {
    const { session } = entry
    let resumedBytes = 0
    let manifestTold = false
    let lied = false
    let alone: number | undefined
    session.torrent.once('ready', () => (resumedBytes = verifiedBytes(entry)))
    const progress = (): FetchProgress => ({
      bytes: verifiedBytes(entry),
      totalBytes: session.torrent.length || 0,
      bytesPerSecond: Math.round(session.torrent.downloadSpeed),
      resumedBytes,
      peers: session.traffic(),
    })
    const timer = setInterval(() => {
      job.emit({ kind: 'progress', progress: progress() })
      if (!manifestTold && hasManifest(entry)) {
        manifestTold = true
        job.emit({ kind: 'manifest', path: join(job.folder, releaseManifestFile) })
      }
      lied ||= session.traffic().some((peer) => this.bans.has(peer))
      alone = session.livePeers > 0 ? undefined : (alone ?? this.#nowMs())
      if (lied && alone !== undefined && this.#nowMs() - alone > honestPeerMs) fail(onlyLiars(session))
    }, progressMs)
    return { progress, stop: () => clearInterval(timer) }
  }

  #onIncoming(socket: Socket): void {
    const id = `${socket.remoteAddress}:${socket.remotePort}`
    if (this.bans.has({ kind: 'tcp', id })) {
      socket.destroy()
      return
    }
    setTimeout(() => {
      if (socket.bytesRead < handshakeBytes) socket.destroy()
    }, handshakeMs).unref()
  }
}

function torrentOptions(makeFiles: () => TorrentFiles): Record<string, unknown> {
  return {
    announce: [],
    strategy: 'rarest',
    // Blocks are read from the page cache; a cache of whole pieces per torrent would hold 20 MiB each.
    storeCacheSlots: 0,
    store: function store() {
      return makeFiles()
    },
  }
}

function kindOf(paths: TorrentPaths): TorrentKind {
  return 'patch' in paths ? 'patch' : 'release'
}

function metainfoPath(folder: string): string {
  return join(folder, 'release.torrent')
}

/** The metainfo given, or kept by an earlier try. Throws when the given one is not of this infohash. */
async function knownMetainfo(job: FetchJob): Promise<MeshTorrent | undefined> {
  if (job.metainfo) {
    const release = readTorrentOf(job.kind, job.metainfo)
    if (!bytesEqual(release.infohash, job.infohash)) {
      throw new MeshError('hash-mismatch', 'This torrent file has another infohash than the one asked for.')
    }
    return release
  }
  try {
    const kept = readTorrentOf(job.kind, await readFile(metainfoPath(job.folder)))
    return bytesEqual(kept.infohash, job.infohash) ? kept : undefined
  } catch {
    // Not there, or cut short by a crash: peers have it.
    return undefined
  }
}

function verifiedBytes({ session, metainfo }: Entry): number {
  const { torrent } = session
  if (!metainfo || !torrent.ready) return 0
  const { files, pieceBytes } = metainfo
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0)
  let bytes = 0
  for (const index of torrent.pieces.keys()) {
    if (torrent.bitfield.get(index)) bytes += Math.min(pieceBytes, totalBytes - index * pieceBytes)
  }
  return bytes
}

function hasManifest({ session, metainfo }: Entry): boolean {
  const manifest = metainfo?.files.find(({ name }) => name === releaseManifestFile)
  if (!metainfo || !manifest || !session.torrent.ready) return false
  const last = Math.ceil(manifest.bytes / metainfo.pieceBytes)
  return Array.from({ length: last }, (_, index) => session.torrent.bitfield.get(index)).every(Boolean)
}

function onlyLiars(session: TorrentSession): MeshError {
  const peers = session.traffic().map(({ kind, id }) => `${kind} ${id}`)
  return new MeshError(
    'piece-mismatch',
    'Every peer that offered this release sent bytes that are not its own. Try again when other seeders are online.',
    { peers },
  )
}

function dropped(): MeshError {
  return new MeshError('aborted', 'The release was dropped.')
}

function storageError(error: Error): MeshError {
  if (isMeshError(error)) return error
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new MeshError(
      'disk-full',
      'The disk is full: free some space, then ask again; what was fetched is kept.',
      {
        code,
      },
      { cause: error },
    )
  }
  return new MeshError(
    'storage-failed',
    `The release could not be stored: ${error.message}.`,
    { code: code ?? '' },
    { cause: error },
  )
}

function cannotListen(error: Error, address: Address | undefined): MeshError {
  const code = (error as NodeJS.ErrnoException).code ?? error.message
  return new MeshError(
    'bad-config',
    `The transfer port TCP ${address?.host}:${address?.port} can't be used (${code}). Choose another host or port.`,
    { ...address },
    { cause: error },
  )
}
