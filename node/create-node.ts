// The composition root: the only place where the parts of a node meet.
import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { createComposer, createEngine } from '../assembler/index.ts'
import type { Bake, Composer, Engine } from '../assembler/index.ts'
import { bakeAdapters, inspectBase } from '../model-files/index.ts'
import { toHex } from '../protocol/index.ts'
import { openRegistry, systemClock } from '../registry/index.ts'
import type { Registry } from '../registry/index.ts'
import { createNgramEmbedder, createTransformersEmbedder, rememberingEmbedder } from '../resolver/index.ts'
import type { Embedder } from '../resolver/index.ts'
import type { Swarm } from '../swarm/index.ts'
import { openBaseStore } from './base-store.ts'
import type { BaseStore } from './base-store.ts'
import type { Config } from './config.ts'
import type { DataPaths } from './data-folder.ts'
import { gatedExchange } from './gated-exchange.ts'
import { keepPointers } from './keep-pointers.ts'
import type { NodeKeys } from './keys.ts'
import { createNetwork } from './network.ts'
import type { Network } from './network.ts'
import { newsOf } from './news.ts'
import type { News } from './news.ts'
import { gapDesk } from './post-gap.ts'
import type { GapDesk } from './post-gap.ts'
import { personaStore } from './persona-store.ts'
import type { PersonaStore } from './persona-store.ts'
import { removeLeftPublications } from './publish-release.ts'
import { releaseFetcher } from './release-fetcher.ts'
import type { ReleaseFetcher } from './release-fetcher.ts'
import { openReleaseStore } from './release-store.ts'
import type { ReleaseStore } from './release-store.ts'
import { openReputation } from './reputation/index.ts'
import type { Reputation } from './reputation/index.ts'
import { tellRestarts } from './tell-restarts.ts'
import { readVersion } from './version.ts'

export interface NodeOptions {
  readonly paths: DataPaths
  readonly config: Config
  readonly keys: NodeKeys
  readonly clock: () => number
  /** Signs without asking a peer first how long this node's log is elsewhere. */
  readonly offline?: boolean
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
  readonly news: News
  readonly embedder: Embedder
  readonly engine: Engine
  readonly composer: Composer
  readonly network: Network
  readonly fetcher: ReleaseFetcher
  readonly reputation: Reputation
}

/** Opens everything that lies on the disk. No process and no connection is started before something needs it. */
export async function createNode(options: NodeOptions): Promise<Node> {
  const { paths, config, keys, clock, log, offline = false } = options
  await using stack = new AsyncDisposableStack()
  await removeLeftPublications(paths.staging)
  const bases = await openBaseStore(paths.bases)
  const releases = await openReleaseStore(paths, log, (lost) => {
    for (const { infohash } of [lost, ...lost.patches]) void network.swarm?.drop(infohash).catch(() => {})
  })
  const { threads } = config.engine
  const onState = tellRestarts('engine', log)
  const engine = stack.use(createEngine({ onState, ...(threads === undefined ? {} : { threads }) }))
  const embedder = stack.use(rememberingEmbedder(chosenEmbedder(config)))
  const exchange = config.network.exchange ? gatedExchange() : undefined
  const network = stack.use(
    createNetwork({ config: config.network, releases, log, onStart: (swarm) => onNetwork(swarm) }),
  )
  const registry = stack.use(
    openRegistry({
      path: paths.registry,
      author: keys.author,
      clock: { ...systemClock, now: clock },
      random: (length) => new Uint8Array(randomBytes(length)),
      agent: `lora-mesh ${readVersion()}`,
      offline,
      identityMayBeOlder: !(await isNewIdentity(paths.newIdentity, keys.identity)),
      servesTorrent: (infohash) => network.swarm?.serves(infohash) === true,
      ...(exchange && { network: exchange }),
    }),
  )
  await rm(paths.newIdentity, { force: true })
  // Closed before the registry: whoever waits at it must not keep the registry from closing.
  if (exchange !== undefined) stack.use(exchange)
  const news = stack.use(newsOf(registry))
  const self = keys.author.identity
  const reputation = stack.use(await openReputation({ path: paths.reputation, registry, self, clock, log }))
  const pointers = stack.use(new AsyncDisposableStack())
  const onNetwork = (swarm: Swarm): void => {
    if (swarm.exchange !== undefined) exchange?.open(swarm.exchange)
    if (config.network.bep44) pointers.use(keepPointers({ keys, registry, releases, clock }, swarm))
    registry
      .start()
      .catch((error: unknown) => log(`Peers cannot be met: ${error instanceof Error ? error.message : String(error)}`))
  }
  const patchesTo = (releaseId: Uint8Array) => registry.patchesTo(releaseId)
  const fetcher = releaseFetcher({
    staging: paths.staging,
    log,
    network,
    registry,
    releases,
    bases,
    engine,
    patchesTo,
    reputation,
  })
  const composer = createComposer({ bake, cacheFolder: paths.cache })
  const held = stack.move()
  return {
    options,
    bases,
    personas: personaStore(paths.personas, log),
    releases,
    registry,
    gaps: gapDesk(registry),
    news,
    embedder,
    engine,
    composer,
    network,
    fetcher,
    reputation,
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

/** Whether `init` made this very identity here, and no registry has been made for it since. */
async function isNewIdentity(path: string, identity: string): Promise<boolean> {
  return (await readFile(path, 'utf8').catch(() => '')) === identity
}
