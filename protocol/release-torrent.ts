// The release torrent: the sealed manifest and the adapter as one torrent of the mesh. And the patch torrent: what makes one adapter file
// of another.
import { limits } from './limits.ts'
import { buildMeshTorrent, meshPieceBytes, readMeshTorrent } from './mesh-torrent.ts'
import type { MeshTorrent, TorrentForm } from './mesh-torrent.ts'

export type { MeshTorrent } from './mesh-torrent.ts'

/** What the torrent calls itself, and its files in the order in which the pieces run over them. */
export const releaseTorrentName = 'lora-mesh-release-1'
export const releaseManifestFile = 'manifest'
export const releaseAdapterFile = 'adapter.gguf'
export const patchTorrentName = 'lora-mesh-patch-1'
export const patchFile = 'patch'

/** The largest release (4,096 pieces of 1 MiB, and one more for the manifest) has a metainfo of 82 KB. */
export const releaseMetainfoMaxBytes = 96 * 1024
export const releasePieceBytes = meshPieceBytes

const releaseForm: TorrentForm = {
  kind: 'release',
  name: releaseTorrentName,
  files: [
    { name: releaseManifestFile, label: 'manifest', maxBytes: limits.sealedMaxBytes },
    { name: releaseAdapterFile, label: 'adapter', maxBytes: limits.adapterMaxBytes },
  ],
}
const patchForm: TorrentForm = {
  kind: 'patch',
  name: patchTorrentName,
  files: [{ name: patchFile, label: 'patch', maxBytes: limits.adapterMaxBytes }],
}

/** Lengths in bytes; `pieces` is the SHA-1 of every piece, 20 bytes each, of manifest and adapter in one row. */
export interface ReleaseLayout {
  readonly manifestBytes: number
  readonly adapterBytes: number
  readonly pieceBytes: number
  readonly pieces: Uint8Array
}

export interface ReleaseTorrent extends MeshTorrent {
  readonly layout: ReleaseLayout
}

/** Throws `too-large` beyond the limits; a `pieces` of the wrong length is a bug of the caller. */
export function buildReleaseTorrent(files: {
  readonly manifestBytes: number
  readonly adapterBytes: number
  readonly pieces: Uint8Array
}): ReleaseTorrent {
  const { manifestBytes, adapterBytes, pieces } = files
  const torrent = buildMeshTorrent(releaseForm, [manifestBytes, adapterBytes], pieces)
  return { ...torrent, layout: { manifestBytes, adapterBytes, pieces, pieceBytes: torrent.pieceBytes } }
}

/** Accepts only what `buildReleaseTorrent` writes. Throws `malformed`, `manifest-invalid` or `too-large`, see `readMeshTorrent`. */
export function readReleaseTorrent(metainfo: Uint8Array): ReleaseTorrent {
  const { files, pieces } = readMeshTorrent(releaseForm, metainfo)
  const [manifestBytes, adapterBytes] = files.map(({ bytes }) => bytes) as [number, number]
  return buildReleaseTorrent({ manifestBytes, adapterBytes, pieces })
}

/** Throws `too-large` beyond the limits. */
export function buildPatchTorrent(patchBytes: number, pieces: Uint8Array): MeshTorrent {
  return buildMeshTorrent(patchForm, [patchBytes], pieces)
}

/** Accepts only what `buildPatchTorrent` writes. Throws as `readReleaseTorrent` does. */
export function readPatchTorrent(metainfo: Uint8Array): MeshTorrent {
  const { files, pieces } = readMeshTorrent(patchForm, metainfo)
  return buildPatchTorrent(files[0]!.bytes, pieces)
}

export type TorrentKind = 'release' | 'patch'

export function readTorrentOf(kind: TorrentKind, metainfo: Uint8Array): MeshTorrent {
  return kind === 'release' ? readReleaseTorrent(metainfo) : readPatchTorrent(metainfo)
}
