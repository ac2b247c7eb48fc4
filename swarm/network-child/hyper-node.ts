/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are used here so */
// A node of the HyperDHT: exchange and transfer share one, with a key pair of their own each.
import HyperDHT from 'hyperdht'
import { MeshError } from '../../protocol/index.ts'
import type { Address } from './guarded-dht.ts'

export interface HyperNodeOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /** Undefined: the public network's own. */
  readonly bootstrap?: readonly Address[]
}

export interface HyperNode extends AsyncDisposable {
  readonly dht: HyperDHT
  readonly address: Address
}

export async function startHyperNode(options: HyperNodeOptions): Promise<HyperNode> {
  return start(options, {})
}

/**
 * With fewer, nodes can't tell their own address from what others see, and half of their connections stay open at one end only: measured,
 * 2 of 11 work with one node and with two, all from three on.
 */
export const hyperNodesNeeded = 3

/** A node that asks nobody, reachable at `host`: an IPv4 address of this machine that others can reach too. */
export async function startFirstHyperNode(host: string, port: number): Promise<HyperNode> {
  const node = await start({ host, port, bootstrap: [] }, { ephemeral: false, firewalled: false })
  // Nobody tells it where it is; without knowing, it would answer as one that is only passing by.
  node.dht._nat.add(node.address.host, node.address.port)
  await node.dht.fullyBootstrapped()
  return node
}

/** A node that stays, on any port of `host`, for those that come and go. */
export async function startLastingHyperNode(host: string, bootstrap: Address): Promise<HyperNode> {
  const node = await start({ host, port: 0, bootstrap: [bootstrap] }, { ephemeral: false, firewalled: false })
  await node.dht.fullyBootstrapped()
  return node
}

/**
 * Behind a NAT that gives every connection another port, one attempt at a hole takes hundreds of packets from many ports, so the library
 * makes at most one in this time; its own 20 s would make a fetch wait that long, as exchange and transfer need one each.
 */
const randomPunchMs = 5_000

async function start(
  { host, port, bootstrap }: HyperNodeOptions,
  options: Record<string, unknown>,
): Promise<HyperNode> {
  const dht = new HyperDHT({
    host,
    // A range: the library takes a plain 0 for its own default port.
    port: port === 0 ? [0, 0] : [port, port + 1],
    anyPort: port === 0,
    randomPunchInterval: randomPunchMs,
    ...(bootstrap && { bootstrap: bootstrap.map((node) => ({ ...node })) }),
    ...options,
  })
  try {
    await dht.bind()
  } catch (cause) {
    await dht.destroy({ force: true }).catch(() => {})
    throw new MeshError(
      'bad-config',
      `The peer network can't use UDP ${host}:${port}. Choose another host or port.`,
      { host, port },
      { cause },
    )
  }
  return {
    dht,
    address: dht.io.serverSocket.address(),
    [Symbol.asyncDispose]: () => dht.destroy({ force: true }),
  }
}
