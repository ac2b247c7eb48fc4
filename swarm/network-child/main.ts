// Entry point of the network child: hostile network input meets this process and no other. It holds no identity keys.
import { serveRequests } from '../../supervisor/index.ts'
import type { NetworkEvent, NetworkRequests } from './messages.ts'
import { Network } from './network.ts'

let network: Network | undefined

function running(): Network {
  if (!network) throw new Error('the network child was asked for something before it was configured')
  return network
}

type Handlers = {
  [Name in keyof NetworkRequests]: (
    payload: NetworkRequests[Name]['payload'],
    context: { readonly signal: AbortSignal; emit(event: unknown): void },
  ) => Promise<NetworkRequests[Name]['result']>
}

const handlers: Handlers = {
  configure: async (options) => {
    if (network) throw new Error('the network child is configured once')
    network = await Network.start(options, (event: NetworkEvent) => parent.emit(event))
    return network.addresses()
  },
  'topic-join': async ({ topic }) => running().exchange.join(topic),
  'topic-leave': ({ topic }) => running().exchange.leave(topic),
  'peer-send': ({ peerId, frame }) => running().exchange.send(peerId, frame),
  'peer-consumed': async ({ peerId, bytes }) => running().exchange.consumed(peerId, bytes),
  'peer-close': async ({ peerId, reason, ban }) => running().exchange.close(peerId, reason, ban),
  'pointer-put': (item) => running().putPointer(item),
  'pointer-get': ({ publicKey, salt }) => running().getPointer(publicKey, salt),
  fetch: (request, { signal, emit }) => running().fetch(request, signal, emit),
  'fetch-sources': async ({ infohash, sources }) => running().addSources(infohash, sources),
  seed: (request) => running().seed(request),
  drop: ({ infohash }) => running().drop(infohash),
  status: async () => running().status(),
}

// The payloads come from the parent, which is trusted; the types on both sides are the same.
const parent = serveRequests(handlers as Parameters<typeof serveRequests>[0], {
  onStop: async () => {
    await network?.[Symbol.asyncDispose]()
  },
})
