// What a user may set for a node in `config.json`. Every key has a default; an unknown key or a wrong type is refused with its path,
// because a setting that is silently ignored is worse than none.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { MeshError } from '../protocol/index.ts'
import { errorCode } from './private-file.ts'

const port = z.int().min(0).max(65_535)
const endpoint = z
  .string()
  .refine(
    (text) => splitEndpoint(text) !== undefined,
    'must be HOST:PORT, such as 192.0.2.7:6881 or [2001:db8::7]:6881',
  )
/** Bytes per second; 0 means no limit. */
const rate = z.int().min(0)

const networkSchema = z.strictObject({
  /** BitTorrent DHT nodes to start from, HOST:PORT. Absent: the well-known public ones. */
  bootstrapDht: z.array(endpoint).max(32).optional(),
  /** Hyperswarm DHT nodes to start from, HOST:PORT. Absent: the well-known public ones. */
  bootstrapHyperdht: z.array(endpoint).max(32).optional(),
  /** Address to listen on. Absent: 127.0.0.1 if all bootstrap nodes are on it, else all addresses. */
  host: z.ipv4().optional(),
  /** TCP port for plain BitTorrent peers, 0: any free one. */
  torrentPort: port.default(0),
  /** UDP port of the BitTorrent DHT, 0: any free one. */
  dhtPort: port.default(0),
  /** UDP port of Hyperswarm, 0: any free one. */
  hyperdhtPort: port.default(0),
  uploadBytesPerSecond: rate.default(0),
  downloadBytesPerSecond: rate.default(0),
  // One switch per way of finding and moving, so that each can be proved to work alone.
  exchange: z.boolean().default(true),
  bep5: z.boolean().default(true),
  bep44: z.boolean().default(true),
  tcp: z.boolean().default(true),
  noise: z.boolean().default(true),
})

const configSchema = z.strictObject({
  api: z.strictObject({ host: z.string().default('127.0.0.1'), port: port.optional() }).prefault({}),
  network: networkSchema.prefault({}),
  /** `measure`: run the community's suite on proposed upgrades while the node is up, and say what came out. */
  governance: z.strictObject({ measure: z.boolean().default(true) }).prefault({}),
  engine: z.strictObject({ threads: z.int().min(1).max(256).optional() }).prefault({}),
  resolver: z
    .strictObject({
      embedder: z.enum(['built-in', 'transformers']).default('built-in'),
      /** Folder of an ONNX embedder in transformers.js's form; only with `transformers`. */
      modelFolder: z.string().optional(),
      model: z.string().default('all-MiniLM-L6-v2'),
    })
    .prefault({}),
})

export type Config = z.infer<typeof configSchema>
export type NetworkConfig = Config['network']

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** Reads config.json, all defaults if there is none. Throws `bad-config` with the file and the path of every wrong key. */
export async function readConfig(path: string): Promise<Config> {
  return parseConfig(await readIfPresent(path), path)
}

export function parseConfig(text: string | undefined, path: string): Config {
  let value: unknown = {}
  if (text !== undefined) {
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw new MeshError(
        'bad-config',
        `${path} is not JSON: correct it, or delete it to have all defaults.`,
        { path },
        { cause: error },
      )
    }
  }
  const parsed = configSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top level)'}: ${issue.message}`)
  throw new MeshError('bad-config', `${path} has wrong settings: ${problems.join('; ')}.`, { path, problems })
}

/** Lays `over` on `config`, key by key: command-line flags beat the file. */
export function overrideNetwork(
  config: Config,
  over: { [K in keyof NetworkConfig]?: NetworkConfig[K] | undefined },
): Config {
  const set = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined))
  return { ...config, network: networkSchema.parse({ ...config.network, ...set }) }
}

/** `host:port` or `[ipv6]:port`; undefined if it is neither. */
export function splitEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const number = Number(match?.[3])
  return host === undefined || !(number >= 1 && number <= 65_535) ? undefined : { host, port: number }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw new MeshError('bad-config', `${path} cannot be read (${errorCode(error)}).`, { path }, { cause: error })
  }
}
