// First nodes of networks of one's own: everyone else finds each other through them. For loopback, LANs and tests.
import { type Address, startDht } from './guarded-dht.ts'
import { hyperNodesNeeded, startFirstHyperNode, startLastingHyperNode } from './hyper-node.ts'

export interface Bootstrap extends AsyncDisposable {
  readonly address: Address
}

/** A BitTorrent DHT node that knows nobody. `port` 0 is any free one. */
export async function startDhtBootstrap(host: string, port: number): Promise<Bootstrap> {
  return startDht({ host, port, bootstrap: [] })
}

/**
 * A HyperDHT of its own, one node more than it needs, on one machine; `host` is an IPv4 address under which the others reach it. The
 * first node listens on `port` and is the one to name as bootstrap.
 */
export async function startHyperdhtBootstrap(host: string, port: number): Promise<Bootstrap> {
  await using stack = new AsyncDisposableStack()
  const { address } = stack.use(await startFirstHyperNode(host, port))
  for (let more = 0; more < hyperNodesNeeded; more++) stack.use(await startLastingHyperNode(host, address))
  const nodes = stack.move()
  return { address, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}
