// From a release id and an infohash to a release that is what it claims to be. This is the door: nothing a peer sent is used before
// seal, release id, size, SHA-256 and the model check have passed, and only here is a `VerifiedRelease` made.
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256File } from '../model-files/index.ts'
import {
  bytesEqual,
  isMeshError,
  MeshError,
  openManifest,
  readReleaseTorrent,
  releaseAdapterFile,
  releaseManifestFile,
  sealedReleaseId,
  toHex,
} from '../protocol/index.ts'
import type { Manifest, SignedManifest } from '../protocol/index.ts'
import type { FetchEvent, FetchProgress, FetchResult, PeerName, PeerTraffic } from './network-child/messages.ts'
import type { NetworkClient } from './network-client.ts'

declare const checkedAtTheDoor: unique symbol

/** A release whose bytes have passed every check. Its files still lie in the staging folder, and are served from there. */
export interface VerifiedRelease {
  readonly [checkedAtTheDoor]: true
  readonly signed: SignedManifest
  /** 20 bytes. */
  readonly infohash: Uint8Array
  readonly metainfo: Uint8Array
  readonly files: { readonly manifest: string; readonly adapter: string }
  /** Who sent how much of it. */
  readonly peers: readonly PeerTraffic[]
}

export interface ReleaseRef {
  /** 32 bytes. */
  readonly releaseId: Uint8Array
  /** 20 bytes; a hint. */
  readonly infohash: Uint8Array
}

export type FetchReleaseEvent =
  | { readonly kind: 'progress'; readonly progress: FetchProgress }
  | { readonly kind: 'verifying' }
  | { readonly kind: 'peer-blamed'; readonly peer: PeerName; readonly banned: boolean }

