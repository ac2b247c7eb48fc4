// First nodes of networks of one's own: everyone else finds each other through them. For loopback, LANs and tests.
import { type Address, startDht } from './guarded-dht.ts'
import { startHyperBootstrap } from './hyper-node.ts'

export interface Bootstrap extends AsyncDisposable {
  readonly address: Address
}

/** A BitTorrent DHT node that knows nobody. `port` 0 is any free one. */
export async function startDhtBootstrap(host: string, port: number): Promise<Bootstrap> {
  return startDht({ host, port, bootstrap: [] })
}

/** A HyperDHT node that knows nobody; `host` is an IPv4 address under which the others reach it. */
export async function startHyperdhtBootstrap(host: string, port: number): Promise<Bootstrap> {
  return startHyperBootstrap(host, port)
}
