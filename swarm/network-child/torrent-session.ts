/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are replaced here so */
// One torrent of the library, with what it lacks: it asks one peer per piece, blames and bans who sends bad ones, counts bytes per
// peer, keeps requests in flight few, and takes metainfo only in the layout of what is fetched.
import type { Duplex } from 'node:stream'
import type Wire from 'bittorrent-protocol'
import type { Peer, Torrent } from 'webtorrent'
import {
  fromHex,
  isMeshError,
  MeshError,
  type MeshTorrent,
  readTorrentOf,
  releaseMetainfoMaxBytes,
  toHex,
  type TorrentKind,
} from '../../protocol/index.ts'
import type { BanList } from './ban-list.ts'
import type { PeerName, PeerTraffic } from './messages.ts'
import { PieceOrder } from './piece-order.ts'
import { PieceOwners } from './piece-owners.ts'
import { openRequestsMax } from './wire-limits.ts'

const strikesUntilBan = 2
/** Blocks of 16 KiB asked for and not yet received, over all peers: what is lost when the process is killed stays below 1 MiB. */
const inFlightMax = 64
const peersRememberedMax = 1_000
const servedMs = 5_000

export interface SessionEvents {
  onMetainfo?(release: MeshTorrent): void
  /** The metainfo that a peer sent is not of the kind that is fetched: nothing must be written. */
  onRefused?(error: MeshError): void
  onVerified?(index: number): void
  onBlame?(blame: { peer: PeerName; piece: number; banned: boolean }): void
}

interface Traffic {
  readonly name: PeerName
  readonly client: string
  receivedBytes: number
  sentBytes: number
}

export class TorrentSession {
  readonly torrent: Torrent
  readonly #bans: BanList
  readonly #events: SessionEvents
  readonly #nowMs: () => number
  #blockAtMs = -Infinity
  readonly #owners: PieceOwners
  readonly #strikes = new Map<string, number>()
  readonly #traffic = new Map<string, Traffic>()
  readonly #names = new Map<Wire, PeerName>()

  constructor(
    torrent: Torrent,
    kind: TorrentKind,
    bans: BanList,
    events: SessionEvents,
    random: () => number,
    nowMs: () => number,
  ) {
    this.torrent = torrent
    this.#bans = bans
    this.#events = events
    this.#nowMs = nowMs
    this.#owners = new PieceOwners(nowMs)
    this.#takeOnlyOurs(kind)
    this.#refuseBanned()
    this.#askOnePeerPerPiece()
    torrent.on('metadata', () => {
      torrent._rarityMap.destroy()
      torrent._rarityMap = new PieceOrder(torrent, random, nowMs)
    })
    torrent.on('wire', (wire: Wire) => this.#onWire(wire))
    torrent.on('verified', (index: number) => {
      this.#owners.verified(index)
      events.onVerified?.(index)
    })
    torrent.on('warning', (warning: Error) => {
      const failed = /^Piece (\d+) failed verification$/.exec(warning.message)
      if (failed) this.#onBadPiece(Number(failed[1]))
    })
  }

  /** False when it is connected already, banned, or no address; or when the torrent is not yet ready for peers. */
  addAddress(address: string): boolean {
    if (!this.#takesPeers || this.#bans.has({ kind: 'tcp', id: address })) return false
    return this.torrent.addPeer(address)
  }

  /** Speaks the BitTorrent wire over a connected stream. `peer` is the other end's key in hex. */
  addStream(stream: Duplex, peer: string): boolean {
    if (!this.#takesPeers || this.#bans.has({ kind: 'noise', id: peer })) return false
    return this.torrent.addPeer(Object.assign(stream, { id: noiseId(peer), connected: true }))
  }

  isConnected(peer: string): boolean {
    return this.torrent._peers?.has(noiseId(peer)) ?? false
  }

  /** The library throws before and after. */
  get #takesPeers(): boolean {
    return !this.torrent.destroyed && this.torrent.infoHash !== undefined
  }

  /** Whether a block that was asked for came in the last seconds: a peer that is only connected serves nothing. */
  get isServed(): boolean {
    return this.#nowMs() - this.#blockAtMs < servedMs
  }

  /** The library asks for more only when something happens; that everyone has gone silent must not be the end. */
  askOn(): void {
    if (this.torrent.ready && !this.torrent.destroyed) this.torrent._update()
  }

  get livePeers(): number {
    return this.torrent.wires.length
  }

  traffic(): PeerTraffic[] {
    return [...this.#traffic.values()].map(({ name, client, receivedBytes, sentBytes }) => ({
      ...name,
      client,
      receivedBytes,
      sentBytes,
    }))
  }

  #onWire(wire: Wire): void {
    const peer = [...(this.torrent._peers?.values() ?? [])].find((candidate) => candidate.wire === wire)
    if (!peer) return
    const name = nameOf(peer)
    this.#names.set(wire, name)
    const traffic = this.#remember(name, wire.peerId ?? name.id)
    wire.extendedHandshake['reqq'] = openRequestsMax
    wire.on('extended', () => this.#shareInFlight())
    wire.once('close', () => {
      this.#names.delete(wire)
      this.#owners.gone(name.id)
      this.#shareInFlight()
    })
    wire.on('piece', (index: number, _offset: number, bytes: Uint8Array) => {
      this.#owners.received(index, name.id)
      traffic.receivedBytes += bytes.length
      this.#blockAtMs = this.#nowMs()
    })
    peer.on('upload', (bytes: number) => (traffic.sentBytes += bytes))
    refuseLargeMetainfo(wire)
    this.#keepMetadataStill(wire)
    this.#shareInFlight()
  }

