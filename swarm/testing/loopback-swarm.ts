// Swarms on loopback that find each other through DHTs of their own; each has its network child.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Address, Swarm, SwarmOptions } from '../index.ts'
import { startSwarm } from '../index.ts'
import { startDhtBootstrap, startHyperdhtBootstrap } from '../network-child/bootstrap.ts'

export interface Loopback extends AsyncDisposable {
  readonly folder: string
  /** The first node of its BitTorrent DHT. */
  readonly dht: Address
  /** The first node of its HyperDHT. */
  readonly hyperdht: Address
  swarm(options?: Partial<SwarmOptions>, switches?: Partial<SwarmOptions['switches']>): Swarm
}

export async function startLoopback(): Promise<Loopback> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-swarm-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const dht = stack.use(await startDhtBootstrap('127.0.0.1', 0))
  const hyperdht = stack.use(await startHyperdhtBootstrap('127.0.0.1', 0))
  const swarms = stack.use(new AsyncDisposableStack())
  const held = stack.move()
  return {
    folder,
    dht: dht.address,
    hyperdht: hyperdht.address,
    swarm: (options = {}, switches = {}) =>
      swarms.use(
        startSwarm({
          host: '127.0.0.1',
          ports: { tcp: 0, dht: 0, hyperdht: 0 },
          bootstraps: { dht: [dht.address], hyperdht: [hyperdht.address] },
          switches: { tcp: true, noise: true, bep5: true, bep44: true, exchange: true, ...switches },
          limits: {},
          random: (length) => new Uint8Array(randomBytes(length)),
          onState: () => {},
          ...options,
        }),
      ),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}
