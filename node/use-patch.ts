// The downloader's side of patches: lays out a release in its staging folder from a version that is held and a patch, as if it had been
// fetched whole. It then passes the same door as any other, and whatever is wrong with a patch costs the patch and no more.
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { applyPatch, patchCodecs } from '../model-files/index.ts'
import {
  bytesEqual,
  isMeshError,
  MeshError,
  openManifest,
  releaseAdapterFile,
  releaseManifestFile,
  toHex,
} from '../protocol/index.ts'
import type { SignedManifest } from '../protocol/index.ts'
import type { FetchPatchJob, PeerTraffic, Swarm } from '../swarm/index.ts'
import type { CallContext } from './http/index.ts'
import type { PatchOffer } from './make-patch.ts'
import { storageError } from './private-file.ts'
import { torrentOfRelease } from './release-pieces.ts'
import type { HeldPatch, HeldRelease, ReleaseStore } from './release-store.ts'

/** Shorter than that of a release: without a patch there is still the whole file. */
const PATIENCE_MS = 10_000

export interface PatchUse {
  readonly swarm: Pick<Swarm, 'fetchPatch' | 'drop'>
  readonly releases: Pick<ReleaseStore, 'get'>
  /** The data folder's. */
  readonly staging: string
  /** What its publisher offers towards the wanted release. */
  readonly offers: readonly PatchOffer[]
  readonly wanted: {
    readonly releaseId: Uint8Array
    readonly infohash: Uint8Array
    readonly label: string
    /** The signed manifest; without it nothing is known of what a patch must make. */
    readonly sealed?: Uint8Array | undefined
  }
  /** Where the release is laid out. */
  readonly folder: string
  readonly findSeeders: FetchPatchJob['findSeeders']
}

/** Files in staging folders, to be moved or removed. */
export interface LaidOutRelease {
  /** Of the release torrent. */
  readonly metainfo: Uint8Array
  readonly patch: HeldPatch & { readonly bytes: number; readonly peers: readonly PeerTraffic[] }
}

/** Undefined where no patch helps; why not is told. Throws `aborted`. */
export async function layOutByPatch(use: PatchUse, context: CallContext): Promise<LaidOutRelease | undefined> {
  const signed = openWanted(use.wanted)
  if (signed === undefined) return undefined
  const best = bestOffer(use, signed)
  if (best === undefined) return undefined
  try {
    return await layOut(use, signed, best, context)
  } catch (error) {
    await removePatch(use, best.offer.infohash)
    // A disk that is full is not the patch's fault, and has no room for the whole file either.
    if (!isMeshError(error) || context.signal.aborted || error.blame === 'self') throw error
    context.emit({
      type: 'note',
      text: `A patch to ${use.wanted.label} was of no use: ${error.message} The whole file is fetched.`,
    })
    return undefined
  }
}

/** Stops serving a patch from its staging folder, and removes it there. */
export async function removePatch(
  { swarm, staging }: Pick<PatchUse, 'swarm' | 'staging'>,
  infohash: Uint8Array,
): Promise<void> {
  await swarm.drop(infohash).catch(() => {})
  await removePatchFolder(staging, infohash)
}

/** After the patch itself was moved away. */
export async function removePatchFolder(staging: string, infohash: Uint8Array): Promise<void> {
  await rm(patchFolder(staging, infohash), { recursive: true, force: true })
}

interface UsableOffer {
  readonly offer: PatchOffer
  readonly from: HeldRelease
}

async function layOut(
  { swarm, staging, wanted, folder, findSeeders }: PatchUse,
  { sealed, manifest }: SignedManifest,
  { offer, from }: UsableOffer,
  { signal, emit }: CallContext,
): Promise<LaidOutRelease> {
  const { path, metainfo, peers } = await swarm.fetchPatch({
    ref: offer,
    folder: patchFolder(staging, offer.infohash),
    findSeeders,
    patienceMs: PATIENCE_MS,
    signal,
    clock: () => performance.now(),
    onEvent(event) {
      if (event.kind !== 'progress') return
      const { bytes, peers: senders } = event.progress
      emit({ type: 'progress', label: wanted.label, doneBytes: bytes, totalBytes: offer.bytes, peers: senders.length })
    },
  })
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw storageError(error, folder)
  })
  const adapter = join(folder, releaseAdapterFile)
  await applyPatch(
    { oldPath: from.paths.adapter, patchPath: path, expected: manifest.adapter, out: adapter },
    { signal },
  )
  const manifestPath = join(folder, releaseManifestFile)
  await writeFile(manifestPath, sealed).catch((error: unknown) => {
    throw storageError(error, manifestPath)
  })
  const torrent = await torrentOfRelease(sealed, adapter, signal)
  if (!bytesEqual(torrent.infohash, wanted.infohash)) {
    throw new MeshError('hash-mismatch', 'Its release is announced under another infohash than it has.')
  }
  return { metainfo: torrent.metainfo, patch: { path, metainfo, infohash: offer.infohash, bytes: offer.bytes, peers } }
}

/** The smallest that leads from something that is held, by a codec that is known, and saves something. */
function bestOffer({ offers, releases }: PatchUse, { manifest }: SignedManifest): UsableOffer | undefined {
  const known: readonly string[] = Object.values(patchCodecs)
  return offers
    .filter(({ codec, bytes }) => known.includes(codec) && bytes < manifest.adapter.bytes)
    .flatMap((offer) => {
      const from = releases.get(toHex(offer.from))
      return from === undefined ? [] : [{ offer, from }]
    })
    .toSorted((a, b) => a.offer.bytes - b.offer.bytes)[0]
}

/** Undefined for a manifest that is not of the release that is wanted: the door says so when it has been fetched. */
function openWanted({ sealed, releaseId }: PatchUse['wanted']): SignedManifest | undefined {
  if (sealed === undefined) return undefined
  try {
    const signed = openManifest(sealed)
    return bytesEqual(signed.releaseId, releaseId) ? signed : undefined
  } catch (error) {
    if (!isMeshError(error)) throw error
    return undefined
  }
}

function patchFolder(staging: string, infohash: Uint8Array): string {
  return join(staging, toHex(infohash))
}