export interface FetchReleaseJob {
  readonly ref: ReleaseRef
  /** Where unverified bytes lie; what an interrupted fetch left there is verified and kept. */
  readonly folder: string
  /** Is this the release that is wanted? Asked as soon as the manifest is there, before the adapter is. Throws what is wrong. */
  checkManifest?(manifest: Manifest): void
  /** Is this adapter file what the manifest says, and for a base this node has? Throws what is wrong. */
  checkModel(adapterPath: string, manifest: Manifest, signal: AbortSignal): Promise<void>
  /** Transfer keys of peers that serve the infohash, as they become known. */
  findSeeders(infohash: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Gives up with `no-seeder` after this long without a byte from anyone. */
  readonly patienceMs: number
  readonly signal: AbortSignal
  readonly clock: () => number
  onEvent(event: FetchReleaseEvent): void
}

const crashesMax = 3

/**
 * Throws `no-seeder`, `aborted`, `disk-full`, `piece-mismatch`; and, with nothing kept: `hash-mismatch` (another manifest than that of
 * the release asked for, or another adapter than the manifest's), `bad-signature`, `manifest-invalid`, `manifest-mismatch`, or what `checkModel` throws.
 */
export async function fetchRelease(client: NetworkClient, job: FetchReleaseJob): Promise<VerifiedRelease> {
  const fetched = await fetchThroughCrashes(client, job)
  job.onEvent({ kind: 'verifying' })
  try {
    return await passDoor(fetched, job)
  } catch (error) {
    // What is not known to be right is not served on. It stays for the next try unless it is what is wrong: an engine that crashed, or a
    // base that was moved, says nothing against the bytes.
    if (isRefusal(error) && !job.signal.aborted) await discard(client, job)
    else await client.drop(job.ref.infohash).catch(() => {})
    throw error
  }
}

async function fetchThroughCrashes(client: NetworkClient, job: FetchReleaseJob): Promise<FetchResult> {
  for (let crashes = 0; ; crashes++) {
    try {
      return await fetchOnce(client, job)
    } catch (error) {
      if (!isMeshError(error, 'child-crashed') || crashes >= crashesMax) throw error
    }
  }
}

async function fetchOnce(client: NetworkClient, job: FetchReleaseJob): Promise<FetchResult> {
  const { ref, folder, clock } = job
  const stop = new AbortController()
  const signal = AbortSignal.any([job.signal, stop.signal])
  const lastByte = { atMs: clock(), bytes: -1 }
  let totalBytes = 0
  const onEvent = (event: FetchEvent): void => {
    if (event.kind === 'progress') {
      job.onEvent(event)
      totalBytes = event.progress.totalBytes
      if (event.progress.bytes !== lastByte.bytes)
        Object.assign(lastByte, { atMs: clock(), bytes: event.progress.bytes })
      else if (clock() - lastByte.atMs > job.patienceMs) stop.abort(noSeeder(job))
    } else if (event.kind === 'blame') {
      job.onEvent({ kind: 'peer-blamed', peer: event.peer, banned: event.banned })
    } else {
      // The manifest tells whether the gigabyte behind it is worth fetching.
      judgeManifest(job, totalBytes).catch((error: unknown) => stop.abort(error))
    }
  }
  const fetching = client.request(
    'fetch',
    { infohash: ref.infohash, folder, sources: { transferKeys: [], addresses: [] } },
    { signal, onEvent: (event) => onEvent(event as FetchEvent) },
  )
  const found = new AbortController()
  const sources = passOnSeeders(client, job, AbortSignal.any([signal, found.signal]))
  try {
    return await fetching
  } catch (error) {
    if (!stop.signal.aborted) throw error
    // `no-seeder` keeps what was fetched for the next try; a manifest that is wrong leaves nothing.
    if (isRefusal(stop.signal.reason)) await discard(client, job)
    throw stop.signal.reason
  } finally {
    found.abort()
    await sources
  }
}

/** Before the adapter is there: nobody is made to download another size than the plan has shown, or a release for another base. */
async function judgeManifest({ folder, ref, checkManifest }: FetchReleaseJob, totalBytes: number): Promise<void> {
  const { manifest, sealed } = await readSealed(pathsIn(folder).manifest, ref)
  requireSize(manifest, totalBytes - sealed.length, ref)
  checkManifest?.(manifest)
}

function requireSize({ adapter }: Manifest, bytes: number, { releaseId }: ReleaseRef): void {
  if (bytes === adapter.bytes) return
  throw new MeshError('manifest-mismatch', `The manifest promises ${adapter.bytes} bytes; the file has ${bytes}.`, {
    release: toHex(releaseId),
  })
}

function isRefusal(error: unknown): boolean {
  return isMeshError(error) && (error.blame === 'peer' || error.blame === 'publisher')
}

async function passOnSeeders(client: NetworkClient, job: FetchReleaseJob, signal: AbortSignal): Promise<void> {
  const { infohash } = job.ref
  try {
    for await (const key of job.findSeeders(infohash, signal)) {
      await client.request('fetch-sources', { infohash, sources: { transferKeys: [key], addresses: [] } }, { signal })
    }
  } catch {
    // Other ways of finding seeders go on without this one.
  }
}

async function passDoor({ metainfo, peers }: FetchResult, job: FetchReleaseJob): Promise<VerifiedRelease> {
  const { ref, folder, checkModel, signal } = job
  const paths = pathsIn(folder)
  if (!bytesEqual(readReleaseTorrent(metainfo).infohash, ref.infohash)) {
    throw new MeshError('hash-mismatch', 'The network process fetched another torrent than the one asked for.')
  }
  const signed = await readSealed(paths.manifest, ref)
  job.checkManifest?.(signed.manifest)
  const { adapter } = signed.manifest
  requireSize(signed.manifest, (await stat(paths.adapter)).size, ref)
  if (!bytesEqual(await sha256File(paths.adapter, { signal }), adapter.sha256)) {
    throw new MeshError('hash-mismatch', 'The adapter that was fetched is not the one its publisher signed.', {
      release: toHex(ref.releaseId),
    })
  }
  await checkModel(paths.adapter, signed.manifest, signal)
  const verified = { signed, infohash: ref.infohash, metainfo, files: paths, peers }
  return verified as unknown as VerifiedRelease
}

async function readSealed(path: string, ref: ReleaseRef): Promise<SignedManifest> {
  const sealed = new Uint8Array(await readFile(path))
  const found = sealedReleaseId(sealed)
  if (!bytesEqual(found, ref.releaseId)) {
    throw new MeshError('hash-mismatch', 'This torrent holds another manifest than that of the release asked for.', {
      asked: toHex(ref.releaseId),
      found: toHex(found),
    })
  }
  return openManifest(sealed)
}

/** Known here, not taken from the network child: what it names could be any file of this machine. */
function pathsIn(folder: string): VerifiedRelease['files'] {
  return { manifest: join(folder, releaseManifestFile), adapter: join(folder, releaseAdapterFile) }
}

/** Refused bytes are not kept, and not served on. */
async function discard(client: NetworkClient, { ref, folder }: FetchReleaseJob): Promise<void> {
  await client.drop(ref.infohash).catch(() => {})
  await rm(folder, { recursive: true, force: true })
}

function noSeeder({ ref, patienceMs }: FetchReleaseJob): MeshError {
  return new MeshError(
    'no-seeder',
    `Nobody sent anything of this release for ${Math.round(patienceMs / 1000)} s. What was fetched is kept: ask again when a seeder is online.`,
    { release: toHex(ref.releaseId), infohash: toHex(ref.infohash) },
  )
}
