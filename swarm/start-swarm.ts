// The swarm as the node sees it: one object over the network child.
import type { MutableItem } from '../protocol/index.ts'
import type { ChildState } from '../supervisor/index.ts'
import { HyperswarmExchange } from './exchange-network.ts'
import { fetchPatch } from './fetch-patch.ts'
import type { FetchedPatch, FetchPatchJob } from './fetch-patch.ts'
import { fetchRelease } from './fetch-release.ts'
import type { FetchReleaseJob, VerifiedRelease } from './fetch-release.ts'
import type { NetworkAddresses, NetworkOptions, NetworkStatus, SeedRequest } from './network-child/messages.ts'
import { NetworkClient } from './network-client.ts'

export interface SwarmOptions extends Omit<NetworkOptions, 'seeds'> {
  readonly random: (length: number) => Uint8Array
  onState(state: ChildState): void
}

export interface Swarm extends AsyncDisposable {
  readonly state: ChildState
  readonly addresses: Promise<NetworkAddresses>
  /** Absent when it is switched off. */
  readonly exchange: HyperswarmExchange | undefined
  fetchRelease(job: FetchReleaseJob): Promise<VerifiedRelease>
  fetchPatch(job: FetchPatchJob): Promise<FetchedPatch>
  seed(infohash: Uint8Array, seed: SeedRequest): Promise<void>
  serves(infohash: Uint8Array): boolean
  drop(infohash: Uint8Array): Promise<void>
  /** Resolves to the number of DHT nodes that took it. */
  putPointer(item: MutableItem, signal?: AbortSignal): Promise<number>
  /** All distinct answers; unverified. */
  getPointers(publicKey: Uint8Array, salt: Uint8Array, signal?: AbortSignal): Promise<MutableItem[]>
  status(signal?: AbortSignal): Promise<NetworkStatus>
}

export function startSwarm({ random, onState, ...network }: SwarmOptions): Swarm {
  const seeds = { exchange: random(32), transfer: random(32) }
  const transferKey = Promise.withResolvers<Uint8Array>()
  const exchange = network.switches.exchange ? new HyperswarmExchange(() => client, transferKey.promise) : undefined
  const client = new NetworkClient({
    network: { ...network, seeds },
    onEvent: (event) => exchange?.hear(event),
    onState: (state) => {
      if (state.kind !== 'running') exchange?.closeAll()
      onState(state)
    },
  })
  if (network.switches.noise)
    client.addresses.then((found) => transferKey.resolve(found.transferKey), transferKey.reject)
  else transferKey.reject(new Error('nothing is served over Noise streams'))
  transferKey.promise.catch(() => {})
  const ask = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal })
  return {
    get state() {
      return client.state
    },
    addresses: client.addresses,
    exchange,
    fetchRelease: (job) => fetchRelease(client, job),
    fetchPatch: (job) => fetchPatch(client, job),
    seed: (infohash, seed) => client.seed(infohash, seed),
    serves: (infohash) => client.serves(infohash),
    drop: (infohash) => client.drop(infohash),
    putPointer: (item, signal) => client.request('pointer-put', item, ask(signal)),
    getPointers: (publicKey, salt, signal) => client.request('pointer-get', { publicKey, salt }, ask(signal)),
    status: (signal) => client.request('status', null, ask(signal)),
    async [Symbol.asyncDispose]() {
      await exchange?.[Symbol.asyncDispose]()
      await client[Symbol.asyncDispose]()
    },
  }
}
