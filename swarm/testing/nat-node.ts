// One host of the two-NATs test. Roles: `public BOOTSTRAP? HOST...` (HyperDHT nodes of the public network), `seed ORDER`, `fetch ORDER`.
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startSwarm } from '../index.ts'
import type { Address } from '../index.ts'
import { startFirstHyperNode, startLastingHyperNode } from '../network-child/hyper-node.ts'
import { aReleaseOnDisk } from './release-on-disk.ts'

export interface NatOrder {
  readonly host: string
  readonly bootstrap: Address
  readonly folder: string
  readonly bytes: number
}

const PUBLIC_PORT = 49_737
const topic = new Uint8Array(createHash('sha256').update('two homes').digest())
const tell = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
const [role = '', ...words] = process.argv.slice(2)

if (role === 'public') await runPublicNodes(words)
else await runHome(role, JSON.parse(words[0] ?? '') as NatOrder)

async function runPublicNodes([bootstrap = '', ...hosts]: readonly string[]): Promise<void> {
  const first = bootstrap === '' ? await startFirstHyperNode(hosts.shift() ?? '', PUBLIC_PORT) : undefined
  const address = first?.address ?? { host: bootstrap, port: PUBLIC_PORT }
  for (const host of hosts) await startLastingHyperNode(host, address)
  tell({ ready: true })
  setInterval(() => {}, 60_000)
}

async function runHome(task: string, order: NatOrder): Promise<void> {
  const release = await aReleaseOnDisk(join(order.folder, task), { bytes: order.bytes })
  const swarm = startSwarm({
    host: order.host,
    ports: { tcp: 0, dht: 0, hyperdht: 0 },
    bootstraps: { hyperdht: [order.bootstrap] },
    switches: { tcp: false, noise: true, bep5: false, bep44: false, exchange: true },
    limits: {},
    random: (length) => new Uint8Array(randomBytes(length)),
    onState: () => {},
  })
  const { infohash } = release.torrent
  const exchange = swarm.exchange!
  const keys = Promise.withResolvers<Uint8Array>()
  // Whoever is met is told where the release is served.
  exchange.onPeer(async (peer) => {
    if (task === 'seed') await peer.send(await exchange.transferKey)
    else for await (const frame of peer.frames) keys.resolve(frame)
  })
  if (task === 'seed') await swarm.seed(infohash, { metainfo: release.torrent.metainfo, paths: release.paths })
  await exchange.join(topic)
  if (task === 'seed') {
    tell({ ready: true })
    return
  }
  const startedAt = performance.now()
  let metAt = startedAt
  const verified = await swarm.fetchRelease({
    ref: { releaseId: release.signed.releaseId, infohash },
    folder: join(order.folder, 'staging'),
    checkModel: async () => {},
    async *findSeeders() {
      yield await keys.promise
      metAt = performance.now()
    },
    patienceMs: 60_000,
    signal: AbortSignal.timeout(90_000),
    clock: () => performance.now(),
    onEvent: () => {},
  })
  const secondsToMeet = (metAt - startedAt) / 1_000
  const seconds = (performance.now() - metAt) / 1_000
  tell({ done: true, kinds: verified.peers.map(({ kind }) => kind), secondsToMeet, seconds })
  await swarm[Symbol.asyncDispose]()
}
