// From a release id and an infohash to a release that is what it claims to be. This is the door: nothing a peer sent is used before
// seal, release id, size, SHA-256 and the model check have passed, and only here is a `VerifiedRelease` made.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256File } from '../model-files/index.ts'
import {
  bytesEqual,
  MeshError,
  openManifest,
  readReleaseTorrent,
  releaseAdapterFile,
  releaseManifestFile,
  sealedReleaseId,
  toHex,
} from '../protocol/index.ts'
import type { Manifest, SignedManifest } from '../protocol/index.ts'
import { fetchTorrent } from './fetch-torrent.ts'
import type { FetchTorrentEvent, FetchTorrentOptions } from './fetch-torrent.ts'
import type { FetchResult, PeerTraffic } from './network-child/messages.ts'
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

export type FetchReleaseEvent = FetchTorrentEvent

export interface FetchReleaseJob extends FetchTorrentOptions {
  readonly ref: ReleaseRef
  /** The .torrent file, where it is known without asking peers. */
  readonly metainfo?: Uint8Array | undefined
  /** Is this the release that is wanted? Asked as soon as the manifest is there, before the adapter is. Throws what is wrong. */
  checkManifest?(manifest: Manifest): void
  /** Is this adapter file what the manifest says, and for a base this node has? Throws what is wrong. */
  checkModel(adapterPath: string, manifest: Manifest, signal: AbortSignal): Promise<void>
}

/**
 * Throws `no-seeder`, `aborted`, `disk-full`, `piece-mismatch`; and, with nothing kept: `hash-mismatch` (another manifest than that of
 * the release asked for, or another adapter than the manifest's), `bad-signature`, `manifest-invalid`, `manifest-mismatch`, or what `checkModel` throws.
 */
export async function fetchRelease(client: NetworkClient, job: FetchReleaseJob): Promise<VerifiedRelease> {
  const { ref, metainfo, ...options } = job
  return fetchTorrent(client, {
    ...options,
    infohash: ref.infohash,
    request: { kind: 'release', ...(metainfo && { metainfo }) },
    judgeStart: (totalBytes) => judgeManifest(job, totalBytes),
    passDoor: (fetched) => passDoor(fetched, job),
  })
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
