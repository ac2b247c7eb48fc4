// For tests: a whole node of this process, with real children, in a data folder and key of its own, on loopback.
import { randomBytes } from 'node:crypto'
import { overrideNetwork, readConfig } from '../config.ts'
import { createIdentity } from '../create-identity.ts'
import { createNode } from '../create-node.ts'
import type { Node } from '../create-node.ts'
import { openDataFolder } from '../data-folder.ts'
import { hasKeys, loadKeys } from '../keys.ts'

export interface LoopbackDhts {
  readonly dht: string
  readonly hyperdht: string
}

/** Without `dhts` its network must not be started. */
export async function aNodeIn(root: string, dhts?: LoopbackDhts): Promise<Node> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await openDataFolder(root, 'test', Date.now))
  const { paths } = folder
  if (!(await hasKeys(paths.keys)))
    await createIdentity(paths, { clock: Date.now, random: (length) => new Uint8Array(randomBytes(length)) })
  const bootstraps = dhts && { bootstrapDht: [dhts.dht], bootstrapHyperdht: [dhts.hyperdht], host: '127.0.0.1' }
  const config = overrideNetwork(await readConfig(paths.config), bootstraps ?? {})
  const keys = await loadKeys(paths.keys, undefined)
  const node = stack.use(await createNode({ paths, config, keys, clock: Date.now, log: () => {} }))
  const held = stack.move()
  return { ...node, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() }
}
