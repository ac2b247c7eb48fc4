// The GGUF container as values: typed metadata, tensor types and tensor infos. Reader and writer share these tables.
// Format: github.com/ggml-org/ggml, docs/gguf.md, version 3, little-endian.
import type { ByteSource } from './byte-source.ts'

export const ggufMagic = 0x46554747
export const ggufVersion = 3
/** Alignment of tensor data where a file doesn't say otherwise; the only one our files use. */
export const ggufAlignment = 32
/** ggml keeps tensor names in 64 bytes, a final zero included. */
export const tensorNameMaxBytes = 63

/** Type numbers of metadata values; the position in this list is the number in the file. */
export const ggufValueTypes = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const

export type GgufValueType = (typeof ggufValueTypes)[number]
export type GgufNumberType = 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'float32' | 'float64'

export type GgufScalar =
  | { readonly type: GgufNumberType; readonly value: number }
  | { readonly type: 'uint64' | 'int64'; readonly value: bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }

/** Arrays hold scalars of one type: nested arrays are refused by the reader and can't be written. */
export type GgufArray =
  | { readonly type: 'array'; readonly itemType: GgufNumberType; readonly value: readonly number[] }
  | { readonly type: 'array'; readonly itemType: 'uint64' | 'int64'; readonly value: readonly bigint[] }
  | { readonly type: 'array'; readonly itemType: 'bool'; readonly value: readonly boolean[] }
  | { readonly type: 'array'; readonly itemType: 'string'; readonly value: readonly string[] }

export type GgufValue = GgufScalar | GgufArray

/** Bytes of one value in the file; of a string or an array, the least it can take. */
export const ggufValueBytes: Record<GgufValueType, number> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  array: 12,
  uint64: 8,
  int64: 8,
  float64: 8,
}

/** How a tensor's elements are stored. Rows (`shape[0]` elements) are whole blocks. */
export interface GgmlType {
  /** The number in the file (ggml.h, enum ggml_type). */
  readonly id: number
  readonly name: string
  readonly blockElements: number
  readonly blockBytes: number
}

const aType = (id: number, name: string, blockElements: number, blockBytes: number): GgmlType => ({
  id,
  name,
  blockElements,
  blockBytes,
})

/** Every type of llama.cpp that a model file may hold. Numbers that are missing were removed, or never stored in files. */
export const ggmlTypes = {
  F32: aType(0, 'F32', 1, 4),
  F16: aType(1, 'F16', 1, 2),
  Q4_0: aType(2, 'Q4_0', 32, 18),
  Q4_1: aType(3, 'Q4_1', 32, 20),
  Q5_0: aType(6, 'Q5_0', 32, 22),
  Q5_1: aType(7, 'Q5_1', 32, 24),
  Q8_0: aType(8, 'Q8_0', 32, 34),
  Q2_K: aType(10, 'Q2_K', 256, 84),
  Q3_K: aType(11, 'Q3_K', 256, 110),
  Q4_K: aType(12, 'Q4_K', 256, 144),
  Q5_K: aType(13, 'Q5_K', 256, 176),
  Q6_K: aType(14, 'Q6_K', 256, 210),
  IQ2_XXS: aType(16, 'IQ2_XXS', 256, 66),
  IQ2_XS: aType(17, 'IQ2_XS', 256, 74),
  IQ3_XXS: aType(18, 'IQ3_XXS', 256, 98),
  IQ1_S: aType(19, 'IQ1_S', 256, 50),
  IQ4_NL: aType(20, 'IQ4_NL', 32, 18),
  IQ3_S: aType(21, 'IQ3_S', 256, 110),
  IQ2_S: aType(22, 'IQ2_S', 256, 82),
  IQ4_XS: aType(23, 'IQ4_XS', 256, 136),
  I8: aType(24, 'I8', 1, 1),
  I16: aType(25, 'I16', 1, 2),
  I32: aType(26, 'I32', 1, 4),
  I64: aType(27, 'I64', 1, 8),
  F64: aType(28, 'F64', 1, 8),
  IQ1_M: aType(29, 'IQ1_M', 256, 56),
  BF16: aType(30, 'BF16', 1, 2),
  TQ1_0: aType(34, 'TQ1_0', 256, 54),
  TQ2_0: aType(35, 'TQ2_0', 256, 66),
  MXFP4: aType(39, 'MXFP4', 32, 17),
  NVFP4: aType(40, 'NVFP4', 64, 36),
  Q1_0: aType(41, 'Q1_0', 128, 18),
  Q2_0: aType(42, 'Q2_0', 64, 18),
} as const

const typesById = new Map<number, GgmlType>(Object.values(ggmlTypes).map((type) => [type.id, type]))

/** The type behind a number in a file, or undefined for numbers that are unassigned or were removed. */
export function ggmlTypeById(id: number): GgmlType | undefined {
  return typesById.get(id)
}

export interface GgufTensorInfo {
  readonly name: string
  readonly type: GgmlType
  /** ne order: `shape[0]` is the length of a row, so a matrix W[out][in] has shape [in, out]. */
  readonly shape: readonly number[]
  /** From the start of the data section (`GgufFile.dataOffset`). */
  readonly offset: number
  /** Stored size without padding. */
  readonly bytes: number
}

export interface GgufFile {
  readonly version: number
  readonly alignment: number
  /** In the file's order. */
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** In the file's order, which is also the order of their data. */
  readonly tensors: readonly GgufTensorInfo[]
  /** Byte offset of the data section in the file. */
  readonly dataOffset: number
  readonly source: ByteSource
}

export function padTo(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}

/** Stored size in bytes; undefined when a row is not a whole number of blocks. */
export function tensorBytes(type: GgmlType, shape: readonly number[]): number | undefined {
  if ((shape[0] ?? 0) % type.blockElements !== 0) return undefined
  return (elementCount(shape) / type.blockElements) * type.blockBytes
}
