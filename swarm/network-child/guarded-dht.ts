/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are replaced here so */
// The BitTorrent DHT (BEP 5, BEP 44) with every packet checked and every table bounded. It knows no keys of ours: what is put was
// signed by the caller, and what is got is only what nodes answered.
import { Client, type DhtContact, type DhtQuery, type StoredValue } from 'bittorrent-dht'
import {
  bytesEqual,
  MeshError,
  mutableItemBytes,
  verifyMutableItem,
  type MutableItem,
  verifyRaw,
} from '../../protocol/index.ts'
import { GuardedSocket, type QueryRate } from './guarded-socket.ts'

export interface Address {
  /** IPv4 address or a name that resolves to one. */
  readonly host: string
  readonly port: number
}

export interface DhtOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /** Empty for a first node that others bootstrap from. */
  readonly bootstrap: readonly Address[]
  readonly queryRate?: QueryRate
  readonly nowMs?: () => number
}

const peersPerAnswer = 50
const storedValuesMax = 2_000
const announcedPeersMax = 20_000
const announceAgeMs = 45 * 60_000
const valueAgeMs = 2 * 3_600_000
const answersMax = 64

export interface DhtNode extends AsyncDisposable {
  readonly address: Address
  /** How many nodes the routing table holds. */
  readonly size: number
  /** Announces a TCP port under an infohash (20 bytes); resolves with how many nodes took it, 0 when none could be reached. */
  announce(infohash: Uint8Array, tcpPort: number): Promise<number>
  /** Asks nodes for peers of an infohash and reports each `host:port` once; resolves when the search ended or was aborted. */
  lookup(infohash: Uint8Array, onPeer: (address: string) => void, signal: AbortSignal): Promise<void>
  /** Puts a signed item; resolves with how many nodes took it. Rejects with `stale` when they hold a newer one. */
  put(item: MutableItem): Promise<number>
  /** All distinct, rightly signed items that nodes answer for this key and salt. */
  get(publicKey: Uint8Array, salt: Uint8Array): Promise<MutableItem[]>
  /** How many packets were refused, by reason. */
  dropped(): ReadonlyMap<string, number>
}

export async function startDht(options: DhtOptions): Promise<DhtNode> {
  const nowMs = options.nowMs ?? Date.now
  const socket = new GuardedSocket(options.queryRate ?? { perSecond: 100, burst: 400 }, nowMs)
  const dht = new GuardedDht(socket, options.bootstrap, nowMs)
  await new Promise<void>((resolve, reject) => {
    dht.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, options)))
    dht.listen(options.port, options.host, resolve)
  })
  // From here on an error is one of a single packet; the library reports those as warnings, and silence is an answer.
  dht.removeAllListeners('error').on('error', () => {})
  const { address, port } = dht.address()
  return {
    address: { host: address, port },
    get size() {
      return dht.nodes.toArray().length
    },
    announce: (infohash, tcpPort) =>
      new Promise((resolve) => {
        dht.announce(Buffer.from(infohash), tcpPort, (error, nodes) => resolve(error ? 0 : (nodes ?? 0)))
      }),
    lookup: (infohash, onPeer, signal) => lookup(dht, Buffer.from(infohash), onPeer, signal),
    put: (item) => put(dht, item),
    get: (publicKey, salt) => dht.collect(publicKey, salt),
    dropped: () => socket.dropped,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => dht.destroy(resolve)),
  }
}

/** The library with its weak spots replaced. */
class GuardedDht extends Client {
  readonly #nowMs: () => number
  readonly #storedAtMs = new Map<string, number>()

