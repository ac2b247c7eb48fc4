// Numbers <-> bytes for the tensor types an adapter may hold: F32, F16, BF16 and llama.cpp's Q8_0. Little-endian, like every file we read.
// Rounding is to nearest, ties to even, straight from the given number (no detour through a narrower type), except inside Q8_0 blocks,
// which follow llama.cpp's reference quantiser bit by bit so that both sides agree on the stored bytes.

import { ggmlTypes } from './gguf-format.ts'
import type { GgmlType } from './gguf-format.ts'

export type TensorDtype = 'F32' | 'F16' | 'BF16' | 'Q8_0'

const tensorDtypes: readonly TensorDtype[] = ['F32', 'F16', 'BF16', 'Q8_0']

/** The dtype behind a GGUF tensor type, or undefined for a type that adapters may not use. */
export function dtypeOf(type: GgmlType): TensorDtype | undefined {
  return tensorDtypes.find((dtype) => dtype === type.name)
}

/** Decodes stored bytes; throws a plain Error if they are not whole blocks (callers check sizes at the door). */
export function decodeTensor(dtype: TensorDtype, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { blockElements, blockBytes } = ggmlTypes[dtype]
  if (bytes.length % blockBytes !== 0) throw new Error(`${bytes.length} bytes are not whole ${dtype} blocks`)
  const values = new Float32Array((bytes.length / blockBytes) * blockElements)
  decoders[dtype](bytes, values)
  return values
}

/**
 * Encodes numbers (f32 or f64 values). Out-of-range values become infinities in F32, F16 and BF16; look for them with `indexOfNonFinite`.
 * A Q8_0 block with a value that is not finite is a bug of the caller.
 */
export function encodeTensor(dtype: TensorDtype, values: Float32Array | Float64Array): Uint8Array<ArrayBuffer> {
  const { blockElements, blockBytes } = ggmlTypes[dtype]
  if (values.length % blockElements !== 0) throw new Error(`${values.length} values are not whole ${dtype} blocks`)
  const bytes = new Uint8Array((values.length / blockElements) * blockBytes)
  encoders[dtype](values, new DataView(bytes.buffer))
  return bytes
}

/** Index of the first NaN or infinity, -1 if all values are finite. */
export function indexOfNonFinite(values: Float32Array | Float64Array): number {
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(values[index])) return index
  }
  return -1
}

type Decoder = (bytes: Uint8Array, values: Float32Array) => void
type Encoder = (values: Float32Array | Float64Array, view: DataView) => void

// Typed arrays look at bytes in the machine's order, and every machine that Node runs on is little-endian, as the files are.
const decoders: Record<TensorDtype, Decoder> = {
  F32: (bytes, values) => new Uint8Array(values.buffer).set(bytes),
  F16: (bytes, values) => {
    const table = f16Values()
    const halves = new Uint16Array(aligned(bytes))
    for (let index = 0; index < values.length; index++) values[index] = table[halves[index]!]!
  },
  BF16: (bytes, values) => {
    const words = new Uint32Array(values.buffer)
    const halves = new Uint16Array(aligned(bytes))
    for (let index = 0; index < words.length; index++) words[index] = halves[index]! << 16
  },
  Q8_0: (bytes, values) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let block = 0; block * 32 < values.length; block++) {
      const scale = f16FromBits(view.getUint16(block * 34, true))
      for (let lane = 0; lane < 32; lane++) values[block * 32 + lane] = scale * view.getInt8(block * 34 + 2 + lane)
    }
  },
}

const encoders: Record<TensorDtype, Encoder> = {
  F32: (values, view) => new Float32Array(view.buffer).set(values),
  F16: (values, view) => {
    const halves = new Uint16Array(view.buffer)
    for (let index = 0; index < values.length; index++) halves[index] = f16ToBits(values[index]!)
  },
  BF16: (values, view) => {
    const halves = new Uint16Array(view.buffer)
    for (let index = 0; index < values.length; index++) halves[index] = bf16ToBits(values[index]!)
  },
  Q8_0: encodeQ8Blocks,
}

/** The bytes in a buffer of their own, where typed arrays of any element size may look at them. */
function aligned(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

// Scratch cells to look at the bits of one number.
const f64Cell = new Float64Array(1)
const f64Words = new Uint32Array(f64Cell.buffer)
const f32Cell = new Float32Array(1)
const f32Word = new Uint32Array(f32Cell.buffer)

/**
 * Adding 1.5 * 2^52 quanta to a magnitude puts the unit of the double's last place at exactly one quantum, so that the addition itself
 * rounds, ties to even. The quantum depends on the magnitude's exponent and stops shrinking where the narrow format is subnormal.
 */
function shifters(mantissaBits: number, minExponent: number): Float64Array {
  return Float64Array.from({ length: 1024 + 128 }, (_, biased) => {
    return 1.5 * 2 ** (52 + Math.max(biased - 1023, minExponent) - mantissaBits)
  })
}

const f16Shifters = shifters(10, -14)
const bf16Shifters = shifters(7, -126)

/** The magnitude must lie below the narrow format's overflow. */
function roundMagnitude(magnitude: number, shifterOf: Float64Array): number {
  f64Cell[0] = magnitude
  const shifter = shifterOf[f64Words[1]! >>> 20]!
  return magnitude + shifter - shifter
}

export function f16ToBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= 65_520) return sign | 0x7c00
  const rounded = roundMagnitude(magnitude, f16Shifters)
  if (rounded < 2 ** -14) return sign | (rounded * 2 ** 24)
  f32Cell[0] = rounded
  return sign | ((f32Word[0]! >>> 13) - (112 << 10))
}

export function f16FromBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const mantissa = bits & 0x3ff
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN
  return sign * (1024 + mantissa) * 2 ** (exponent - 25)
}

let valuesByBits: Float32Array | undefined

function f16Values(): Float32Array {
  valuesByBits ??= Float32Array.from({ length: 65_536 }, (_, bits) => f16FromBits(bits))
  return valuesByBits
}

/** The largest double that still rounds to a finite BF16 lies just below this. */
const bf16Overflow = (2 - 2 ** -8) * 2 ** 127

export function bf16ToBits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= bf16Overflow) return sign | 0x7f80
  f32Cell[0] = roundMagnitude(magnitude, bf16Shifters)
  return sign | (f32Word[0]! >>> 16)
}

/** llama.cpp's quantize_row_q8_0_ref: 32 values share an F16 scale = largest magnitude / 127; all arithmetic in f32, ties away from zero. */
function encodeQ8Blocks(values: Float32Array | Float64Array, view: DataView): void {
  for (let block = 0; block * 32 < values.length; block++) {
    let largest = 0
    for (let lane = 0; lane < 32; lane++) {
      const value = Math.fround(values[block * 32 + lane]!)
      if (!Number.isFinite(value)) throw new Error(`value ${block * 32 + lane} is not finite`)
      largest = Math.max(largest, Math.abs(value))
    }
    const scale = Math.fround(largest / 127)
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
    view.setUint16(block * 34, f16ToBits(scale), true)
    for (let lane = 0; lane < 32; lane++) {
      const level = Math.fround(Math.fround(values[block * 32 + lane]!) * inverse)
      view.setInt8(block * 34 + 2 + lane, level < 0 ? -Math.floor(0.5 - level) : Math.floor(level + 0.5))
    }
  }
}
