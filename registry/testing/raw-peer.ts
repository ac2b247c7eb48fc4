// A peer that says whatever a test wants, frame by frame.
import { decodeWireMessage, encodeWireMessage } from '../../protocol/index.ts'
import type { SignedRecord, VerifiedRecord, WireMessage, WireMessageOf } from '../../protocol/index.ts'
import { logKeyOf } from '../log-key.ts'
import type { MemoryMesh, MemoryNode } from '../memory-exchange.ts'
import type { PeerChannel } from '../ports.ts'

let count = 0

export class RawPeer implements AsyncDisposable {
  readonly id: string
  readonly #node: MemoryNode
  readonly #channel: PeerChannel
  readonly #heard: WireMessage[] = []
  readonly #waiting = new Set<() => void>()
  #ended = false

  /** Meets the first peer on a topic, and says nothing. */
  static async meet(mesh: MemoryMesh, topic: Uint8Array, id = `raw ${count++}`): Promise<RawPeer> {
    const node = mesh.node({ id })
    const met = new Promise<PeerChannel>((resolve) => node.onPeer(resolve))
    await node.join(topic)
    return new RawPeer(node, await met)
  }

  /** Meets, greets, and is on the topic. */
  static async greet(mesh: MemoryMesh, topic: Uint8Array, id?: string): Promise<RawPeer> {
    const peer = await RawPeer.meet(mesh, topic, id)
    await peer.say({ type: 'hello/1', versions: [1], agent: 'raw' })
    await peer.say({ type: 'topics/1', topics: [topic] })
    return peer
  }

  constructor(node: MemoryNode, channel: PeerChannel) {
    this.id = node.id
    this.#node = node
    this.#channel = channel
    void this.#listen()
  }

  get closed(): Promise<void> {
    return this.#channel.closed
  }

  async say(message: WireMessage): Promise<void> {
    await this.sayBytes(encodeWireMessage(message))
  }

  async sayBytes(frame: Uint8Array): Promise<void> {
    await this.#channel.send(frame).catch(() => {})
  }

  async sayHeads(topic: Uint8Array, ...logs: readonly (readonly VerifiedRecord[])[]): Promise<void> {
    const heads = logs.map((log) => {
      const last = log.at(-1)!
      return { ...logKeyOf(last.fields), length: last.fields.index + 1, head: last.id }
    })
    await this.say({ type: 'heads/1', topic, logs: heads })
  }

  async sayRecords(
    wanted: WireMessageOf<'want-records/1'>,
    records: readonly SignedRecord[],
    from = wanted.from,
  ): Promise<void> {
    const { topic, scope, author, device } = wanted
    const sent = records.map(({ envelope, body }) => ({ envelope, body }))
    await this.say({ type: 'records/1', topic, scope, author, device, from, records: sent })
  }

  /** Answers every request for records of this log truthfully, until the connection ends. */
  async serve(log: readonly VerifiedRecord[]): Promise<void> {
    for (;;) {
      const wanted = await this.hear('want-records/1').catch(() => undefined)
      if (wanted === undefined) return
      await this.sayRecords(wanted, log.slice(wanted.from, Math.min(wanted.to, wanted.from + 100)))
    }
  }

  /** The next message of a type that was not heard yet. Rejects when the connection ends first. */
  async hear<T extends WireMessage['type']>(type: T): Promise<WireMessageOf<T>> {
    for (;;) {
      const at = this.#heard.findIndex((message) => message.type === type)
      if (at >= 0) return this.#heard.splice(at, 1)[0] as WireMessageOf<T>
      if (this.#ended) throw new Error(`the connection ended before a ${type}`)
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** Messages of a type that came and were not asked for yet. */
  heard(type: WireMessage['type']): number {
    return this.#heard.filter((message) => message.type === type).length
  }

  /** Waits until everything said before has been handled: messages are answered in order. */
  async settled(): Promise<void> {
    await this.say({ type: 'want-seeds/1', infohashes: [new Uint8Array(20)] })
    await this.hear('have-seeds/1')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#channel.close('done')
    await this.#node[Symbol.asyncDispose]()
  }

  async #listen(): Promise<void> {
    for await (const frame of this.#channel.frames) {
      const message = decodeWireMessage(frame)
      if (message.type !== 'unknown') this.#heard.push(message)
      this.#wake()
    }
    this.#ended = true
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }
}
