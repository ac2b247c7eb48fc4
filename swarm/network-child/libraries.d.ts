// The parts of the untyped network libraries that this folder uses, internals included. The versions are pinned: whoever moves one
// checks these shapes against the new source.

declare module 'bittorrent-dht' {
  import type { EventEmitter } from 'node:events'

  export interface DhtContact {
    readonly id?: Buffer
    readonly host?: string
    readonly address?: string
    readonly port: number
  }
  export interface DhtQuery {
    readonly t: Buffer
    readonly q: Buffer
    readonly a: Record<string, Buffer | number | undefined>
  }
  export interface StoredValue {
    readonly v: Buffer
    readonly id: Buffer
    readonly k?: Buffer
    readonly salt?: Buffer
    readonly sig?: Buffer
    readonly seq?: number
  }
  export interface Table<V> {
    get(key: string): V | null | undefined
    set(key: string, value: V): void
    remove(key: string): void
    readonly length: number
  }
  export class Client extends EventEmitter {
    constructor(options: Record<string, unknown>)
    readonly nodeId: Buffer
    readonly nodes: { toArray(): DhtContact[] }
    readonly destroyed: boolean
    ready?: boolean
    _values: Table<StoredValue>
    _peers: { get(name: string, count?: number): Buffer[] }
    readonly _rpc: {
      readonly id: Buffer
      response(peer: DhtContact, query: DhtQuery, response: Record<string, unknown>): void
      error(peer: DhtContact, query: DhtQuery, error: readonly [number, string]): void
    }
    addNode(node: { host: string; port: number }): void
    listen(port: number, host: string, onListening?: () => void): void
    address(): { address: string; port: number }
    put(item: Record<string, unknown>, done: (error: Error | null, key: Buffer, nodes: number) => void): void
    announce(infohash: Buffer, port: number, done: (error: Error | null, nodes?: number) => void): void
    lookup(infohash: Buffer, done: (error: Error | null, nodes?: number) => void): () => void
    destroy(done?: () => void): void
    _closest(
      target: Buffer,
      message: Record<string, unknown>,
      onReply: (message: { r?: Record<string, unknown> }, node: DhtContact) => boolean,
      done: (error: Error | null, nodes?: number) => void,
    ): void
    _onput(query: DhtQuery, peer: DhtContact): void
    _validateToken(host: string, token: Buffer): boolean
    _hash(bytes: Buffer): Buffer
  }
}

declare module 'bittorrent-protocol' {
  import type { Duplex } from 'node:stream'

  export interface PieceRequest {
    readonly piece: number
    readonly offset: number
    readonly length: number
  }
  export default class Wire extends Duplex {
    readonly type: string
    readonly peerId: string | null
    extendedHandshake: Record<string, unknown>
    peerExtendedHandshake: Record<string, unknown>
    readonly requests: PieceRequest[]
    readonly peerRequests: PieceRequest[]
    readonly peerPieces: { get(index: number): boolean }
    readonly ut_metadata: MetadataExtension
    readonly _ext: Record<string, Extension>
    _parserSize: number
    _bufferSize: number
    /** Bytes pushed and not yet taken by the connection. */
    readonly _readableState: { readonly buffered: number }
    _parse(size: number, parser: (this: Wire, bytes: Uint8Array) => void): void
    _onMessage(bytes: Uint8Array): void
    _onMessageLength(bytes: Uint8Array): void
    _onRequest(index: number, offset: number, length: number): void
    _onExtended(extension: number, bytes: Uint8Array): void
    _onHave(index: number): void
    _onBitField(bytes: Uint8Array): void
    _onPiece(index: number, offset: number, bytes: Uint8Array): void
    _onReject(index: number, offset: number, length: number): void
  }
  export interface Extension {
    onMessage(bytes: Uint8Array): void
    onExtendedHandshake(handshake: Record<string, unknown>): void
  }
  export interface MetadataExtension extends Extension {
    /** Resolves to whether the hash is right. */
    setMetadata(info: Uint8Array): Promise<boolean>
  }
}

declare module 'webtorrent' {
  import type { EventEmitter } from 'node:events'
  import type { Server } from 'node:net'
  import type { Duplex } from 'node:stream'
  import type Wire from 'bittorrent-protocol'