  /** Peers say how many requests they take (`reqq`); the library heeds that, so the answer is where our own limit goes. */
  #shareInFlight(): void {
    const wires = this.torrent.wires
    const share = Math.max(4, Math.floor(inFlightMax / Math.max(1, wires.length)))
    for (const wire of wires) {
      const told = wire.peerExtendedHandshake['reqq_told'] ?? wire.peerExtendedHandshake['reqq']
      const theirs = typeof told === 'number' && told > 0 ? told : Infinity
      Object.assign(wire.peerExtendedHandshake, { reqq_told: theirs, reqq: Math.min(share, theirs) })
    }
  }

  #askOnePeerPerPiece(): void {
    const { torrent } = this
    const request = torrent._request.bind(torrent)
    const isAlive = (peer: string) => [...this.#names].some(([wire, name]) => name.id === peer && !wire.destroyed)
    torrent._request = (wire, index, hotswap) => {
      const peer = this.#names.get(wire)
      const may = peer ? this.#owners.mayAsk(index, peer.id, hotswap, isAlive) : 'no'
      if (!peer || may === 'no') return false
      if (may === 'anew') this.#beginAnew(index)
      const asked = request(wire, index, hotswap)
      if (asked) this.#owners.asked(index, peer.id)
      return asked
    }
  }

  #beginAnew(index: number): void {
    const piece = this.torrent.pieces[index]
    if (!piece) return
    this.#owners.begunAnew(index)
    // What is still on its way is for the piece as it was, and is passed over.
    this.torrent.pieces[index] = new piece.constructor(piece.length)
  }

  #onBadPiece(piece: number): void {
    const verdict = this.#owners.failed(piece)
    if (verdict.kind !== 'guilty') return
    const live = [...this.#names.values()].find(({ id }) => id === verdict.peer)
    const name = live ?? this.#traffic.get(verdict.peer)?.name
    if (!name) return
    const strikes = (this.#strikes.get(name.id) ?? 0) + 1
    this.#strikes.set(name.id, strikes)
    const banned = strikes >= strikesUntilBan
    if (banned) {
      this.#bans.add(name)
      for (const [wire, owner] of this.#names) if (this.#bans.has(owner)) wire.destroy()
    }
    this.#events.onBlame?.({ peer: name, piece, banned })
  }

  #refuseBanned(): void {
    const { torrent } = this
    const addPeer = torrent._addPeer.bind(torrent)
    // Also the way of the library's own reconnects, which pass no other check.
    torrent._addPeer = (peer, type, source) => {
      if (typeof peer === 'string' && this.#bans.has({ kind: 'tcp', id: peer })) return null
      return addPeer(peer, type, source)
    }
  }

  /** The library hands over what peers sent as soon as its SHA-1 is right; what it describes could still be any torrent. */
  #takeOnlyOurs(kind: TorrentKind): void {
    const { torrent } = this
    const accept = torrent._onMetadata.bind(torrent)
    let taken = false
    torrent._onMetadata = (metadata) => {
      if (!(metadata instanceof Uint8Array)) return accept(metadata)
      try {
        const release = readTorrentOf(kind, Uint8Array.from(metadata))
        if (toHex(release.infohash) !== torrent.infoHash) throw noTorrent()
        // Two peers may have sent the last of it at the same moment.
        if (taken) return
        taken = true
        this.#events.onMetainfo?.(release)
        accept(release.metainfo)
      } catch (error) {
        if (!isMeshError(error)) throw error
        this.#events.onRefused?.(error)
      }
    }
  }

  /** The library hashes the very bytes that the peer may go on to overwrite, and expects bencode in whatever has the right hash. */
  #keepMetadataStill(wire: Wire): void {
    const extension = wire.ut_metadata
    const setMetadata = extension.setMetadata.bind(extension)
    extension.setMetadata = async (info) => {
      try {
        return await setMetadata(Uint8Array.from(info))
      } catch {
        this.#events.onRefused?.(noTorrent())
        return false
      }
    }
  }

  #remember(name: PeerName, client: string): Traffic {
    const known = this.#traffic.get(name.id) ?? { name, client, receivedBytes: 0, sentBytes: 0 }
    this.#traffic.delete(name.id)
    this.#traffic.set(name.id, known)
    if (this.#traffic.size > peersRememberedMax) this.#traffic.delete(this.#traffic.keys().next().value!)
    return known
  }
}

export function infohashOf(torrent: Torrent): Uint8Array {
  return fromHex(torrent.infoHash, 20)
}

function noTorrent(): MeshError {
  return new MeshError('manifest-invalid', 'What this infohash stands for is not a torrent of the mesh.')
}

function noiseId(peer: string): string {
  return `noise:${peer}`
}

function nameOf(peer: Peer): PeerName {
  return peer.id.startsWith('noise:') ? { kind: 'noise', id: peer.id.slice(6) } : { kind: 'tcp', id: peer.id }
}

function refuseLargeMetainfo(wire: Wire): void {
  const extension = wire.ut_metadata
  const onExtendedHandshake = extension.onExtendedHandshake.bind(extension)
  extension.onExtendedHandshake = (handshake) => {
    const bytes = handshake['metadata_size']
    if (typeof bytes === 'number' && bytes > releaseMetainfoMaxBytes) return
    onExtendedHandshake(handshake)
  }
}
