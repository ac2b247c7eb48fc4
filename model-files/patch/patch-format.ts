// The patch file: a preamble of fixed size, the newer file's header, then the streams of its tensor data (patch-chunks.ts says which).
// Little-endian.
//
//   bytes   what
//   8       "lm-patch"
//   4       version, 1
//   4       bits of a difference, 2 to 8; 0: differences are exact
//   8, 32   size and SHA-256 of the older file
//   8, 32   size and SHA-256 of the newer file
//   4       size of the newer file's header, everything before its tensor data; 0: it is the older file's, and no packed bytes follow
//   4, n    the header, packed (packed-bytes.ts)
//   ...     the streams, each 4 bytes of size and that many packed bytes, to the end of the file
import { bytesEqual, limits, MeshError, utf8 } from '../../protocol/index.ts'
import type { ByteSource } from '../byte-source.ts'
import { packedMaxBytes, unpackBytes } from './packed-bytes.ts'

const magic = utf8('lm-patch')
const version = 1
export const preambleBytes = 96
/** The reader of GGUF files allows the metadata and tensor infos of an adapter no more. */
const headerMaxBytes = 8 * 2 ** 20

export const deltaBitsMin = 2
export const deltaBitsMax = 8

/** Names under which patches are announced: exact differences, and differences of a few bits. */
export const patchCodecs = { exact: 'lora-delta-1', bits: 'lora-kbit-1' } as const
export type PatchCodec = (typeof patchCodecs)[keyof typeof patchCodecs]

export interface FileFacts {
  readonly bytes: number
  /** 32 bytes. */
  readonly sha256: Uint8Array
}

export interface PatchFacts {
  /** 2 to 8; 0 where differences are exact. */
  readonly bits: number
  readonly from: FileFacts
  readonly to: FileFacts
}

export function encodePreamble({ bits, from, to }: PatchFacts): Uint8Array {
  const bytes = new Uint8Array(preambleBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  view.setUint32(8, version, true)
  view.setUint32(12, bits, true)
  for (const [at, file] of [[16, from] as const, [56, to] as const]) {
    view.setBigUint64(at, BigInt(file.bytes), true)
    bytes.set(file.sha256, at + 8)
  }
  return bytes
}

/** What a patch says of itself. Throws `malformed`, `too-large` or `version-mismatch`. */
export function readPatchFacts(patch: ByteSource): PatchFacts {
  return new PatchReader(patch).facts
}

/** Reads a patch from its beginning to its end; what doesn't fit the file or what is expected of it is `malformed`. */
export class PatchReader {
  readonly facts: PatchFacts
  readonly #source: ByteSource
  #position = 0

  constructor(source: ByteSource) {
    this.#source = source
    this.facts = decodePreamble(this.#take(preambleBytes, 'its preamble'))
  }

  /** The newer file's header; undefined where it is the older file's. */
  header(): Uint8Array | undefined {
    const bytes = this.#uint32('the size of the header')
    if (bytes > headerMaxBytes) throw malformed(`it claims a header of ${bytes} bytes`)
    if (bytes > 0) return this.stream(bytes, 'the header')
    if (this.#uint32('the size of the header') > 0) throw malformed('it has a header that it says it lacks')
    return undefined
  }

  /** The next stream, unpacked, of which the length is known. */
  stream(bytes: number, what: string): Uint8Array {
    const packedBytes = this.#uint32(what)
    if (packedBytes > packedMaxBytes(bytes)) throw malformed(`${what} claims ${packedBytes} bytes to make ${bytes} of`)
    const unpacked = unpackBytes(this.#take(packedBytes, what), bytes)
    if (unpacked === undefined) throw malformed(`${what} does not unpack to ${bytes} bytes`)
    return unpacked
  }

  end(): void {
    const left = this.#source.size - this.#position
    if (left > 0) throw malformed(`${left} bytes follow its end`)
  }

  #uint32(what: string): number {
    const bytes = this.#take(4, what)
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  }

  #take(bytes: number, what: string): Uint8Array {
    if (bytes > this.#source.size - this.#position) throw malformed(`it ends inside ${what}`)
    this.#position += bytes
    return this.#source.read(this.#position - bytes, bytes)
  }
}

export function malformed(problem: string, options?: ErrorOptions): MeshError {
  return new MeshError('malformed', `This is not a usable patch: ${problem}.`, { problem }, options)
}

function decodePreamble(bytes: Uint8Array): PatchFacts {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  if (!bytesEqual(bytes.subarray(0, 8), magic)) throw malformed('it does not begin with "lm-patch"')
  const found = view.getUint32(8, true)
  if (found !== version) {
    throw new MeshError('version-mismatch', `This patch has version ${found}; version ${version} can be used.`, {
      version: found,
    })
  }
  const bits = view.getUint32(12, true)
  if (bits !== 0 && (bits < deltaBitsMin || bits > deltaBitsMax)) throw malformed(`its differences have ${bits} bits`)
  return { bits, from: fileFacts(bytes, 16), to: fileFacts(bytes, 56) }
}

function fileFacts(preamble: Uint8Array, at: number): FileFacts {
  const bytes = new DataView(preamble.buffer, preamble.byteOffset).getBigUint64(at, true)
  if (bytes > BigInt(limits.adapterMaxBytes)) {
    const message = `This patch is for a file of ${bytes} bytes; adapters have at most ${limits.adapterMaxBytes}.`
    throw new MeshError('too-large', message, { maxBytes: limits.adapterMaxBytes })
  }
  return { bytes: Number(bytes), sha256: preamble.slice(at + 8, at + 40) }
}
