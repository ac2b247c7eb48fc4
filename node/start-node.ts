// A node with its HTTP API on: what `up` runs until it is stopped, and what other commands start for their own life.
import { routes } from './api/index.ts'
import type { Config } from './config.ts'
import { createNode } from './create-node.ts'
import type { Node } from './create-node.ts'
import type { DataFolder } from './data-folder.ts'
import { serveHttp } from './http/index.ts'
import type { HttpServer } from './http/index.ts'
import { keepMeasuring } from './evidence/keep-measuring.ts'
import { keepPersonasAfloat } from './keep-personas-afloat.ts'
import type { NodeKeys } from './keys.ts'
import { keepSharing } from './persona-links/index.ts'
import { isMeshError } from '../protocol/index.ts'

/** Where the daemon listens if it is free and nobody said otherwise, so that its address can be remembered. */
const PREFERRED_PORT = 4_747

export interface StartOptions {
  readonly folder: DataFolder
  readonly config: Config
  readonly keys: NodeKeys
  readonly clock: () => number
  readonly log: (line: string) => void
  readonly offline?: boolean
  /** Stays until it is stopped: joins the network at once and listens on a port that can be remembered. */
  readonly daemon: boolean
}

export interface RunningNode extends AsyncDisposable {
  readonly node: Node
  readonly url: string
  readonly port: number
  /** Refuses new calls and waits for those of others to end. */
  drain(): Promise<void>
}

export async function startNode(options: StartOptions): Promise<RunningNode> {
  const { folder, config, keys, clock, log, daemon, offline = false } = options
  await using stack = new AsyncDisposableStack()
  const node = stack.use(await createNode({ paths: folder.paths, config, keys, clock, log, offline }))
  const server = stack.use(await serve(options, node))
  if (daemon) {
    await node.network.start()
    await keepSharing(node)
    stack.use(keepPersonasAfloat(node))
    if (config.governance.measure) stack.use(keepMeasuring(node))
  }
  await folder.lock.announce(server.url)
  const held = stack.move()
  return {
    node,
    url: server.url,
    port: server.port,
    drain: () => server.drain(),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}

async function serve({ folder, config, clock, log, daemon }: StartOptions, node: Node): Promise<HttpServer> {
  const on = (chosen: number): Promise<HttpServer> =>
    serveHttp({
      routes,
      node,
      token: folder.token,
      host: config.api.host,
      port: chosen,
      clock,
      onBug: (error) => log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    })
  if (!daemon) return on(0)
  if (config.api.port !== undefined) return on(config.api.port)
  try {
    return await on(PREFERRED_PORT)
  } catch (error) {
    if (isMeshError(error, 'bad-config') && error.details['reason'] === 'EADDRINUSE') return on(0)
    throw error
  }
}