  constructor(socket: GuardedSocket, bootstrap: readonly Address[], nowMs: () => number) {
    super({
      socket,
      bootstrap: bootstrap.length > 0 ? bootstrap.map(({ host, port }) => ({ host, port })) : false,
      verify: (signature: Buffer, message: Buffer, key: Buffer) => verifyRaw(message, signature, key),
      maxTables: 500,
      maxValues: storedValuesMax,
      maxPeers: announcedPeersMax,
      maxAge: announceAgeMs,
    })
    this.#nowMs = nowMs
    this.setMaxListeners(0)
    // The library would send all announced peers of an infohash in one packet, however many.
    const announced = this._peers
    const all = announced.get.bind(announced)
    announced.get = (name, count) => all(name, Math.min(count ?? peersPerAnswer, peersPerAnswer))
    const values = this._values
    const stored = values.get.bind(values)
    values.get = (key) => (this.#expired(key) ? null : stored(key))
  }

  /** Types and lengths have been checked before. The library refuses to refresh an item, so the last put would count for ever. */
  override _onput(query: DhtQuery, peer: DhtContact): void {
    const { k, seq, sig, token, v } = query.a as { [name: string]: Buffer } & { seq?: number }
    const salt = (query.a['salt'] as Buffer | undefined) ?? Buffer.alloc(0)
    const host = peer.address ?? peer.host ?? ''
    const refuse = (code: number, reason: string) => this._rpc.error(peer, query, [code, reason])
    if (!this._validateToken(host, token!)) return refuse(203, 'bad token')
    const target = k === undefined ? immutableTarget(this, v!) : this._hash(Buffer.concat([k, salt]))
    const key = target.toString('hex')
    if (k !== undefined) {
      const signed = { publicKey: k, salt, seq: seq!, value: v!, signature: sig! }
      if (!verifyMutableItem(signed)) return refuse(206, 'bad signature')
      const held = this._values.get(key)
      const cas = query.a['cas']
      if (held && cas !== undefined && held.seq !== cas) return refuse(301, 'cas mismatch')
      if (held && (held.seq! > seq! || (held.seq === seq && !held.v.equals(v!)))) return refuse(302, 'seq too old')
    }
    this.#store(key, { v: v!, id: query.a['id'] as Buffer, ...(k && { k, salt, sig: sig!, seq: seq! }) })
    this._rpc.response(peer, query, { id: this._rpc.id })
  }

  /** Asks the closest nodes, and itself, for one mutable item. */
  collect(publicKey: Uint8Array, salt: Uint8Array): Promise<MutableItem[]> {
    const target = this._hash(Buffer.concat([publicKey, salt]))
    const found: MutableItem[] = []
    const add = (answer: Partial<Record<keyof StoredValue, unknown>>) => {
      const item = itemOf(answer, salt)
      if (item === undefined || !bytesEqual(item.publicKey, publicKey) || found.length >= answersMax) return
      if (!found.some((known) => sameItem(known, item)) && verifyMutableItem(item)) found.push(item)
    }
    const own = this._values.get(target.toString('hex'))
    if (own) add(own)
    return new Promise((resolve) => {
      const query = { q: 'get', a: { id: this._rpc.id, target } }
      this._closest(
        target,
        query,
        ({ r }) => {
          if (r !== undefined) add(r)
          return true
        },
        () => resolve(found),
      )
    })
  }

  #store(key: string, value: StoredValue): void {
    this._values.set(key, value)
    // Kept in the order of the last put; never more entries than the table itself may have.
    this.#storedAtMs.delete(key)
    this.#storedAtMs.set(key, this.#nowMs())
    if (this.#storedAtMs.size > storedValuesMax) this.#storedAtMs.delete(this.#storedAtMs.keys().next().value!)
  }

  #expired(key: string): boolean {
    const atMs = this.#storedAtMs.get(key)
    if (atMs === undefined || this.#nowMs() - atMs < valueAgeMs) return false
    this.#storedAtMs.delete(key)
    this._values.remove(key)
    return true
  }
}

function lookup(dht: Client, infohash: Buffer, onPeer: (address: string) => void, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const seen = new Set<string>()
    const onFound = (peer: { host: string; port: number }, of: Buffer) => {
      const address = `${peer.host}:${peer.port}`
      if (!of.equals(infohash) || seen.has(address) || seen.size >= 1_000) return
      seen.add(address)
      onPeer(address)
    }
    const end = () => {
      dht.off('peer', onFound)
      signal.removeEventListener('abort', onAbort)
      resolve()
    }
    dht.on('peer', onFound)
    const stop = dht.lookup(infohash, end)
    const onAbort = () => {
      stop()
      end()
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

function put(dht: Client, item: MutableItem): Promise<number> {
  const signature = Buffer.from(item.signature)
  if (!verifyRaw(mutableItemBytes(item), signature, item.publicKey)) {
    return Promise.reject(
      new MeshError('bad-signature', 'This DHT item is not rightly signed, so no node would take it.'),
    )
  }
  return new Promise((resolve, reject) => {
    const fields = {
      k: Buffer.from(item.publicKey),
      ...(item.salt.length > 0 && { salt: Buffer.from(item.salt) }),
      seq: item.seq,
      v: Buffer.from(item.value),
      sig: signature,
    }
    dht.put(fields, (error, _key, nodes) => {
      const code = error !== null && 'code' in error ? error.code : undefined
      if (code === 301 || code === 302) {
        reject(new MeshError('stale', 'The DHT already holds a newer item under this key.', { seq: item.seq }))
      } else resolve(error ? 0 : nodes)
    })
  })
}

function itemOf(answer: Partial<Record<keyof StoredValue, unknown>>, salt: Uint8Array): MutableItem | undefined {
  const { k, seq, sig, v } = answer
  if (!isBytes(k) || !isBytes(sig) || !isBytes(v) || typeof seq !== 'number') return undefined
  const [publicKey, signature, value] = [k, sig, v].map((bytes) => Uint8Array.from(bytes))
  return { publicKey: publicKey!, salt, seq, value: value!, signature: signature! }
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}

function sameItem(a: MutableItem, b: MutableItem): boolean {
  return a.seq === b.seq && bytesEqual(a.value, b.value)
}

/** BEP 44: the hash of the bencoded value. */
function immutableTarget(dht: GuardedDht, value: Buffer): Buffer {
  return dht._hash(Buffer.concat([Buffer.from(`${value.length}:`), value]))
}

function cannotListen(error: NodeJS.ErrnoException, { host, port }: DhtOptions): MeshError {
  return new MeshError(
    'bad-config',
    `The DHT can't listen on UDP ${host}:${port} (${error.code ?? error.message}). Choose another host or port.`,
    { host, port },
    { cause: error },
  )
}
