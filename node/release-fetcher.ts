// One release from peers into the store: fetched, checked at the door, put in its place, served onward from there.
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Engine } from '../assembler/index.ts'
import { isMeshError, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { Registry } from '../registry/index.ts'
import type { FetchReleaseEvent, FetchReleaseJob, PeerTraffic, Swarm, VerifiedRelease } from '../swarm/index.ts'
import type { BaseStore, KnownBase } from './base-store.ts'
import { checkModel } from './check-model.ts'
import type { FetchSource } from './fetch-releases.ts'
import type { CallContext } from './http/index.ts'
import type { PatchOffer } from './make-patch.ts'
import type { Network } from './network.ts'
import { moveSynced } from './private-file.ts'
import { rememberProbed, requireBase } from './probe-releases.ts'
import type { HeldRelease, ReleaseStore } from './release-store.ts'
import type { Reputation } from './reputation/index.ts'
import { seedHeld } from './seed-held.ts'
import { layOutByPatch, removePatch, removePatchFolder } from './use-patch.ts'
import { unlessAborted } from './wait-for.ts'

const PATIENCE_MS = 30_000

export interface WantedRelease {
  /** 32 bytes. */
  readonly releaseId: Uint8Array
  /** 20 bytes. */
  readonly infohash: Uint8Array
  /** For people. */
  readonly label: string
  /** The signed manifest, where it is known: then a patch may do. */
  readonly sealed?: Uint8Array | undefined
  /** Whether it is the release that is meant, where more than its id is known. Throws what is wrong. */
  check?(manifest: Manifest): void
}

export interface FetchedRelease {
  readonly release: HeldRelease
  readonly sources: readonly FetchSource[]
  /** What was fetched for it: its files, or a patch. */
  readonly bytes: number
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
  /** Patches that the publisher of a release offers towards it. Absent: whole files only. */
  patchesTo?(releaseId: Uint8Array): readonly PatchOffer[]
  /** Says who is connected first, and is told what came of it. */
  readonly reputation: Pick<Reputation, 'inOrder' | 'watchTransfer'>
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
  context: CallContext,
): Promise<FetchedRelease> {
  const { network, releases, staging } = parts
  const swarm = await network.start()
  const { releaseId, infohash, label } = wanted
  const folder = join(staging, toHex(infohash))
  const findSeeders: FindSeeders = (sought, searching) =>
    parts.reputation.inOrder(transferKeys(parts.registry, sought, searching), searching)
  const offers = parts.patchesTo?.(releaseId) ?? []
  const patching = parts.reputation.watchTransfer(() => performance.now())
  const laidOut = await layOutByPatch({ swarm, releases, staging, offers, wanted, folder, findSeeders }, context)
  patching.served(laidOut?.patch.peers ?? [])
  try {
    const job = { swarm, folder, findSeeders, metainfo: laidOut?.metainfo }
    const { verified, probedOn } = await fetchVerified(parts, job, wanted, base, context)
    const release = await putInPlace(releases, verified).catch(async (error: unknown) => {
      // Not to be served from a staging folder, and to be fetched again when there is room.
      await swarm.drop(infohash).catch(() => {})
      throw error
    })
    if (probedOn !== undefined) await rememberProbed(dirname(release.paths.manifest), probedOn)
    if (laidOut !== undefined) await releases.keepPatch(release, laidOut.patch)
    await seedHeld(swarm, releases.get(release.id) ?? release)
    await rm(folder, { recursive: true, force: true })
    if (laidOut !== undefined) await removePatchFolder(staging, laidOut.patch.infohash)
    context.emit({ type: 'verified', release: label, releaseId: release.id })
    // Of a release that was laid out whole nothing is asked of peers, but what a patch did not bring would be.
    const peers = [...verified.peers, ...(laidOut?.patch.peers ?? [])]
    return { release, sources: sourcesOf(peers), bytes: laidOut?.patch.bytes ?? sizeOf(release) }
  } catch (error) {
    if (laidOut !== undefined) await removePatch({ swarm, staging }, laidOut.patch.infohash)
    throw error
  }
}

type FindSeeders = FetchReleaseJob['findSeeders']

interface Fetching {
  readonly swarm: Swarm
  readonly folder: string
  readonly findSeeders: FindSeeders
  readonly metainfo: Uint8Array | undefined
}

async function fetchVerified(
  parts: FetcherParts,
  { swarm, ...job }: Fetching,
  { releaseId, infohash, label, check }: WantedRelease,
  base: KnownBase | undefined,
  { signal, emit }: CallContext,
): Promise<{ verified: VerifiedRelease; probedOn: KnownBase | undefined }> {
  let probedOn: KnownBase | undefined
  const transfer = parts.reputation.watchTransfer(() => performance.now())
  const verified = await swarm.fetchRelease({
    ...job,
    ref: { releaseId, infohash },
    checkManifest(manifest) {
      check?.(manifest)
      if (base !== undefined) requireBase(manifest, base)
    },
    checkModel: async (path, manifest, checking) => {
      probedOn = await checkModel({ ...parts, wantedFor: base }, path, manifest, checking)
    },
    patienceMs: PATIENCE_MS,
    signal,
    clock: () => performance.now(),
    onEvent(event) {
      transfer.hear(event)
      tell(event, label, emit, parts.log)
    },
  })
  transfer.served(verified.peers)
  return { verified, probedOn }
}

function sizeOf({ signed }: HeldRelease): number {
  return signed.sealed.length + signed.manifest.adapter.bytes
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
