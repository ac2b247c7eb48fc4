// Exchange streams over Hyperswarm as the registry wants them (its port `ExchangeNetwork`): topics to meet on, and one channel of frames
// per peer. The connections live in the network child; when it dies, every channel closes and peers are met again.
import { isMeshError, limits, MeshError, toHex } from '../protocol/index.ts'
import { frameCost } from './network-child/messages.ts'
import type { NetworkEvent } from './network-child/messages.ts'
import type { NetworkClient } from './network-client.ts'

const peersBefore = 'the network was restarted'

export class HyperswarmExchange implements AsyncDisposable {
  readonly #client: () => NetworkClient
  readonly #channels = new Map<string, HyperswarmChannel>()
  readonly #listeners = new Set<(peer: HyperswarmChannel) => void>()
  /** Topic -> how many joined it. */
  readonly #joined = new Map<string, number>()
  readonly transferKey: Promise<Uint8Array>

  constructor(client: () => NetworkClient, transferKey: Promise<Uint8Array>) {
    this.#client = client
    this.transferKey = transferKey
    transferKey.catch(() => {})
  }

  async join(topic: Uint8Array, signal?: AbortSignal): Promise<AsyncDisposable> {
    if (signal?.aborted) throw aborted()
    const name = toHex(topic)
    this.#joined.set(name, (this.#joined.get(name) ?? 0) + 1)
    let left = false
    const leave = async (): Promise<void> => {
      if (left) return
      left = true
      const others = (this.#joined.get(name) ?? 1) - 1
      this.#joined.set(name, others)
      if (others > 0) return
      this.#joined.delete(name)
      await this.#client().leave(topic)
    }
    try {
      await this.#client().join(topic, signal === undefined ? {} : { signal })
    } catch (error) {
      await leave().catch(() => {})
      throw signal?.aborted ? aborted() : error
    }
    return { [Symbol.asyncDispose]: leave }
  }

  onPeer(listener: (peer: HyperswarmChannel) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What the network child says about peers. */
  hear(event: NetworkEvent): void {
    if (event.kind === 'peer-open') {
      this.#channels.get(event.peerId)?.end()
      const channel = new HyperswarmChannel(event.peerId, this.#client())
      this.#channels.set(event.peerId, channel)
      for (const listener of this.#listeners) listener(channel)
    } else if (event.kind === 'peer-frame') {
      this.#channels.get(event.peerId)?.receive(event.frame)
    } else {
      this.#channels.get(event.peerId)?.end()
      this.#channels.delete(event.peerId)
    }
  }

  /** The child is gone, and every connection with it. */
  closeAll(): void {
    for (const channel of this.#channels.values()) channel.end()
    this.#channels.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of this.#channels.values()) channel.close(peersBefore)
    this.closeAll()
    this.#listeners.clear()
  }
}

export class HyperswarmChannel {
  readonly id: string
  readonly closed: Promise<void>
  readonly frames: AsyncIterable<Uint8Array>
  readonly #client: NetworkClient
  readonly #queue: Uint8Array[] = []
  readonly #end = Promise.withResolvers<void>()
  #ended = false
  #wake = (): void => {}

  constructor(id: string, client: NetworkClient) {
    this.id = id
    this.#client = client
    this.closed = this.#end.promise
    this.frames = this.#read()
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.length > limits.frameMaxBytes) {
      throw new MeshError('too-large', `A frame of ${frame.length} bytes is over the limit of ${limits.frameMaxBytes}.`)
    }
    if (this.#ended) throw gone()
    try {
      await this.#client.request('peer-send', { peerId: this.id, frame })
    } catch (error) {
      if (isMeshError(error, 'child-crashed') || isMeshError(error, 'aborted')) throw gone()
      throw error
    }
  }

  close(reason: string): void {
    if (this.#ended) return
    this.end()
    this.#client.request('peer-close', { peerId: this.id, reason, ban: false }).catch(() => {})
  }

  receive(frame: Uint8Array): void {
    if (this.#ended) return
    this.#queue.push(frame)
    this.#wake()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#end.resolve()
    this.#wake()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#queue.shift()
      if (frame !== undefined) {
        yield frame
        // The child reads on only as fast as frames are dealt with here.
        if (!this.#ended)
          this.#client.request('peer-consumed', { peerId: this.id, bytes: frameCost(frame) }).catch(() => {})
      } else if (this.#ended) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

function gone(): MeshError {
  return new MeshError('not-reachable', 'This peer is not connected any more.')
}

function aborted(): MeshError {
  return new MeshError('aborted', 'Stopped before the topic was joined.')
}
