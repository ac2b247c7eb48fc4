// The exchange network inside one process: real frames, real back-pressure, no sockets. Whole meshes run in one test with it; links can
// be cut and healed.
import { limits, MeshError, toHex } from '../protocol/index.ts'
import type { ExchangeNetwork, PeerChannel } from './ports.ts'

/** Frames a channel holds for a reader that is busy before the sender has to wait. */
const framesInFlight = 16

export interface MemoryNodeOptions {
  /** Must differ between nodes. */
  readonly id: string
  /** Absent: the node serves no transfers. */
  readonly transferKey?: Uint8Array
}

export interface MemoryMeshOptions {
  /** `star`: whoever is first on a topic is connected to all others, as in a real mesh; `full`: everybody to everybody. */
  readonly shape?: 'star' | 'full'
}

/** The room in which nodes meet. */
export class MemoryMesh {
  readonly #shape: 'star' | 'full'
  readonly #topics = new Map<string, Set<MemoryNode>>()
  readonly #links = new Map<string, Link>()
  readonly #cuts = new Set<string>()

  constructor(options: MemoryMeshOptions = {}) {
    this.#shape = options.shape ?? 'star'
  }

  node(options: MemoryNodeOptions): MemoryNode {
    return new MemoryNode(this, options)
  }

  /** Breaks the connection between two nodes and keeps them apart until `heal`. */
  cut(a: MemoryNode, b: MemoryNode): void {
    this.#cuts.add(linkName(a, b))
    this.#links.get(linkName(a, b))?.break()
  }

  /** Connects everybody again who shares a topic. */
  heal(): void {
    this.#cuts.clear()
    for (const members of this.#topics.values()) for (const member of members) this.#introduce(member, members)
  }

  enter(node: MemoryNode, topic: string): void {
    let members = this.#topics.get(topic)
    if (members === undefined) this.#topics.set(topic, (members = new Set()))
    members.add(node)
    this.#introduce(node, members)
  }

  leave(node: MemoryNode, topic: string): void {
    this.#topics.get(topic)?.delete(node)
  }

  /** Ends every connection of a node without a word, as when its process is killed; it can be found no more. */
  vanish(node: MemoryNode): void {
    for (const members of this.#topics.values()) members.delete(node)
    for (const link of this.#links.values()) if (link.joins(node)) link.break()
    // Whoever lost the middle of the star finds the others again.
    for (const members of this.#topics.values()) for (const member of members) this.#introduce(member, members)
  }

  #introduce(node: MemoryNode, members: ReadonlySet<MemoryNode>): void {
    const [hub] = members
    for (const other of members) {
      if (other === node || (this.#shape === 'star' && node !== hub && other !== hub)) continue
      this.#connect(node, other)
    }
  }

  #connect(a: MemoryNode, b: MemoryNode): void {
    const name = linkName(a, b)
    if (this.#cuts.has(name) || this.#links.has(name)) return
    const link = new Link(a, b, () => this.#links.delete(name))
    this.#links.set(name, link)
    link.introduce()
  }
}

export class MemoryNode implements ExchangeNetwork {
  readonly id: string
  readonly #mesh: MemoryMesh
  readonly #transferKey: Uint8Array | undefined
  readonly #listeners = new Set<(peer: PeerChannel) => void>()
  /** Topic -> how often it is joined. */
  readonly #joined = new Map<string, number>()

  constructor(mesh: MemoryMesh, options: MemoryNodeOptions) {
    this.#mesh = mesh
    this.id = options.id
    this.#transferKey = options.transferKey
  }

  get transferKey(): Promise<Uint8Array> {
    return this.#transferKey === undefined
      ? Promise.reject(new MeshError('not-reachable', 'This node serves no transfers.'))
      : Promise.resolve(this.#transferKey)
  }

  async join(topic: Uint8Array, signal?: AbortSignal): Promise<AsyncDisposable> {
    // A real network takes its time: the call must be seen to wait.
    await Promise.resolve()
    if (signal?.aborted === true) throw new MeshError('aborted', 'Joining the topic was cancelled.')
    const name = toHex(topic)
    this.#joined.set(name, (this.#joined.get(name) ?? 0) + 1)
    this.#mesh.enter(this, name)
    let left = false
    return {
      [Symbol.asyncDispose]: async () => {
        if (left) return
        left = true
        const times = (this.#joined.get(name) ?? 1) - 1
        this.#joined.set(name, times)
        if (times === 0) this.#mesh.leave(this, name)
      },
    }
  }

  onPeer(listener: (peer: PeerChannel) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  meet(channel: PeerChannel): void {
    for (const listener of this.#listeners) listener(channel)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#mesh.vanish(this)
  }
}

function linkName(a: MemoryNode, b: MemoryNode): string {
  return [a.id, b.id].toSorted().join(' ')
}

class Link {
  readonly #ends: readonly [MemoryNode, MemoryNode]
  readonly #channels: readonly [MemoryChannel, MemoryChannel]

  constructor(a: MemoryNode, b: MemoryNode, onClosed: () => void) {
    const closeBoth = (): void => {
      for (const channel of this.#channels) channel.shut()
      onClosed()
    }
    this.#ends = [a, b]
    this.#channels = [new MemoryChannel(b.id, closeBoth), new MemoryChannel(a.id, closeBoth)]
    this.#channels[0].other = this.#channels[1]
    this.#channels[1].other = this.#channels[0]
  }

  introduce(): void {
    this.#ends[0].meet(this.#channels[0])
    this.#ends[1].meet(this.#channels[1])
  }

  joins(node: MemoryNode): boolean {
    return this.#ends.includes(node)
  }

  break(): void {
    this.#channels[0].close()
  }
}

class MemoryChannel implements PeerChannel {
  readonly id: string
  readonly closed: Promise<void>
  other: MemoryChannel | undefined
  readonly #closeBoth: () => void
  readonly #resolveClosed: () => void
  readonly #arrived: Uint8Array[] = []
  readonly #waitingSenders: (() => void)[] = []
  #wakeReader: (() => void) | undefined
  #open = true

  constructor(id: string, closeBoth: () => void) {
    this.id = id
    this.#closeBoth = closeBoth
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    this.#resolveClosed = resolve
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.length > limits.frameMaxBytes) {
      throw new MeshError('too-large', `A frame has at most ${limits.frameMaxBytes} bytes, not ${frame.length}.`)
    }
    if (!this.#open) throw closedError()
    await this.other!.#deliver(frame.slice())
  }

  get frames(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  close(): void {
    if (this.#open) this.#closeBoth()
  }

  shut(): void {
    this.#open = false
    this.#wakeReader?.()
    for (const wake of this.#waitingSenders.splice(0)) wake()
    this.#resolveClosed()
  }

  async #deliver(frame: Uint8Array): Promise<void> {
    this.#arrived.push(frame)
    this.#wakeReader?.()
    if (this.#arrived.length < framesInFlight) return
    await new Promise<void>((resolve) => this.#waitingSenders.push(resolve))
    if (!this.#open) throw closedError()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#arrived.shift()
      if (frame !== undefined) {
        this.#waitingSenders.shift()?.()
        yield frame
      } else if (!this.#open) return
      else await new Promise<void>((resolve) => (this.#wakeReader = resolve))
    }
  }
}

function closedError(): MeshError {
  return new MeshError('not-reachable', 'The connection to this peer is closed.')
}
