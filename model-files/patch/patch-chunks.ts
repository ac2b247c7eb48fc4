// Which bytes of the two files a chunk of a patch is about. Makers and users of a patch work it out alike, from the two headers: tensors of
// the newer file in their order, cut where they are long and gathered where they are short, so that a stream is neither large nor tiny.
import { letOthersRun } from '../event-loop.ts'
import type { Cancellable } from '../event-loop.ts'
import { elementCount } from '../gguf-format.ts'
import type { GgufFile, GgufTensorInfo } from '../gguf-format.ts'
import { dtypeOf } from '../tensor-dtypes.ts'
import type { TensorDtype } from '../tensor-dtypes.ts'
import { bitsCoding } from './bits-coding.ts'
import { deltaCoding, wholeCoding } from './chunk-coding.ts'
import type { ChunkCoding } from './chunk-coding.ts'

export interface PatchProgress {
  /** Of the newer file's tensor data. */
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface PatchOptions extends Cancellable {
  readonly onProgress?: ((progress: PatchProgress) => void) | undefined
}

export interface Chunk {
  readonly pieces: readonly Piece[]
  readonly coding: ChunkCoding
  /** Of the newer file. */
  readonly bytes: number
}

interface Piece {
  readonly newer: GgufTensorInfo
  /** Undefined where the older file has no such tensor, or one of another shape. */
  readonly older: GgufTensorInfo | undefined
  /** Numbers of both tensors, as they are stored. */
  readonly from: number
  readonly count: number
}

/** Whole blocks of every tensor type: 1 MiB of F32. */
const chunkNumbers = 2 ** 18

/** One after the other, to the end of the newer file's tensors; progress is told after each. */
export async function* patchChunks(
  older: GgufFile,
  newer: Pick<GgufFile, 'tensors'>,
  bits: number,
  options: PatchOptions,
): AsyncGenerator<Chunk> {
  const bytesTotal = newer.tensors.reduce((sum, { bytes }) => sum + bytes, 0)
  let bytesDone = 0
  for (const pieces of gathered(older, newer, bits)) {
    const bytes = pieces.reduce((sum, piece) => sum + rangeOf(piece, piece.newer).bytes, 0)
    yield { pieces, bytes, coding: codingOf(older, pieces, bytes, bits) }
    bytesDone += bytes
    options.onProgress?.({ bytesDone, bytesTotal })
    await letOthersRun(options)
  }
}

/** The chunk's bytes in the newer file. */
export function newerBytes(newer: GgufFile, { pieces, bytes }: Chunk): Uint8Array {
  return joined(bytes, pieces, (piece) => bytesIn(newer, piece, piece.newer))
}

function codingOf(older: GgufFile, pieces: readonly Piece[], bytes: number, bits: number): ChunkCoding {
  const { newer, older: like } = pieces[0]!
  if (like === undefined) return wholeCoding(bytes, newer.type.blockElements === 1 ? newer.type.blockBytes : 1)
  const olderBytes = joined(
    pieces.reduce((sum, piece) => sum + rangeOf(piece, piece.older!).bytes, 0),
    pieces,
    (piece) => bytesIn(older, piece, piece.older!),
  )
  // Only tensors of adapters' dtypes have a counterpart.
  const [from, to] = [dtypeOf(like.type), dtypeOf(newer.type)] as [TensorDtype, TensorDtype]
  return bits === 0 ? deltaCoding(to, olderBytes) : bitsCoding({ bits, from, to }, olderBytes)
}

function* gathered(older: GgufFile, newer: Pick<GgufFile, 'tensors'>, bits: number): Generator<Piece[]> {
  const olderTensors = new Map(older.tensors.map((tensor) => [tensor.name, tensor]))
  let pieces: Piece[] = []
  let numbers = 0
  for (const tensor of newer.tensors) {
    for (const piece of piecesOf(tensor, counterpart(olderTensors.get(tensor.name), tensor, bits))) {
      const fits = pieces.length === 0 || (isAlike(pieces[0]!, piece) && numbers + piece.count <= chunkNumbers)
      if (!fits) {
        yield pieces
        pieces = []
        numbers = 0
      }
      pieces.push(piece)
      numbers += piece.count
    }
  }
  if (pieces.length > 0) yield pieces
}

function* piecesOf(newer: GgufTensorInfo, older: GgufTensorInfo | undefined): Generator<Piece> {
  const total = elementCount(newer.shape)
  for (let from = 0; from < total; from += chunkNumbers) {
    yield { newer, older, from, count: Math.min(chunkNumbers, total - from) }
  }
}

function counterpart(
  older: GgufTensorInfo | undefined,
  newer: GgufTensorInfo,
  bits: number,
): GgufTensorInfo | undefined {
  if (older === undefined || older.shape.join() !== newer.shape.join()) return undefined
  if (dtypeOf(older.type) === undefined || dtypeOf(newer.type) === undefined) return undefined
  return bits > 0 || older.type === newer.type ? older : undefined
}

function isAlike(one: Piece, other: Piece): boolean {
  return one.newer.type === other.newer.type && one.older?.type === other.older?.type
}

function rangeOf({ from, count }: Piece, { type }: GgufTensorInfo): { offset: number; bytes: number } {
  const { blockElements, blockBytes } = type
  return { offset: (from / blockElements) * blockBytes, bytes: (count / blockElements) * blockBytes }
}

function bytesIn(file: GgufFile, piece: Piece, tensor: GgufTensorInfo): Uint8Array {
  const { offset, bytes } = rangeOf(piece, tensor)
  return file.source.read(file.dataOffset + tensor.offset + offset, bytes)
}

function joined(bytes: number, pieces: readonly Piece[], read: (piece: Piece) => Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces) {
    const part = read(piece)
    out.set(part, at)
    at += part.length
  }
  return out
}
