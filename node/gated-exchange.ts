// The registry gets its exchange network when it is opened, the network itself starts only when something needs it: until then whoever
// joins a topic waits at this gate.
import { MeshError } from '../protocol/index.ts'
import type { ExchangeNetwork, PeerChannel } from '../registry/index.ts'
import { unlessAborted } from './wait-for.ts'

export interface GatedExchange extends ExchangeNetwork {
  /** Lets everybody through to `network`, once. */
  open(network: ExchangeNetwork): void
}

export function gatedExchange(): GatedExchange {
  const opened = Promise.withResolvers<ExchangeNetwork>()
  opened.promise.catch(() => {})
  const transferKey = opened.promise.then((network) => network.transferKey)
  transferKey.catch(() => {})
  return {
    open: (network) => opened.resolve(network),
    async join(topic, signal) {
      const network = await (signal === undefined ? opened.promise : unlessAborted(opened.promise, signal))
      return network.join(topic, signal)
    },
    onPeer(listener: (peer: PeerChannel) => void) {
      const subscription = { stopped: false, stop: () => {} }
      void listenOnce(opened.promise, listener, subscription)
      return () => {
        subscription.stopped = true
        subscription.stop()
      }
    },
    transferKey,
    async [Symbol.asyncDispose]() {
      opened.reject(stopped())
    },
  }
}

async function listenOnce(
  opened: Promise<ExchangeNetwork>,
  listener: (peer: PeerChannel) => void,
  subscription: { stopped: boolean; stop: () => void },
): Promise<void> {
  const network = await opened.catch(() => undefined)
  if (network !== undefined && !subscription.stopped) subscription.stop = network.onPeer(listener)
}

function stopped(): MeshError {
  return new MeshError('aborted', 'Stopped before the network was needed.')
}
