// For tests: what of a node works without processes and network, in a data folder of its own.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { randomBase } from '../../model-files/index.ts'
import { identityToText } from '../../protocol/index.ts'
import type { Author } from '../../protocol/index.ts'
import { openRegistry, systemClock } from '../../registry/index.ts'
import type { ExchangeNetwork, Registry } from '../../registry/index.ts'
import { createNgramEmbedder } from '../../resolver/index.ts'
import { anAuthor, someTimeMs } from '../../testing/objects.ts'
import { openBaseStore } from '../base-store.ts'
import { parseConfig } from '../config.ts'
import type { Node } from '../create-node.ts'
import { personaStore } from '../persona-store.ts'
import { openReleaseStore } from '../release-store.ts'
import { openReputation } from '../reputation/index.ts'
import { emptyDataFolder } from './held-release.ts'
import { temporaryFolder } from './temporary-folder.ts'

export type NodeParts = Pick<
  Node,
  'bases' | 'personas' | 'releases' | 'registry' | 'embedder' | 'options' | 'reputation'
> &
  AsyncDisposable

export interface PartsOptions {
  readonly author?: Author
  readonly network?: ExchangeNetwork
}

export async function nodeParts({ author = anAuthor(), network }: PartsOptions = {}): Promise<NodeParts> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await temporaryFolder())
  const paths = await emptyDataFolder(path)
  const registry = stack.use(aRegistry(author, network))
  const bases = await openBaseStore(paths.bases)
  const releases = await openReleaseStore(paths, () => {})
  const clock = (): number => someTimeMs
  const self = author.identity
  const reputation = stack.use(await openReputation({ path: paths.reputation, registry, self, clock, log: () => {} }))
  const unused = new Uint8Array()
  const devicesItem = { publicKey: author.identity, seq: 0, salt: unused, value: unused, signature: unused }
  const held = stack.move()
  return {
    options: {
      paths,
      config: parseConfig(undefined, paths.config),
      keys: { author, identity: identityToText(author.identity), devicesItem },
      clock,
      log: () => {},
    },
    bases,
    releases,
    registry,
    personas: personaStore(paths.personas, () => {}),
    embedder: createNgramEmbedder(),
    reputation,
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}

export function aRegistry(author: Author, network?: ExchangeNetwork): Registry {
  return openRegistry({
    path: ':memory:',
    author,
    clock: systemClock,
    random: (length) => new Uint8Array(randomBytes(length)),
    ...(network === undefined ? {} : { network }),
  })
}

/** A base file beside the data, known under `label`. */
export async function addBase({ bases, options }: NodeParts, name = 'tiny llama') {
  const path = join(options.paths.root, `${name.replaceAll(' ', '-')}.gguf`)
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32, name }, path)
  return bases.add(path, {})
}
