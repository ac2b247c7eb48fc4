// The publisher's side of patches: what leads from a release that is held to a newer one, kept beside the newer one and seeded. Whoever
// calls this says so in the log, in a `patch/1` record with the body that is returned.
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makePatch, openFileSource } from '../model-files/index.ts'
import type { MadePatch } from '../model-files/index.ts'
import { buildPatchTorrent, concatBytes, releasePieceBytes } from '../protocol/index.ts'
import type { MeshTorrent, RecordBody } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import type { HeldRelease } from './release-store.ts'

export type PatchOffer = RecordBody<'patch/1'>

export interface Upgrade {
  readonly from: HeldRelease
  readonly to: HeldRelease
}

/** A patch that saves less than this share of the file is not worth a torrent of its own. */
const savingMin = 0.1
/** As publications that were killed: the next start removes it. */
const stagingPrefix = 'publish-patch-'

type Publishing = Pick<Node, 'options' | 'releases' | 'network'>

/**
 * Makes the exact patch, keeps it and seeds it. Undefined where it would save next to nothing, and then nothing is kept. Throws what
 * `makePatch` throws, `disk-full` and `storage-failed`.
 */
export async function offerExactPatch(
  node: Publishing,
  { from, to }: Upgrade,
  signal: AbortSignal,
): Promise<PatchOffer | undefined> {
  const folder = await mkdtemp(join(node.options.paths.staging, stagingPrefix))
  try {
    const path = join(folder, 'patch')
    const made = await makePatch({ oldPath: from.paths.adapter, newPath: to.paths.adapter, out: path }, { signal })
    if (made.bytes > (1 - savingMin) * to.signed.manifest.adapter.bytes) return undefined
    return await offerPatch(node, { from, to }, { ...made, path })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Keeps and seeds a patch that is made already, such as that of a version defined by a few bits. The file is moved away. */
export async function offerPatch(
  node: Publishing,
  { from, to }: Upgrade,
  { path, bytes, sha256, codec }: MadePatch & { readonly path: string },
): Promise<PatchOffer> {
  const { infohash, metainfo } = torrentOfPatch(path)
  const kept = await node.releases.keepPatch(to, { path, infohash, metainfo })
  await node.network.swarm?.seed(infohash, { metainfo, paths: { patch: kept.path } })
  return { from: from.signed.releaseId, to: to.signed.releaseId, sha256, bytes, codec, infohash }
}

function torrentOfPatch(path: string): MeshTorrent {
  using source = openFileSource(path)
  const pieceBytes = releasePieceBytes(source.size)
  const hashes: Uint8Array[] = []
  for (let at = 0; at < source.size; at += pieceBytes) {
    const piece = source.read(at, Math.min(pieceBytes, source.size - at))
    hashes.push(new Uint8Array(createHash('sha1').update(piece).digest()))
  }
  return buildPatchTorrent(source.size, concatBytes(...hashes))
}
