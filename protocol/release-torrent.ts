// The release torrent: the sealed manifest and the adapter as one BitTorrent v1 torrent whose every byte follows from the two files,
// so that everyone who holds a release derives the same infohash. The infohash only moves bytes; SHA-256 and the signature decide.
import { createHash } from 'node:crypto'
import { type Bencode, type BencodeDictionary, encodeBencode, latin1 } from './bencode.ts'
import { bytesEqual } from './bytes.ts'
import { MeshError } from './errors.ts'
import { limits } from './limits.ts'
import { readTorrentInfo, type TorrentInfo } from './torrent-info.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** What the torrent calls itself, and its files in the order in which the pieces run over them. */
export const releaseTorrentName = 'lora-mesh-release-1'
export const releaseManifestFile = 'manifest'
export const releaseAdapterFile = 'adapter.gguf'

/** The largest release (4,096 pieces of 1 MiB, and one more for the manifest) has a metainfo of 82 KB. */
export const releaseMetainfoMaxBytes = 96 * KiB

/** Lengths in bytes; `pieces` is the SHA-1 of every piece, 20 bytes each, of manifest and adapter in one row. */
export interface ReleaseLayout {
  readonly manifestBytes: number
  readonly adapterBytes: number
  readonly pieceBytes: number
  readonly pieces: Uint8Array
}

export interface ReleaseTorrent {
  /** The .torrent file: `d4:info...e`, nothing beside the info dictionary. */
  readonly metainfo: Uint8Array
  /** SHA-1 of the info dictionary: 20 bytes. */
  readonly infohash: Uint8Array
  readonly layout: ReleaseLayout
}

/** Small pieces for small releases (a lost piece costs little), large ones where hashing and bookkeeping would cost more. */
export function releasePieceBytes(totalBytes: number): number {
  if (totalBytes <= 4 * MiB) return 64 * KiB
  return totalBytes <= 256 * MiB ? 256 * KiB : MiB
}

/** Throws `too-large` beyond the limits; a `pieces` of the wrong length is a bug of the caller. */
export function buildReleaseTorrent(files: {
  readonly manifestBytes: number
  readonly adapterBytes: number
  readonly pieces: Uint8Array
}): ReleaseTorrent {
  checkSizes(files.manifestBytes, files.adapterBytes)
  const totalBytes = files.manifestBytes + files.adapterBytes
  const pieceBytes = releasePieceBytes(totalBytes)
  if (files.pieces.length !== Math.ceil(totalBytes / pieceBytes) * 20) {
    throw new Error(`${totalBytes} bytes in pieces of ${pieceBytes} don't have ${files.pieces.length / 20} hashes`)
  }
  const info: BencodeDictionary = new Map<string, Bencode>([
    ['files', [file(releaseManifestFile, files.manifestBytes), file(releaseAdapterFile, files.adapterBytes)]],
    ['name', latin1(releaseTorrentName)],
    ['piece length', pieceBytes],
    ['pieces', files.pieces],
  ])
  const infohash = new Uint8Array(createHash('sha1').update(encodeBencode(info)).digest())
  return { metainfo: encodeBencode(new Map([['info', info]])), infohash, layout: { ...files, pieceBytes } }
}

/**
 * Reads a metainfo and accepts only what `buildReleaseTorrent` writes. Throws `malformed` for what is no torrent, `manifest-invalid`
 * for a torrent that is no release (whoever signed its infohash is to blame), `too-large` beyond the limits.
 */
export function readReleaseTorrent(metainfo: Uint8Array): ReleaseTorrent {
  if (metainfo.length > releaseMetainfoMaxBytes) throw tooLarge('metainfo', metainfo.length, releaseMetainfoMaxBytes)
  const layout = layoutOf(readTorrentInfo(metainfo))
  const torrent = buildReleaseTorrent(layout)
  // Whatever else the file carries (trackers, dates, web seeds, flags) would be dropped by rebuilding: refuse it instead.
  if (!bytesEqual(torrent.metainfo, metainfo)) throw notARelease('it carries more than a release torrent has')
  return torrent
}

function layoutOf(info: TorrentInfo): ReleaseLayout {
  const [manifest, adapter] = info.files
  if (info.name !== releaseTorrentName) throw notARelease('its name is another one')
  if (
    info.files.length !== 2 ||
    manifest?.path.join('/') !== releaseManifestFile ||
    adapter?.path.join('/') !== releaseAdapterFile
  ) {
    throw notARelease(`its files are not ${releaseManifestFile} and ${releaseAdapterFile}`)
  }
  checkSizes(manifest.bytes, adapter.bytes)
  const pieceBytes = releasePieceBytes(manifest.bytes + adapter.bytes)
  if (info.pieceBytes !== pieceBytes) throw notARelease('its piece length is another one')
  return { manifestBytes: manifest.bytes, adapterBytes: adapter.bytes, pieceBytes, pieces: info.pieces }
}

function checkSizes(manifestBytes: number, adapterBytes: number): void {
  if (manifestBytes > limits.sealedMaxBytes) throw tooLarge('manifest', manifestBytes, limits.sealedMaxBytes)
  if (adapterBytes > limits.adapterMaxBytes) throw tooLarge('adapter', adapterBytes, limits.adapterMaxBytes)
  if (manifestBytes < 1 || adapterBytes < 1) throw notARelease('one of its files is empty')
}

function file(name: string, bytes: number): BencodeDictionary {
  return new Map<string, Bencode>([
    ['length', bytes],
    ['path', [latin1(name)]],
  ])
}

function notARelease(reason: string): MeshError {
  return new MeshError('manifest-invalid', `This torrent is not a LoRA Mesh release: ${reason}.`, { reason })
}

function tooLarge(what: string, bytes: number, maxBytes: number): MeshError {
  return new MeshError('too-large', `The ${what} has ${bytes} bytes; at most ${maxBytes} are accepted.`, {
    bytes,
    maxBytes,
  })
}
