// This node's end of the network child: starts it, tells a restarted one what the last one knew (topics, seeded releases), and passes on
// what it says. What must survive a crash is kept here; what a peer said is checked by whoever asked for it.
import { isMeshError, toHex } from '../protocol/index.ts'
import { siblingEntry, superviseChild } from '../supervisor/index.ts'
import type { ChildState, RequestOptions, SupervisedChild } from '../supervisor/index.ts'
import type {
  NetworkAddresses,
  NetworkEvent,
  NetworkOptions,
  NetworkRequests,
  SeedRequest,
} from './network-child/messages.ts'

export interface NetworkClientOptions {
  readonly network: NetworkOptions
  onEvent(event: NetworkEvent): void
  onState(state: ChildState): void
}

export class NetworkClient implements AsyncDisposable {
  readonly #child: SupervisedChild
  readonly #topics = new Map<string, Uint8Array>()
  readonly #seeds = new Map<string, SeedRequest>()
  #addresses = Promise.withResolvers<NetworkAddresses>()

  constructor({ network, onEvent, onState }: NetworkClientOptions) {
    this.#addresses.promise.catch(() => {})
    this.#child = superviseChild<NetworkEvent>({
      name: 'network',
      entry: siblingEntry('./network-child/main', import.meta.url),
      onEvent,
      onState,
      onStart: async (child) => {
        const addresses = (await child.request('configure', network)) as NetworkAddresses
        for (const topic of this.#topics.values()) await child.request('topic-join', { topic })
        for (const [infohash, seed] of this.#seeds) {
          // What can't be served any more must not keep the network from starting.
          await this.#tellSeed(child, infohash, seed).catch((error: unknown) => {
            if (isMeshError(error, 'child-crashed')) throw error
          })
        }
        this.#addresses.resolve(addresses)
      },
    })
  }

  get state(): ChildState {
    return this.#child.state
  }

  /** Of the first start; ports given as 0 are others after a restart. */
  get addresses(): Promise<NetworkAddresses> {
    return this.#addresses.promise
  }

  request<Name extends keyof NetworkRequests>(
    name: Name,
    payload: NetworkRequests[Name]['payload'],
    options?: RequestOptions,
  ): Promise<NetworkRequests[Name]['result']> {
    return this.#child.request(name, payload, options)
  }

  async join(topic: Uint8Array, options?: RequestOptions): Promise<void> {
    this.#topics.set(toHex(topic), topic)
    await this.request('topic-join', { topic }, options)
  }

  async leave(topic: Uint8Array): Promise<void> {
    if (this.#topics.delete(toHex(topic))) await this.request('topic-leave', { topic })
  }

  /** Serves a release whose files were verified, from `seed.paths`, also after a restart of the child. */
  async seed(infohash: Uint8Array, seed: SeedRequest): Promise<void> {
    this.#seeds.set(toHex(infohash), seed)
    await this.#tellSeed(this.#child, toHex(infohash), seed)
  }

  serves(infohash: Uint8Array): boolean {
    return this.#seeds.has(toHex(infohash))
  }

  async drop(infohash: Uint8Array): Promise<void> {
    this.#seeds.delete(toHex(infohash))
    await this.request('drop', { infohash })
  }

  /** A child that died is told again when it is back; what it refused is not. */
  async #tellSeed(
    child: { request(type: string, payload: unknown): Promise<unknown> },
    infohash: string,
    seed: SeedRequest,
  ): Promise<void> {
    try {
      await child.request('seed', seed)
    } catch (error) {
      if (!isMeshError(error, 'child-crashed')) this.#seeds.delete(infohash)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
    this.#addresses.reject(new Error('the network was closed before it was ready'))
  }
}
