// One release from peers into the store: fetched, checked at the door, put in its place, served onward from there.
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Engine } from '../assembler/index.ts'
import { isMeshError, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { Registry } from '../registry/index.ts'
import type { FetchReleaseEvent, PeerTraffic, VerifiedRelease } from '../swarm/index.ts'
import type { BaseStore, KnownBase } from './base-store.ts'
import { checkModel } from './check-model.ts'
import type { FetchSource } from './fetch-releases.ts'
import type { CallContext } from './http/index.ts'
import type { Network } from './network.ts'
import { moveSynced } from './private-file.ts'
import { rememberProbed, requireBase } from './probe-releases.ts'
import type { HeldRelease, ReleaseStore } from './release-store.ts'
import { unlessAborted } from './wait-for.ts'

const PATIENCE_MS = 30_000

export interface WantedRelease {
  /** 32 bytes. */
  readonly releaseId: Uint8Array
  /** 20 bytes. */
  readonly infohash: Uint8Array
  /** For people. */
  readonly label: string
  /** Whether it is the release that is meant, where more than its id is known. Throws what is wrong. */
  check?(manifest: Manifest): void
}

export interface FetchedRelease {
  readonly release: HeldRelease
  readonly sources: readonly FetchSource[]
}

export interface ReleaseFetcher {
  /** `base`: what it is wanted for; undefined: only to be passed on. Throws what the door throws, `no-seeder`, `aborted`. */
  fetch(wanted: WantedRelease, base: KnownBase | undefined, context: CallContext): Promise<FetchedRelease>
}

export interface FetcherParts {
  readonly staging: string
  readonly log: (line: string) => void
  readonly network: Network
  readonly registry: Registry
  readonly releases: ReleaseStore
  readonly bases: BaseStore
  readonly engine: Engine
}

export function releaseFetcher(parts: FetcherParts): ReleaseFetcher {
  const underWay = new Map<string, Promise<FetchedRelease>>()
  const fetch: ReleaseFetcher['fetch'] = async (wanted, base, context) => {
    const id = toHex(wanted.releaseId)
    const other = underWay.get(id)
    if (other === undefined) {
      const work = fetchOne(parts, wanted, base, context).finally(() => underWay.delete(id))
      underWay.set(id, work)
      return work
    }
    // Whoever began may give up; that is no reason for the others to.
    const shared = await unlessAborted(other, context.signal).catch((error: unknown) => {
      if (!isMeshError(error, 'aborted') || context.signal.aborted) throw error
      return undefined
    })
    return shared ?? fetch(wanted, base, context)
  }
  return { fetch }
}

async function fetchOne(
  parts: FetcherParts,
  wanted: WantedRelease,
  base: KnownBase | undefined,
  { signal, emit }: CallContext,
): Promise<FetchedRelease> {
  const swarm = await parts.network.start()
  const { releaseId, infohash, label } = wanted
  const folder = join(parts.staging, toHex(infohash))
  let probedOn: KnownBase | undefined
  const verified = await swarm.fetchRelease({
    ref: { releaseId, infohash },
    folder,
    checkManifest(manifest) {
      wanted.check?.(manifest)
      if (base !== undefined) requireBase(manifest, base)
    },
    checkModel: async (path, manifest, checking) => {
      probedOn = await checkModel({ ...parts, wantedFor: base }, path, manifest, checking)
    },
    findSeeders: (sought, searching) => transferKeys(parts.registry, sought, searching),
    patienceMs: PATIENCE_MS,
    signal,
    clock: () => performance.now(),
    onEvent: (event) => tell(event, label, emit, parts.log),
  })
  const release = await putInPlace(parts.releases, verified).catch(async (error: unknown) => {
    // Not to be served from a staging folder, and to be fetched again when there is room.
    await swarm.drop(infohash).catch(() => {})
    throw error
  })
  if (probedOn !== undefined) await rememberProbed(dirname(release.paths.manifest), probedOn)
  await swarm.seed(infohash, { metainfo: release.metainfo, paths: release.paths })
  await rm(folder, { recursive: true, force: true })
  emit({ type: 'verified', release: label, releaseId: release.id })
  return { release, sources: sourcesOf(verified.peers) }
}

/** Who sent something: one entry per peer, though some are connected over TCP and a Noise stream at once. */
function sourcesOf(peers: readonly PeerTraffic[]): FetchSource[] {
  const senders = peers.filter(({ receivedBytes }) => receivedBytes > 0)
  return [...Map.groupBy(senders, ({ client }) => client).values()].map((wires) => {
    const [{ client, id, kind }] = wires.toSorted((a, b) => b.receivedBytes - a.receivedBytes) as [PeerTraffic]
    return { client, peer: id, kind, bytes: wires.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0) }
  })
}

async function putInPlace(releases: ReleaseStore, { signed, metainfo, files }: VerifiedRelease): Promise<HeldRelease> {
  const place = releases.adapterPath(toHex(signed.manifest.adapter.sha256))
  await moveSynced(files.adapter, place)
  return releases.keep(signed, metainfo)
}

async function* transferKeys(registry: Registry, infohash: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for await (const { transferKey } of registry.askSeeds([infohash], signal)) yield transferKey
}

function tell(event: FetchReleaseEvent, label: string, emit: CallContext['emit'], log: (line: string) => void): void {
  if (event.kind === 'progress') {
    const { bytes, totalBytes, peers } = event.progress
    if (totalBytes > 0) emit({ type: 'progress', label, doneBytes: bytes, totalBytes, peers: sourcesOf(peers).length })
  } else if (event.kind === 'verifying') emit({ type: 'verifying', release: label })
  else {
    const line = `${event.peer.kind} peer ${event.peer.id} sent bad bytes of ${label}${event.banned ? ' and is banned' : ''}.`
    log(line)
    emit({ type: 'note', text: line })
  }
}
