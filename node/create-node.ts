// The composition root: the only place where the parts of a node meet.
import { randomBytes } from 'node:crypto'
import { createComposer, createEngine } from '../assembler/index.ts'
import type { Bake, Composer, Engine } from '../assembler/index.ts'
import { bakeAdapters, inspectBase } from '../model-files/index.ts'
import { toHex } from '../protocol/index.ts'
import { Registry, systemClock } from '../registry/index.ts'
import { createNgramEmbedder, createTransformersEmbedder, rememberingEmbedder } from '../resolver/index.ts'
import type { Embedder } from '../resolver/index.ts'
import { openBaseStore } from './base-store.ts'
import type { BaseStore } from './base-store.ts'
import type { Config } from './config.ts'
import type { DataPaths } from './data-folder.ts'
import type { NodeKeys } from './keys.ts'
import { gapDesk } from './post-gap.ts'
import type { GapDesk } from './post-gap.ts'
import { personaStore } from './persona-store.ts'
import type { PersonaStore } from './persona-store.ts'
import { openReleaseStore } from './release-store.ts'
import type { ReleaseStore } from './release-store.ts'
import { readVersion } from './version.ts'

export interface NodeOptions {
  readonly paths: DataPaths
  readonly config: Config
  readonly keys: NodeKeys
  readonly clock: () => number
  /** What the node wants to tell its user, a line at a time; allow-listed facts only, no prompts, tokens or keys. */
  readonly log: (line: string) => void
}

/** The parts of a running node. Operations in the files beside this one take the node and use what they need. */
export interface Node extends AsyncDisposable {
  readonly options: NodeOptions
  readonly bases: BaseStore
  readonly personas: PersonaStore
  readonly releases: ReleaseStore
  readonly registry: Registry
  readonly gaps: GapDesk
  readonly embedder: Embedder
  readonly engine: Engine
  readonly composer: Composer
}

export async function createNode(options: NodeOptions): Promise<Node> {
  const { paths, config, keys, clock, log } = options
  await using stack = new AsyncDisposableStack()
  const bases = await openBaseStore(paths.bases)
  const releases = await openReleaseStore(paths, log)
  const engine = stack.use(createEngine(config.engine.threads === undefined ? {} : { threads: config.engine.threads }))
  const embedder = stack.use(rememberingEmbedder(chosenEmbedder(config)))
  const registry = stack.use(
    new Registry({
      path: paths.registry,
      author: keys.author,
      clock: { ...systemClock, now: clock },
      random: (length) => new Uint8Array(randomBytes(length)),
      agent: `lora-mesh ${readVersion()}`,
    }),
  )
  const held = stack.move()
  return {
    options,
    bases,
    personas: personaStore(paths.personas),
    releases,
    registry,
    gaps: gapDesk(registry),
    embedder,
    engine,
    composer: createComposer({ bake, cacheFolder: paths.cache }),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}

function chosenEmbedder({ resolver }: Config): Embedder {
  if (resolver.embedder === 'built-in') return createNgramEmbedder()
  const { modelFolder, model } = resolver
  return createTransformersEmbedder({ model: modelFolder === undefined ? { hub: model } : { folder: modelFolder } })
}

const bake: Bake = async ({ base, adapters, dtype, out, signal }) => {
  const baked = await bakeAdapters({ base: await inspectBase(base, { signal }), adapters, dtype, out, signal })
  return { sha256: toHex(baked.sha256), rank: baked.rank, bytes: baked.bytes }
}
