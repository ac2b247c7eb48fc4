// How the bytes of one chunk are written exactly: beside the older ones, or by themselves. Streams of bytes whose number and lengths follow
// from what the reader of a patch has already.
import type { TensorDtype } from '../tensor-dtypes.ts'
import { f16FromBits } from '../tensor-dtypes.ts'
import { bf16Words, f16Words, f32Words, wordDelta } from './word-delta.ts'
import type { WordFormat, Words } from './word-delta.ts'

export interface ChunkCoding {
  readonly lengths: readonly number[]
  split(newer: Uint8Array): Uint8Array[]
  join(streams: readonly Uint8Array[]): Uint8Array
}

/** Of chunks that the older file has too, in the same dtype. */
export function deltaCoding(dtype: TensorDtype, older: Uint8Array): ChunkCoding {
  return dtype === 'Q8_0' ? q8Delta(older) : plainDelta(wordFormats[dtype], older)
}

/** One stream per byte of a number: the first bytes of all of them, then the second ones, and so on. */
export function wholeCoding(bytes: number, numberBytes: number): ChunkCoding {
  const count = bytes / numberBytes
  return {
    lengths: Array<number>(numberBytes).fill(count),
    split: (newer) => {
      const streams = Array.from({ length: numberBytes }, () => new Uint8Array(count))
      for (let i = 0; i < bytes; i++) streams[i % numberBytes]![Math.floor(i / numberBytes)] = newer[i]!
      return streams
    },
    join: (streams) => {
      const newer = new Uint8Array(bytes)
      for (let i = 0; i < bytes; i++) newer[i] = streams[i % numberBytes]![Math.floor(i / numberBytes)]!
      return newer
    },
  }
}

const wordFormats = { F32: f32Words, F16: f16Words, BF16: bf16Words } as const

function plainDelta(format: WordFormat, older: Uint8Array): ChunkCoding {
  const delta = wordDelta(format, wordsOf(format, older))
  return {
    lengths: delta.lengths,
    split: (newer) => delta.split(wordsOf(format, newer)),
    join: (streams) => bytesOf(delta.join(streams)),
  }
}

const q8BlockBytes = 34

/** The scales as words, then one stream of levels: the differences from what the older number is on the newer scale. */
function q8Delta(older: Uint8Array): ChunkCoding {
  const blocks = older.length / q8BlockBytes
  const olderScales = scalesOf(older)
  const scaleDelta = wordDelta(f16Words, olderScales)
  return {
    lengths: [...scaleDelta.lengths, blocks * 32],
    split(newer) {
      const scales = scalesOf(newer)
      const levels = new Uint8Array(blocks * 32)
      forEachLevel(older, scales, (expected, at, i) => (levels[i] = zigzag8(newer[at]! - expected)))
      return [...scaleDelta.split(scales), levels]
    },
    join(streams) {
      const scales = scaleDelta.join(streams.slice(0, -1))
      const levels = streams.at(-1)!
      const newer = new Uint8Array(older.length)
      forEachLevel(older, scales, (expected, at, i) => (newer[at] = expected + unzigzag8(levels[i]!)))
      const view = new DataView(newer.buffer)
      for (let block = 0; block < blocks; block++) view.setUint16(block * q8BlockBytes, scales[block]!, true)
      return newer
    },
  }
}

function forEachLevel(
  older: Uint8Array,
  newerScales: Words,
  visit: (expected: number, at: number, index: number) => void,
): void {
  const view = new DataView(older.buffer, older.byteOffset, older.byteLength)
  for (let block = 0; block < newerScales.length; block++) {
    const ratio = f16FromBits(view.getUint16(block * q8BlockBytes, true)) / f16FromBits(newerScales[block]!)
    // From or to a scale that is zero or no number nothing can be told.
    const known = Number.isFinite(ratio)
    for (let lane = 0; lane < 32; lane++) {
      const at = block * q8BlockBytes + 2 + lane
      const level = view.getInt8(at)
      visit(known ? clampedLevel(Math.round(level * ratio)) : level, at, block * 32 + lane)
    }
  }
}

function clampedLevel(level: number): number {
  return Math.max(-127, Math.min(127, level))
}

function zigzag8(difference: number): number {
  const signed = (difference << 24) >> 24
  return ((signed << 1) ^ (signed >> 31)) & 0xff
}

function unzigzag8(bits: number): number {
  return (bits >>> 1) ^ -(bits & 1)
}

function scalesOf(blocks: Uint8Array): Uint16Array {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength)
  return Uint16Array.from({ length: blocks.length / q8BlockBytes }, (_, block) =>
    view.getUint16(block * q8BlockBytes, true),
  )
}

/** In a buffer of their own: a view of a file need not begin where a word may. */
function wordsOf({ bytes: size }: WordFormat, bytes: Uint8Array): Words {
  const { buffer } = new Uint8Array(bytes)
  return size === 2 ? new Uint16Array(buffer) : new Uint32Array(buffer)
}

function bytesOf({ buffer, byteOffset, byteLength }: Words): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