  export interface ChunkStore {
    get(
      index: number,
      options: { offset?: number; length?: number } | null,
      done: (error: Error | null, bytes?: Uint8Array) => void,
    ): void
    put(index: number, bytes: Uint8Array, done: (error?: Error | null) => void): void
    close(done: (error?: Error | null) => void): void
    destroy(done: (error?: Error | null) => void): void
  }
  export interface Peer extends EventEmitter {
    /** `host:port`, or the `id` of the stream that was added. */
    readonly id: string
    readonly type: 'tcpIncoming' | 'tcpOutgoing' | 'webrtc'
    readonly addr: string | null
    readonly wire: Wire | null
  }
  export interface Piece {
    readonly length: number
    readonly missing: number
    readonly constructor: new (length: number) => Piece
  }
  export interface PiecePicker {
    getRarestPiece(filter: (index: number) => boolean): number
    destroy(): void
  }
  export interface Torrent extends EventEmitter {
    readonly infoHash: string
    readonly length: number
    /** Null once verified. */
    readonly pieces: (Piece | null)[]
    readonly bitfield: { get(index: number): boolean }
    readonly wires: readonly Wire[]
    readonly destroyed: boolean
    readonly done: boolean
    readonly ready: boolean
    readonly downloadSpeed: number
    readonly uploadSpeed: number
    _peers: Map<string, Peer> | null
    _rarityMap: PiecePicker
    _addPeer(peer: string | Duplex, type: string, source?: string): Peer | null
    _addIncomingPeer(peer: Peer): void
    _request(wire: Wire, index: number, hotswap: boolean): boolean
    _onMetadata(metadata: unknown): void
    _update(): void
    addPeer(peer: string | Duplex): boolean
    removePeer(id: string): void
    destroy(options: { destroyStore: boolean }, done: (error?: Error | null) => void): void
  }
  export default class WebTorrent extends EventEmitter {
    constructor(options: Record<string, unknown>)
    readonly torrents: readonly Torrent[]
    readonly torrentPort: number
    readonly _connPool: { readonly tcpServer: Server }
    add(torrent: Uint8Array | string, options: Record<string, unknown>): Torrent
    destroy(done: (error?: Error | null) => void): void
  }
}

declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'

  export interface NoiseKeyPair {
    readonly publicKey: Buffer
    readonly secretKey: Buffer
  }
  /** An encrypted stream; `rawBytesRead` counts what arrived below the encryption. */
  export interface NoiseStream extends Duplex {
    readonly publicKey: Buffer
    readonly remotePublicKey: Buffer
    readonly isInitiator: boolean
    readonly rawBytesRead: number
    /** Until the other end has greeted. */
    readonly _setup: boolean
    /** Bytes of the message that is being collected; 0 between two. */
    readonly _len: number
    readonly opened: Promise<boolean>
  }
  export interface NoiseServer extends EventEmitter {
    /** Empty until nodes of the DHT have taken the announcement. */
    readonly relayAddresses: readonly unknown[]
    listen(keyPair: NoiseKeyPair): Promise<unknown>
    refresh(): void
    close(): Promise<void>
  }
  export default class HyperDHT extends EventEmitter {
    constructor(options: Record<string, unknown>)
    static keyPair(seed?: Buffer): NoiseKeyPair
    readonly destroyed: boolean
    readonly _nat: { add(host: string, port: number): void }
    /** Those it can ask. */
    readonly nodes: { readonly length: number }
    bind(): Promise<void>
    fullyBootstrapped(): Promise<void>
    address(): { host: string; port: number } | null
    readonly io: { readonly serverSocket: { address(): { host: string; port: number } } }
    connect(publicKey: Buffer, options?: { keyPair?: NoiseKeyPair }): NoiseStream
    createServer(
      options: { firewall?(publicKey: Buffer): boolean },
      onConnection: (stream: NoiseStream) => void,
    ): NoiseServer
    destroy(options?: { force?: boolean }): Promise<void>
  }
}

declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events'
  import type HyperDHT from 'hyperdht'
  import type { NoiseKeyPair, NoiseServer, NoiseStream } from 'hyperdht'

  export interface PeerInfo {
    readonly topics: readonly Buffer[]
    readonly client: boolean
  }
  export interface Discovery {
    refresh(options: { client: boolean; server: boolean }): Promise<unknown>
    destroy(): Promise<void>
  }
  export interface HyperswarmOptions {
    readonly dht: HyperDHT
    readonly keyPair: NoiseKeyPair
    readonly maxPeers?: number
    firewall?(publicKey: Buffer): boolean
  }
  export default class Hyperswarm extends EventEmitter {
    constructor(options: HyperswarmOptions)
    readonly _allConnections: { get(publicKey: Buffer): NoiseStream | undefined }
    _handleServerConnection(stream: NoiseStream): void
    readonly server: NoiseServer
    readonly keyPair: NoiseKeyPair
    listen(): Promise<unknown>
    joinPeer(publicKey: Buffer): void
    readonly listening: Promise<unknown> | null
    readonly connections: ReadonlySet<NoiseStream>
    join(topic: Buffer, options: { client: boolean; server: boolean }): Discovery
    destroy(options?: { force?: boolean }): Promise<void>
  }
}
