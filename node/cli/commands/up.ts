import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import { MeshError } from '../../../protocol/index.ts'
import { overrideNetwork, readConfig, splitEndpoint } from '../../config.ts'
import type { Config } from '../../config.ts'
import { dataPaths, openDataFolder } from '../../data-folder.ts'
import { jsonText } from '../../json-text.ts'
import { loadKeys, passphraseFrom, readIdentity } from '../../keys.ts'
import type { RunningNode } from '../../start-node.ts'
import { command } from '../command.ts'
import type { OptionSpec, OptionValues } from '../command.ts'

const NETWORK_PATIENCE_MS = 15_000

const switchOff = (what: string) => ({ type: 'boolean', hidden: true, summary: `Without ${what}` }) as const

const options = {
  host: { type: 'string', value: 'H', summary: 'Loopback address of the HTTP API (default 127.0.0.1)' },
  port: {
    type: 'string',
    value: 'N',
    summary: 'Port of the HTTP API (default 4747, or any free one if that is taken)',
  },
  'bootstrap-dht': { type: 'string', multiple: true, value: 'H:P', summary: 'BitTorrent DHT node to start from' },
  'bootstrap-hyperdht': { type: 'string', multiple: true, value: 'H:P', summary: 'Hyperswarm DHT node to start from' },
  'torrent-port': { type: 'string', value: 'N', summary: 'TCP port for BitTorrent peers (default: any free one)' },
  'network-host': { type: 'string', value: 'IP', summary: 'Address the network listens on (default: all)' },
  'dht-port': { type: 'string', value: 'N', summary: 'UDP port of the BitTorrent DHT (default: any free one)' },
  'upload-limit': { type: 'string', value: 'BYTES', summary: 'Most bytes sent per second (default: no limit)' },
  'download-limit': { type: 'string', value: 'BYTES', summary: 'Most bytes received per second (default: no limit)' },
  offline: {
    type: 'boolean',
    summary:
      'Sign at once what you do, without first asking a peer for the length of your log (after restoring a backup: never)',
  },
  'no-exchange': switchOff('the exchange of logs'),
  'no-bep5': switchOff('peers from the BitTorrent DHT'),
  'no-bep44': switchOff('pointers in the BitTorrent DHT'),
  'no-tcp': switchOff('BitTorrent over plain TCP'),
  'no-noise': switchOff('BitTorrent over encrypted streams'),
} as const satisfies Record<string, OptionSpec>

export const upCommand = command({
  name: 'up',
  summary: 'Run the node until Ctrl-C: find, seed, and answer other commands',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options,
  examples: [
    'lora-mesh up',
    'lora-mesh up --port 4800 --upload-limit 1000000',
    'lora-mesh up --bootstrap-dht 192.0.2.7:6881 --bootstrap-hyperdht 192.0.2.7:49737',
  ],
  async run({ options: given, dataRoot, terminal, signal }) {
    const flags = parseFlags(given)
    const { keys: keyFolder } = dataPaths(dataRoot)
    await readIdentity(keyFolder)
    await using folder = await openDataFolder(dataRoot, 'up', Date.now)
    const config = withFlags(await readConfig(folder.paths.config), flags)
    const keys = await loadKeys(keyFolder, passphraseFrom(process.env))
    const { startNode } = await import('../../start-node.ts')
    const { offline } = given
    if (offline)
      terminal.say(
        'Signing without asking a peer first. If this data folder was restored from a backup, stop: its log would fork.',
      )
    const how = { clock: Date.now, log: terminal.say, daemon: true, offline }
    await using running = await startNode({ folder, config, keys, ...how })
    const ports = { api: running.port, ...(await networkPorts(running)) }
    const ready = { ready: true, url: running.url, identity: keys.identity, pid: process.pid, ports }
    if (terminal.json) terminal.print(jsonText(ready))
    else terminal.print(`${keys.identity}\nThe node answers at ${running.url}. Ctrl-C stops it.`)
    if (!signal.aborted) await once(signal, 'abort')
    return undefined
  },
})

/** Absent for what is switched off, and all of it if the network does not come up soon: the node works without. */
async function networkPorts({ node }: RunningNode): Promise<Record<string, number>> {
  const patience = AbortSignal.timeout(NETWORK_PATIENCE_MS)
  const over = once(patience, 'abort').then(() => undefined)
  const addresses = await Promise.race([node.network.swarm?.addresses, over])
  const { tcp, dht, hyperdht } = addresses ?? {}
  return {
    ...(tcp === undefined ? {} : { torrent: tcp.port }),
    ...(dht === undefined ? {} : { dht: dht.port }),
    ...(hyperdht === undefined ? {} : { hyperdht: hyperdht.port }),
  }
}

type Flags = ReturnType<typeof parseFlags>

/** Throws `usage`. */
function parseFlags(given: OptionValues<typeof options>) {
  const network = {
    bootstrapDht: endpoints('bootstrap-dht', given['bootstrap-dht']),
    bootstrapHyperdht: endpoints('bootstrap-hyperdht', given['bootstrap-hyperdht']),
    host: ipv4('network-host', given['network-host']),
    torrentPort: wholeNumber('torrent-port', given['torrent-port'], 65_535),
    dhtPort: wholeNumber('dht-port', given['dht-port'], 65_535),
    uploadBytesPerSecond: wholeNumber('upload-limit', given['upload-limit'], Number.MAX_SAFE_INTEGER),
    downloadBytesPerSecond: wholeNumber('download-limit', given['download-limit'], Number.MAX_SAFE_INTEGER),
    exchange: given['no-exchange'] ? false : undefined,
    bep5: given['no-bep5'] ? false : undefined,
    bep44: given['no-bep44'] ? false : undefined,
    tcp: given['no-tcp'] ? false : undefined,
    noise: given['no-noise'] ? false : undefined,
  }
  return { network, host: given.host, port: wholeNumber('port', given.port, 65_535) }
}

/** Flags beat the file. */
function withFlags(config: Config, { network, host, port }: Flags): Config {
  return {
    ...overrideNetwork(config, network),
    api: { ...config.api, ...(host !== undefined && { host }), ...(port !== undefined && { port }) },
  }
}

function endpoints(option: string, values: readonly string[]): string[] | undefined {
  for (const value of values) {
    if (splitEndpoint(value) === undefined) {
      throw new MeshError(
        'usage',
        `--${option} ${value}: write HOST:PORT, such as 192.0.2.7:6881 or [2001:db8::7]:6881.`,
      )
    }
  }
  return values.length === 0 ? undefined : [...values]
}

function ipv4(option: string, text: string | undefined): string | undefined {
  if (text === undefined || isIPv4(text)) return text
  throw new MeshError('usage', `--${option} ${text}: write an IPv4 address.`)
}

function wholeNumber(option: string, text: string | undefined, largest: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value <= largest))
    throw new MeshError('usage', `--${option} ${text}: write a whole number from 0 to ${largest}.`)
  return value
}
