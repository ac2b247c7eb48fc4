// A strict reader of BitTorrent v1 metainfo: what any torrent must satisfy before its names or sizes are used for anything.
// It ignores trackers, web seeds and comments (nothing contacts them) and refuses v2, links and paths that could leave a folder.
import { type Bencode, type BencodeDictionary, decodeBencode } from './bencode.ts'
import { MeshError } from './errors.ts'

const pieceMaxBytes = 64 * 1024 * 1024
const filesMax = 10_000
const nameMaxBytes = 255

export interface TorrentInfo {
  readonly name: string
  /** One file has an empty path when the torrent is a single file: its name is the torrent's. Lengths in bytes. */
  readonly files: readonly { readonly path: readonly string[]; readonly bytes: number }[]
  readonly pieceBytes: number
  /** SHA-1 of every piece, 20 bytes each. */
  readonly pieces: Uint8Array
}

/** Throws `malformed` and says what is wrong. */
export function readTorrentInfo(metainfo: Uint8Array): TorrentInfo {
  const info = dictionary(dictionary(decodeBencode(metainfo), 'the torrent').get('info'), 'info')
  if (info.has('meta version') || info.has('file tree')) throw malformed('it is a v2 torrent')
  const name = component(info.get('name'), 'name')
  const pieceBytes = integer(info.get('piece length'), 'piece length', 1, pieceMaxBytes)
  const files = readFiles(info)
  const pieces = bytes(info.get('pieces'), 'pieces')
  const totalBytes = files.reduce((total, file) => total + file.bytes, 0)
  if (totalBytes === 0) throw malformed('it holds no bytes')
  if (!Number.isSafeInteger(totalBytes)) throw malformed('its files are larger than any disk')
  if (pieces.length !== Math.ceil(totalBytes / pieceBytes) * 20) throw malformed('sizes and number of pieces disagree')
  return { name, files, pieceBytes, pieces }
}

function readFiles(info: BencodeDictionary): TorrentInfo['files'] {
  if (info.has('length')) {
    if (info.has('files')) throw malformed('it has both length and files')
    refuseLink(info)
    return [{ path: [], bytes: integer(info.get('length'), 'length', 0, Number.MAX_SAFE_INTEGER) }]
  }
  const list = info.get('files')
  if (!Array.isArray(list) || list.length === 0 || list.length > filesMax)
    throw malformed('files is not a list of files')
  const files = list.map((item: Bencode) => {
    const entry = dictionary(item, 'a file')
    refuseLink(entry)
    const path = entry.get('path')
    if (!Array.isArray(path) || path.length === 0 || path.length > 32) throw malformed('a path is missing or empty')
    return {
      path: path.map((part: Bencode) => component(part, 'a path component')),
      bytes: integer(entry.get('length'), 'a file length', 0, Number.MAX_SAFE_INTEGER),
    }
  })
  // Some file systems don't tell upper from lower case: two such names would be one file with two contents.
  const paths = files.map((file) => file.path.map((part) => part.toLowerCase()))
  const taken = new Set(paths.map((path) => path.join('/')))
  if (taken.size !== paths.length) throw malformed('two files have one path')
  for (const path of paths) {
    for (let depth = 1; depth < path.length; depth++) {
      if (taken.has(path.slice(0, depth).join('/'))) throw malformed('a file is also a folder')
    }
  }
  return files
}

function refuseLink(entry: BencodeDictionary): void {
  const attributes = entry.get('attr')
  if (attributes !== undefined && bytes(attributes, 'attr').includes(0x6c)) throw malformed('it holds a symbolic link')
  if (entry.has('symlink path')) throw malformed('it holds a symbolic link')
}

function component(value: Bencode | undefined, what: string): string {
  const raw = bytes(value, what)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(raw)
  } catch {
    throw malformed(`${what} is not UTF-8`)
  }
  if (text === '' || text === '.' || text === '..' || raw.length > nameMaxBytes) throw malformed(`${what} is "${text}"`)
  // Separators, drive letters and control characters (NUL ends a path for the operating system).
  if (/[/\\:]/.test(text) || [...raw].some((byte) => byte < 0x20 || byte === 0x7f)) {
    throw malformed(`${what} holds a separator or control character`)
  }
  return text
}

function dictionary(value: Bencode | undefined, what: string): BencodeDictionary {
  if (!(value instanceof Map)) throw malformed(`${what} is not a dictionary`)
  return value
}

function bytes(value: Bencode | undefined, what: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed(`${what} is missing or not a string`)
  return value
}

function integer(value: Bencode | undefined, what: string, min: number, max: number): number {
  if (typeof value !== 'number' || value < min || value > max) throw malformed(`${what} is missing or out of range`)
  return value
}

function malformed(reason: string): MeshError {
  return new MeshError('malformed', `This is not an acceptable torrent: ${reason}.`, { reason })
}
