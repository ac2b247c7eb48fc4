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
