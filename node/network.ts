// This node's network: started when first needed, told what to seed, and watched. Commands that need nobody never start it.
import { randomBytes } from 'node:crypto'
import { isIPv4 } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { MeshError } from '../protocol/index.ts'
import { startSwarm } from '../swarm/index.ts'
import type { Address, NetworkStatus, Swarm, SwarmOptions } from '../swarm/index.ts'
import type { NetworkConfig } from './config.ts'
import { splitEndpoint } from './config.ts'
import type { Finding } from './examine.ts'
import type { ReleaseStore } from './release-store.ts'
import { seedHeld } from './seed-held.ts'
import { tellRestarts } from './tell-restarts.ts'

const EXAMINE_PATIENCE_MS = 5_000
const EXAMINE_POLL_MS = 200

export interface Network extends AsyncDisposable {
  /** Undefined before the first `start`. */
  readonly swarm: Swarm | undefined
  /** Starts the network once; the next calls get the same. */
  start(): Promise<Swarm>
  /** Starts it if need be, and says whether anybody was met. */
  examine(signal: AbortSignal): Promise<readonly Finding[]>
}

export interface NetworkParts {
  readonly config: NetworkConfig
  readonly releases: ReleaseStore
  readonly log: (line: string) => void
  /** Called once, when the network runs and before anything is seeded. */
  readonly onStart: (swarm: Swarm) => void
}

export function createNetwork({ config, releases, log, onStart }: NetworkParts): Network {
  let starting: Promise<Swarm> | undefined
  let swarm: Swarm | undefined
  const start = async (): Promise<Swarm> => {
    const started = startSwarm(swarmOptions(config, log))
    swarm = started
    onStart(started)
    for (const release of releases.list()) {
      await seedHeld(started, release).catch((error: unknown) => {
        // One release that can't be served must not keep the others from it.
        log(
          `The release ${release.id.slice(0, 12)} is not served: ${error instanceof Error ? error.message : String(error)}`,
        )
      })
    }
    return started
  }
  return {
    get swarm() {
      return swarm
    },
    start: () => (starting ??= start()),
    async examine(signal) {
      starting ??= start()
      return examineNetwork(await starting, config, signal)
    },
    async [Symbol.asyncDispose]() {
      await swarm?.[Symbol.asyncDispose]()
    },
  }
}

function swarmOptions(config: NetworkConfig, log: (line: string) => void): SwarmOptions {
  const dht = addressesOf(config.bootstrapDht)
  const hyperdht = addressesOf(config.bootstrapHyperdht)
  const { exchange, bep5, bep44, tcp, noise } = config
  return {
    host: config.host ?? reachableHost([...(dht ?? []), ...(hyperdht ?? [])]),
    ports: { tcp: config.torrentPort, dht: config.dhtPort, hyperdht: config.hyperdhtPort },
    bootstraps: { ...(dht && { dht }), ...(hyperdht && { hyperdht }) },
    switches: { exchange, bep5, bep44, tcp, noise },
    limits: {
      ...(config.uploadBytesPerSecond > 0 && { uploadBytesPerSecond: config.uploadBytesPerSecond }),
      ...(config.downloadBytesPerSecond > 0 && { downloadBytesPerSecond: config.downloadBytesPerSecond }),
    },
    random: (length) => new Uint8Array(randomBytes(length)),
    onState: tellRestarts('network', log),
  }
}

/** A mesh whose every known node is on this machine stays on this machine. */
function reachableHost(bootstraps: readonly Address[]): string {
  const allLocal = bootstraps.length > 0 && bootstraps.every(({ host }) => isIPv4(host) && host.startsWith('127.'))
  return allLocal ? '127.0.0.1' : '0.0.0.0'
}

function addressesOf(endpoints: readonly string[] | undefined): Address[] | undefined {
  return endpoints?.map((text) => {
    const endpoint = splitEndpoint(text)
    if (endpoint === undefined) throw new MeshError('bad-config', `${text} is not HOST:PORT.`)
    return endpoint
  })
}

async function examineNetwork(swarm: Swarm, config: NetworkConfig, signal: AbortSignal): Promise<Finding[]> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(EXAMINE_PATIENCE_MS)])
  const wantsDht = config.bep5 || config.bep44
  const lonely = ({ dhtNodes, exchangePeers }: NetworkStatus): boolean =>
    (wantsDht && dhtNodes === 0) || (config.exchange && exchangePeers === 0)
  let status = await swarm.status(signal)
  while (!patience.aborted && lonely(status)) {
    await wait(EXAMINE_POLL_MS, undefined, { signal: patience }).catch(() => {})
    status = await swarm.status(signal)
  }
  const { tcp, dht, hyperdht } = await swarm.addresses
  const ports = Object.entries({ tcp, dht, hyperdht }).flatMap(([name, at]) =>
    at === undefined ? [] : [`${name} ${at.port}`],
  )
  return [
    { check: 'network', state: 'ok', detail: `running, ports ${ports.join(', ')}` },
    met(
      'BitTorrent DHT',
      wantsDht,
      status.dhtNodes,
      'nodes known',
      'No node of the BitTorrent DHT answers: is UDP blocked, or --bootstrap-dht wrong?',
    ),
    ...peerNetwork(status),
    met(
      'exchange',
      config.exchange,
      status.exchangePeers,
      'peers connected',
      'Nobody connected yet on the topics of your communities and releases.',
    ),
  ]
}

function peerNetwork({ hyperdht }: NetworkStatus): Finding[] {
  if (hyperdht === undefined) return []
  const detail = `${hyperdht.nodes} nodes known`
  if (hyperdht.nodes >= hyperdht.needed) return [{ check: 'HyperDHT', state: 'ok', detail }]
  return [
    {
      check: 'HyperDHT',
      state: 'warning',
      detail: `${detail}, at least ${hyperdht.needed} are needed, or connections stay half open: is UDP blocked, or --bootstrap-hyperdht wrong?`,
    },
  ]
}

function met(check: string, wanted: boolean, count: number, what: string, otherwise: string): Finding {
  if (!wanted) return { check, state: 'ok', detail: 'switched off' }
  return count > 0 ? { check, state: 'ok', detail: `${count} ${what}` } : { check, state: 'warning', detail: otherwise }
}
