// The node behind a command. There is one path: a command is a client of the node's HTTP API. A running daemon answers it; without one
// the same node is started in this process for the command's life.
import { setTimeout as wait } from 'node:timers/promises'
import { isMeshError } from '../../protocol/index.ts'
import type { MeshError } from '../../protocol/index.ts'
import { readConfig } from '../config.ts'
import { openDataFolder, dataPaths, readToken } from '../data-folder.ts'
import { holderOf } from '../folder-lock.ts'
import { httpClient } from '../http/index.ts'
import type { HttpClient } from '../http/index.ts'
import { loadKeys, readIdentity } from '../keys.ts'
import { errorCode } from '../private-file.ts'
import { startNode } from '../start-node.ts'

/** How long a daemon may take from its lock to its address, or a finishing command to leave. */
const HANDOVER_MS = 20_000
const POLL_MS = 50

export interface Connection extends AsyncDisposable {
  readonly client: HttpClient
}

/** Whose node answers: this command's own, a daemon's, or another command's, which leaves when that command is done. */
interface Answering extends Connection {
  readonly of: 'own' | 'daemon' | 'command'
}

export interface ConnectOptions {
  readonly root: string
  /** For whoever finds the folder locked. */
  readonly command: string
  readonly passphrase: string | undefined
  readonly signal: AbortSignal
  readonly clock: () => number
  readonly log: (line: string) => void
}

/** Throws `not-initialised` before anything is created. */
export async function connectNode(options: ConnectOptions): Promise<Connection> {
  await readIdentity(dataPaths(options.root).keys)
  let now = await connect(options)
  const call: HttpClient['call'] = async (...words) => {
    for (;;) {
      try {
        return await now.client.call(...words)
      } catch (error) {
        if (!wasNotBegun(error, now)) throw error
        now = await connect(options)
      }
    }
  }
  return {
    client: {
      get url() {
        return now.client.url
      },
      call,
    },
    [Symbol.asyncDispose]: () => now[Symbol.asyncDispose](),
  }
}

/** A node that left between two calls: the next holder of the folder is asked instead. What was begun is never made twice. */
function wasNotBegun(error: unknown, { of }: Answering): boolean {
  if (of === 'own') return false
  if (isMeshError(error, 'stopping')) return error.details['begun'] === false
  if (!isMeshError(error, 'not-reachable') || error.details['answered'] !== false) return false
  // A command's node ends all calls before it hangs up; a daemon may have been killed in the middle of one.
  return of === 'command' || errorCode(error.cause) === 'ECONNREFUSED'
}

async function connect(options: ConnectOptions): Promise<Answering> {
  const deadline = performance.now() + HANDOVER_MS
  for (;;) {
    const connection = await tryConnect(options, performance.now() > deadline)
    if (connection !== undefined) return connection
    await wait(POLL_MS, undefined, { signal: options.signal }).catch(() => options.signal.throwIfAborted())
  }
}

async function tryConnect(options: ConnectOptions, last: boolean): Promise<Answering | undefined> {
  try {
    return await startForCommand(options)
  } catch (error) {
    if (!isMeshError(error, 'data-folder-in-use')) throw error
    const client = await daemonClient(options, error)
    if (client !== undefined) {
      const of = holderOf(error)?.command === 'up' ? 'daemon' : 'command'
      return { client, of, async [Symbol.asyncDispose]() {} }
    }
    if (last) throw error
    return undefined
  }
}

async function startForCommand({ root, command, passphrase, clock, log }: ConnectOptions): Promise<Answering> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await openDataFolder(root, command, clock))
  const config = await readConfig(folder.paths.config)
  const keys = await loadKeys(folder.paths.keys, passphrase)
  // Any free port: the preferred one is the daemon's.
  const node = stack.use(await startNode({ folder, config, keys, clock, log, daemon: false }))
  const held = stack.move()
  return {
    client: httpClient(node.url, folder.token),
    of: 'own',
    async [Symbol.asyncDispose]() {
      // Another command may have found this node and still be at work in it.
      await node.drain()
      await held[Symbol.asyncDispose]()
    },
  }
}

/** Undefined while the holder is starting or leaving. */
async function daemonClient({ root, signal }: ConnectOptions, error: MeshError): Promise<HttpClient | undefined> {
  const url = holderOf(error)?.url
  const token = url === undefined ? undefined : await readToken(root)
  if (url === undefined || token === undefined) return undefined
  const client = httpClient(url, token)
  try {
    await client.call('GET', '/v1/status', {}, { signal })
    return client
  } catch (failure) {
    if (isMeshError(failure, 'not-reachable') || isMeshError(failure, 'stopping')) return undefined
    throw failure
  }
}
