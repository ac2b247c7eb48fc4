// Differences of a few bits: blocks of 64 numbers share a scale, and each number has one of 2^bits evenly spaced levels on both sides of
// zero: difference = (code - (2^bits - 1) / 2) * scale. Scales are stored as BF16, so code times scale is exact in float64, and adding it
// to the older number rounds once to float64, once to F32 and once to the dtype of the file: the same bytes on every machine.

import { bf16ToBits } from '../tensor-dtypes.ts'

export const blockNumbers = 64

export interface FewBits {
  /** One per number, below 2^bits. */
  readonly codes: Uint8Array
  /** One BF16 per block. */
  readonly scales: Uint16Array
}

/** Levels of the largest difference tried, beginning with all of them: fewer leave out the largest few, and serve the many better. */
const reaches = Array.from({ length: 13 }, (_, i) => 1 - i / 20)

/** All differences are finite. */
export function quantise(differences: Float32Array, bits: number): FewBits {
  const codes = new Uint8Array(differences.length)
  const scales = new Uint16Array(Math.ceil(differences.length / blockNumbers))
  for (let block = 0; block < scales.length; block++) {
    const [from, to] = [block * blockNumbers, Math.min((block + 1) * blockNumbers, differences.length)]
    const numbers = differences.subarray(from, to)
    const scale = bestScale(numbers, bits)
    scales[block] = bf16ToBits(scale)
    for (let i = from; i < to; i++) codes[i] = codeOf(differences[i]!, scale, bits)
  }
  return { codes, scales }
}

/** older + differences, as F32; not finite where a scale or an older number isn't, or where they leave F32. */
export function addDifferences(
  older: Float32Array,
  { codes, scales }: FewBits,
  bits: number,
): Float32Array<ArrayBuffer> {
  const middle = (2 ** bits - 1) / 2
  const newer = new Float32Array(older.length)
  for (let i = 0; i < older.length; i++) {
    newer[i] = older[i]! + (codes[i]! - middle) * bf16Value(scales[Math.floor(i / blockNumbers)]!)
  }
  return newer
}

/** Several codes to a byte where they fit, the first in the lowest bits. */
export function foldCodes(codes: Uint8Array, bits: number): Uint8Array {
  const perByte = Math.floor(8 / bits)
  const folded = new Uint8Array(foldedLength(codes.length, bits))
  for (let i = 0; i < codes.length; i++) folded[Math.floor(i / perByte)]! |= codes[i]! << (bits * (i % perByte))
  return folded
}

export function foldedLength(codes: number, bits: number): number {
  return Math.ceil(codes / Math.floor(8 / bits))
}

export function unfoldCodes(folded: Uint8Array, count: number, bits: number): Uint8Array {
  const perByte = Math.floor(8 / bits)
  const mask = 2 ** bits - 1
  const codes = new Uint8Array(count)
  for (let i = 0; i < count; i++) codes[i] = (folded[Math.floor(i / perByte)]! >>> (bits * (i % perByte))) & mask
  return codes
}

/** The one with the least squared error of those tried. A BF16 number. */
function bestScale(differences: Float32Array, bits: number): number {
  const largest = differences.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  let best = { scale: 0, error: Infinity }
  for (const reach of reaches) {
    const scale = bf16Value(bf16ToBits((2 * largest * reach) / (2 ** bits - 1)))
    const error = squaredError(differences, scale, bits)
    if (error < best.error) best = { scale, error }
  }
  return best.scale
}

function squaredError(differences: Float32Array, scale: number, bits: number): number {
  const middle = (2 ** bits - 1) / 2
  let sum = 0
  for (const value of differences) sum += (value - (codeOf(value, scale, bits) - middle) * scale) ** 2
  return sum
}

function codeOf(difference: number, scale: number, bits: number): number {
  const most = 2 ** bits - 1
  if (scale === 0) return most >>> 1
  return Math.max(0, Math.min(most, Math.round(difference / scale + most / 2)))
}

const cell = new Float32Array(1)
const cellBits = new Uint32Array(cell.buffer)

function bf16Value(bits: number): number {
  cellBits[0] = bits << 16
  return cell[0]!
}
