// What the node and its network child say to each other (structured clones over the supervisor's channel). The child is the one that
// may have been taken over: the parent checks what it is told, signatures and hashes above all.
import type { MutableItem, TorrentKind } from '../../protocol/index.ts'
import type { Address } from './guarded-dht.ts'
import type { TorrentPaths } from './torrent-files.ts'

export interface NetworkSwitches {
  /** BitTorrent over plain TCP: listens, and connects to peers found by BEP 5. */
  readonly tcp: boolean
  /** BitTorrent over Noise streams. */
  readonly noise: boolean
  readonly bep5: boolean
  readonly bep44: boolean
  /** Hyperswarm topics. */
  readonly exchange: boolean
}

export interface NetworkOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly ports: { readonly tcp: number; readonly dht: number; readonly hyperdht: number }
  /** Undefined: the public networks' own. */
  readonly bootstraps: { readonly dht?: readonly Address[]; readonly hyperdht?: readonly Address[] }
  readonly switches: NetworkSwitches
  readonly limits: NetworkLimits
  /** 32 bytes each, drawn by the parent once, so that a restarted child is still the same to its peers. */
  readonly seeds: { readonly exchange: Uint8Array; readonly transfer: Uint8Array }
}

export interface NetworkLimits {
  /** Bytes a second over all transfers. */
  readonly downloadBytesPerSecond?: number
  readonly uploadBytesPerSecond?: number
  readonly peersPerTorrentMax?: number
  readonly exchangePeersMax?: number
}

export interface NetworkAddresses {
  readonly tcp?: Address
  readonly dht?: Address
  readonly hyperdht?: Address
  /** Where this child serves the transfer stream, and who it is on exchange streams. 32 bytes each. */
  readonly transferKey: Uint8Array
  readonly exchangeKey: Uint8Array
}

/** `noise`: id is the transfer key or session key in hex; `tcp`: `host:port`. */
export interface PeerName {
  readonly kind: 'tcp' | 'noise'
  readonly id: string
}

export interface FetchRequest {
  readonly kind: TorrentKind
  /** 20 bytes. */
  readonly infohash: Uint8Array
  /** Where the files are written and, after an interruption, found. */
  readonly folder: string
  /** The .torrent file, if known already. */
  readonly metainfo?: Uint8Array
  readonly sources: Sources
}

export interface Sources {
  readonly transferKeys: readonly Uint8Array[]
  readonly addresses: readonly string[]
}

export interface FetchResult {
  readonly metainfo: Uint8Array
  /** Who sent how much, those gone since included. */
  readonly peers: readonly PeerTraffic[]
}

export interface PeerTraffic extends PeerName {
  /** What the BitTorrent client at the other end calls itself, equal over TCP and Noise streams. Unproved: for counting peers only. */
  readonly client: string
  readonly receivedBytes: number
  readonly sentBytes: number
}

/** Events of one fetch request. */
export type FetchEvent =
  | { readonly kind: 'progress'; readonly progress: FetchProgress }
  /** The manifest is complete and may be judged before the rest is fetched. */
  | { readonly kind: 'manifest'; readonly path: string }
  | { readonly kind: 'blame'; readonly peer: PeerName; readonly piece: number; readonly banned: boolean }

export interface FetchProgress {
  /** Verified bytes of `totalBytes`, which is 0 until the metainfo is known. */
  readonly bytes: number
  readonly totalBytes: number
  readonly bytesPerSecond: number
  /** Verified bytes that were found on the disk when the fetch began. */
  readonly resumedBytes: number
  readonly peers: readonly PeerTraffic[]
}

export interface SeedRequest {
  readonly metainfo: Uint8Array
  readonly paths: TorrentPaths
}

export interface TorrentStatus {
  readonly infohash: string
  readonly state: 'fetching' | 'seeding'
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly peers: readonly PeerTraffic[]
}

export interface NetworkStatus {
  readonly torrents: readonly TorrentStatus[]
  /** Of the BitTorrent DHT. */
  readonly dhtNodes: number
  /** Nodes of the HyperDHT, and how many it takes; undefined where nothing uses it. */
  readonly hyperdht: { readonly nodes: number; readonly needed: number } | undefined
  readonly exchangePeers: number
  readonly topics: number
  readonly banned: readonly PeerName[]
}

/** Events of the child itself. */
export type NetworkEvent =
  | { readonly kind: 'peer-open'; readonly peerId: string; readonly topics: readonly Uint8Array[] }
  | { readonly kind: 'peer-frame'; readonly peerId: string; readonly frame: Uint8Array }
  | { readonly kind: 'peer-close'; readonly peerId: string; readonly reason: string }

/** What a frame on its way to whoever reads it counts for, in bytes: a million empty ones are not nothing. */
export function frameCost(frame: Uint8Array): number {
  return frame.length + 512
}

/** Request name -> payload and result. */
export interface NetworkRequests {
  configure: { payload: NetworkOptions; result: NetworkAddresses }
  'topic-join': { payload: { topic: Uint8Array }; result: void }
  'topic-leave': { payload: { topic: Uint8Array }; result: void }
  /** Resolves when the frame has been handed to the connection and there is room for more. */
  'peer-send': { payload: { peerId: string; frame: Uint8Array }; result: void }
  /** The parent has consumed frames of this `frameCost`: more may come. */
  'peer-consumed': { payload: { peerId: string; bytes: number }; result: void }
  'peer-close': { payload: { peerId: string; reason: string; ban: boolean }; result: void }
  'pointer-put': { payload: MutableItem; result: number }
  'pointer-get': { payload: { publicKey: Uint8Array; salt: Uint8Array }; result: MutableItem[] }
  fetch: { payload: FetchRequest; result: FetchResult }
  'fetch-sources': { payload: { infohash: Uint8Array; sources: Sources }; result: void }
  seed: { payload: SeedRequest; result: void }
  drop: { payload: { infohash: Uint8Array }; result: void }
  status: { payload: null; result: NetworkStatus }
}
