// What the torrents of the mesh have in common: BitTorrent v1 of which every byte follows from the files, so that everyone who holds the
// files derives the same infohash. The infohash only moves bytes; SHA-256 and the signature decide.
import { createHash } from 'node:crypto'
import { type Bencode, type BencodeDictionary, encodeBencode, latin1 } from './bencode.ts'
import { bytesEqual } from './bytes.ts'
import { MeshError } from './errors.ts'
import { readTorrentInfo, type TorrentInfo } from './torrent-info.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** The largest one (4,096 pieces of 1 MiB, and one more) has a metainfo of 82 KB. */
const metainfoMaxBytes = 96 * KiB

/** A kind of torrent: what it calls itself, and its files in the order in which the pieces run over them. */
export interface TorrentForm {
  /** For people: "a LoRA Mesh ...". */
  readonly kind: string
  readonly name: string
  readonly files: readonly { readonly name: string; readonly label: string; readonly maxBytes: number }[]
}

export interface MeshTorrent {
  /** The .torrent file: `d4:info...e`, nothing beside the info dictionary. */
  readonly metainfo: Uint8Array
  /** SHA-1 of the info dictionary: 20 bytes. */
  readonly infohash: Uint8Array
  readonly files: readonly { readonly name: string; readonly bytes: number }[]
  readonly pieceBytes: number
}

/** Small pieces for small torrents (a lost piece costs little), large ones where hashing and bookkeeping would cost more. */
export function meshPieceBytes(totalBytes: number): number {
  if (totalBytes <= 4 * MiB) return 64 * KiB
  return totalBytes <= 256 * MiB ? 256 * KiB : MiB
}

/** `sizes` of the files, `pieces` their SHA-1s in one row. Throws `too-large` beyond the limits. */
export function buildMeshTorrent(form: TorrentForm, sizes: readonly number[], pieces: Uint8Array): MeshTorrent {
  checkSizes(form, sizes)
  const totalBytes = sizes.reduce((sum, bytes) => sum + bytes, 0)
  const pieceBytes = meshPieceBytes(totalBytes)
  if (pieces.length !== Math.ceil(totalBytes / pieceBytes) * 20) {
    throw new Error(`${totalBytes} bytes in pieces of ${pieceBytes} don't have ${pieces.length / 20} hashes`)
  }
  const files = form.files.map(({ name }, i) => ({ name, bytes: sizes[i]! }))
  const info: BencodeDictionary = new Map<string, Bencode>([
    ['files', files.map(({ name, bytes }) => fileEntry(name, bytes))],
    ['name', latin1(form.name)],
    ['piece length', pieceBytes],
    ['pieces', pieces],
  ])
  const infohash = new Uint8Array(createHash('sha1').update(encodeBencode(info)).digest())
  return { metainfo: encodeBencode(new Map([['info', info]])), infohash, files, pieceBytes }
}

/**
 * The facts of a metainfo of this form, byte for byte what `buildMeshTorrent` writes. Throws `malformed` for what is no torrent,
 * `manifest-invalid` for a torrent of another form (whoever signed its infohash is to blame), `too-large` beyond the limits.
 */
export function readMeshTorrent(
  form: TorrentForm,
  metainfo: Uint8Array,
): MeshTorrent & { readonly pieces: Uint8Array } {
  if (metainfo.length > metainfoMaxBytes) throw tooLarge('metainfo', metainfo.length, metainfoMaxBytes)
  const info = readTorrentInfo(metainfo)
  const sizes = sizesIn(form, info)
  checkSizes(form, sizes)
  if (info.pieceBytes !== meshPieceBytes(sizes.reduce((sum, bytes) => sum + bytes, 0))) {
    throw notOfThisForm(form, 'its piece length is another one')
  }
  const torrent = buildMeshTorrent(form, sizes, info.pieces)
  // Whatever else the file carries (trackers, dates, web seeds, flags) would be dropped by rebuilding: refuse it instead.
  if (!bytesEqual(torrent.metainfo, metainfo))
    throw notOfThisForm(form, `it carries more than a ${form.kind} torrent has`)
  return { ...torrent, pieces: info.pieces }
}

function sizesIn(form: TorrentForm, info: TorrentInfo): number[] {
  if (info.name !== form.name) throw notOfThisForm(form, 'its name is another one')
  const names = form.files.map(({ name }) => name)
  const found = info.files.map(({ path }) => path.join('/'))
  if (found.length !== names.length || found.some((name, i) => name !== names[i])) {
    throw notOfThisForm(form, `its files are not ${names.join(' and ')}`)
  }
  return info.files.map(({ bytes }) => bytes)
}

function checkSizes(form: TorrentForm, sizes: readonly number[]): void {
  for (const [i, { label, maxBytes }] of form.files.entries()) {
    if (sizes[i]! > maxBytes) throw tooLarge(label, sizes[i]!, maxBytes)
  }
  if (sizes.some((bytes) => bytes < 1)) throw notOfThisForm(form, 'one of its files is empty')
}

function fileEntry(name: string, bytes: number): BencodeDictionary {
  return new Map<string, Bencode>([
    ['length', bytes],
    ['path', [latin1(name)]],
  ])
}

function notOfThisForm({ kind }: TorrentForm, reason: string): MeshError {
  return new MeshError('manifest-invalid', `This torrent is not a LoRA Mesh ${kind}: ${reason}.`, { reason })
}

function tooLarge(what: string, bytes: number, maxBytes: number): MeshError {
  return new MeshError('too-large', `The ${what} has ${bytes} bytes; at most ${maxBytes} are accepted.`, {
    bytes,
    maxBytes,
  })
}
