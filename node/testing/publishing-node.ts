// For tests: a node that has a base of random numbers and can publish adapters for it, and one on the small world's base.
import { join } from 'node:path'
import { baseFile, worldFolder } from '../../fixtures/world-files.ts'
import { randomAdapter, randomBase } from '../../model-files/index.ts'
import { anAuthor } from '../../testing/objects.ts'
import { parseConfig } from '../config.ts'
import { createNode } from '../create-node.ts'
import type { Node } from '../create-node.ts'
import type { CallContext, OperationEvent } from '../http/index.ts'
import { publishRelease } from '../publish-release.ts'
import type { PublishedRelease } from '../publish-release.ts'
import type { PublishWish } from '../release-wish.ts'
import { emptyDataFolder } from './held-release.ts'

export async function aPublisher(root: string): Promise<Node> {
  const paths = await emptyDataFolder(root)
  const author = anAuthor()
  const devicesItem = {
    publicKey: author.identity,
    seq: 0,
    salt: new Uint8Array(),
    value: new Uint8Array(),
    signature: new Uint8Array(),
  }
  const node = await createNode({
    paths,
    config: parseConfig(undefined, paths.config),
    keys: { author, identity: '', devicesItem },
    clock: () => 0,
    log: () => {},
  })
  const base = join(root, 'base.gguf')
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32 }, base)
  await node.bases.add(base, {})
  return node
}

/** One whose base is the small world's. */
export async function aWorldPublisher(root: string): Promise<Node> {
  const node = await aPublisher(root)
  const { file } = await node.bases.add(join(worldFolder, baseFile), {})
  await node.bases.use(file)
  return node
}

/** An adapter of random numbers for the node's base. */
export async function anAdapterFile(node: Node, root: string, name = 'adapter.gguf', rank = 1): Promise<string> {
  const path = join(root, name)
  await randomAdapter(await node.bases.info(node.bases.current()!), { rank }, path)
  return path
}

export function aContext(onEvent: (event: OperationEvent) => void = () => {}): CallContext {
  return { signal: new AbortController().signal, emit: onEvent }
}

export function aWish(wish: Partial<PublishWish> & Pick<PublishWish, 'path'>): PublishWish {
  return { name: 'x', version: '1.0.0', summary: 'x', licence: 'MIT', capabilities: [], tags: [], scale: 1, ...wish }
}

export function publish(node: Node, wish: Partial<PublishWish> & Pick<PublishWish, 'path'>): Promise<PublishedRelease> {
  return publishRelease(node, aWish(wish), aContext())
}
