// A process that fetches one release and says how far it is, to be killed by a test. Argument: a `FetchOrder` as JSON.
import { randomBytes } from 'node:crypto'
import { fromHex } from '../../protocol/index.ts'
import { startSwarm } from '../index.ts'
import type { Address } from '../index.ts'

export interface FetchOrder {
  readonly releaseId: string
  readonly infohash: string
  readonly folder: string
  readonly dht: Address
  readonly downloadBytesPerSecond: number
}

export interface FetchReport {
  readonly bytes: number
  readonly resumedBytes: number
  readonly done: boolean
}

async function* nobody(): AsyncIterable<Uint8Array> {}
const tell = (report: FetchReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`)

const order = JSON.parse(process.argv[2] ?? '') as FetchOrder
await using swarm = startSwarm({
  host: '127.0.0.1',
  ports: { tcp: 0, dht: 0, hyperdht: 0 },
  bootstraps: { dht: [order.dht] },
  switches: { tcp: true, noise: false, bep5: true, bep44: false, exchange: false },
  limits: { downloadBytesPerSecond: order.downloadBytesPerSecond },
  random: (length) => new Uint8Array(randomBytes(length)),
  onState: () => {},
})
let last: FetchReport = { bytes: 0, resumedBytes: 0, done: false }
await swarm.fetchRelease({
  ref: { releaseId: fromHex(order.releaseId), infohash: fromHex(order.infohash) },
  folder: order.folder,
  checkModel: async () => {},
  findSeeders: nobody,
  patienceMs: 30_000,
  signal: AbortSignal.timeout(120_000),
  clock: () => performance.now(),
  onEvent: (event) => {
    if (event.kind !== 'progress') return
    last = { bytes: event.progress.bytes, resumedBytes: event.progress.resumedBytes, done: false }
    tell(last)
  },
})
tell({ ...last, done: true })
