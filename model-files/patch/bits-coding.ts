// How a chunk is written as differences of a few bits. What it is split into is not all of the newer bytes: what `join` makes of it is what
// the newer file is then defined to be.
import { MeshError } from '../../protocol/index.ts'
import { decodeTensor, encodeTensor, indexOfNonFinite } from '../tensor-dtypes.ts'
import type { TensorDtype } from '../tensor-dtypes.ts'
import { wholeCoding } from './chunk-coding.ts'
import type { ChunkCoding } from './chunk-coding.ts'
import { addDifferences, blockNumbers, foldCodes, foldedLength, quantise, unfoldCodes } from './few-bits.ts'

export interface BitsFormat {
  readonly bits: number
  /** Of the older and of the newer file. */
  readonly from: TensorDtype
  readonly to: TensorDtype
}

/** Streams: scales, low bytes and high bytes; codes, folded. */
export function bitsCoding({ bits, from, to }: BitsFormat, olderBytes: Uint8Array): ChunkCoding {
  const older = decodeTensor(from, olderBytes)
  const scaleBytes = wholeCoding(2 * Math.ceil(older.length / blockNumbers), 2)
  return {
    lengths: [...scaleBytes.lengths, foldedLength(older.length, bits)],
    split(newerBytes) {
      const newer = decodeTensor(to, newerBytes)
      const { codes, scales } = quantise(requireFinite(differences(older, newer)), bits)
      return [...scaleBytes.split(new Uint8Array(scales.buffer)), foldCodes(codes, bits)]
    },
    join(streams) {
      const scales = new Uint16Array(scaleBytes.join(streams.slice(0, -1)).buffer as ArrayBuffer)
      const codes = unfoldCodes(streams.at(-1)!, older.length, bits)
      return encodeTensor(to, requireFinite(addDifferences(older, { codes, scales }, bits)))
    },
  }
}

function differences(older: Float32Array, newer: Float32Array): Float32Array<ArrayBuffer> {
  return newer.slice().map((value, i) => value - older[i]!)
}

function requireFinite(values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (indexOfNonFinite(values) < 0) return values
  throw new MeshError('not-finite', 'A difference between the two files, or what comes of it, is not a finite number.')
}
