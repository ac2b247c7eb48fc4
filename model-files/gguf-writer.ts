// Writes GGUF version 3 in the one form the mesh uses: metadata and tensors in the order given, alignment 32, zero padding after the header
// and after every tensor. Reading a valid adapter and writing it again gives the same bytes.
import {
  ggufAlignment,
  ggufMagic,
  ggufValueTypes,
  ggufVersion,
  padTo,
  tensorBytes,
  tensorNameMaxBytes,
} from './gguf-format.ts'
import type { GgmlType, GgufValue, GgufValueType } from './gguf-format.ts'
import { writeWholeFile, type ByteChunks, type WrittenFile } from './whole-file.ts'

export type { WrittenFile } from './whole-file.ts'

export interface GgufTensorShape {
  readonly name: string
  readonly type: GgmlType
  /** ne order, see `GgufTensorInfo`. */
  readonly shape: readonly number[]
}

export interface GgufTensorSource<Data> extends GgufTensorShape {
  /** Stored bytes, exactly as many as type and shape say. Chunks may have any length; each is written before the next is asked for. */
  readonly data: Data
}

export type GgufChunks = Uint8Array | ByteChunks

export interface GgufContent<Data> {
  readonly metadata: Iterable<readonly [string, GgufValue]>
  readonly tensors: readonly GgufTensorSource<Data>[]
}

/** A whole file in memory. */
export function writeGguf(content: GgufContent<Uint8Array>): Uint8Array<ArrayBuffer> {
  const header = encodeGgufHeader(content)
  const total = content.tensors.reduce((sum, tensor) => sum + padTo(sizeOf(tensor), ggufAlignment), header.length)
  const out = new Uint8Array(total)
  out.set(header)
  let offset = header.length
  for (const tensor of content.tensors) {
    if (tensor.data.length !== sizeOf(tensor)) throw wrongSize(tensor, tensor.data.length)
    out.set(tensor.data, offset)
    offset += padTo(tensor.data.length, ggufAlignment)
  }
  return out
}

/** Writes a file piece by piece, for sizes that shouldn't be held in memory; in full or not at all. */
export async function writeGgufFile(
  path: string,
  content: GgufContent<GgufChunks>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<WrittenFile> {
  return await writeWholeFile(path, fileChunks(content), options)
}

/** Header, metadata and tensor infos, padded: everything before the data section. */
export function encodeGgufHeader(content: {
  readonly metadata: Iterable<readonly [string, GgufValue]>
  readonly tensors: readonly GgufTensorShape[]
}): Uint8Array<ArrayBuffer> {
  const metadata = [...content.metadata]
  const out = new HeaderBytes()
  out.uint32(ggufMagic)
  out.uint32(ggufVersion)
  out.length(content.tensors.length)
  out.length(metadata.length)
  for (const [key, value] of metadata) {
    out.string(key)
    writeValue(out, value)
  }
  let offset = 0
  for (const tensor of content.tensors) {
    out.string(checkedName(tensor.name))
    out.uint32(tensor.shape.length)
    for (const length of tensor.shape) out.length(length)
    out.uint32(tensor.type.id)
    out.length(offset)
    offset += padTo(sizeOf(tensor), ggufAlignment)
  }
  return out.padded(ggufAlignment)
}

async function* fileChunks(content: GgufContent<GgufChunks>): AsyncGenerator<Uint8Array> {
  yield encodeGgufHeader(content)
  for (const tensor of content.tensors) yield* tensorBytesOf(tensor)
}

async function* tensorBytesOf(tensor: GgufTensorSource<GgufChunks>): AsyncGenerator<Uint8Array> {
  const size = sizeOf(tensor)
  let written = 0
  for await (const chunk of tensor.data instanceof Uint8Array ? [tensor.data] : tensor.data) {
    written += chunk.length
    if (written > size) break
    yield chunk
  }
  if (written !== size) throw wrongSize(tensor, written)
  yield new Uint8Array(padTo(size, ggufAlignment) - size)
}

function sizeOf(tensor: GgufTensorShape): number {
  const bytes = tensorBytes(tensor.type, tensor.shape)
  if (bytes === undefined) {
    throw new Error(`rows of ${tensor.name} (${tensor.shape[0]}) are not whole blocks of ${tensor.type.name}`)
  }
  return bytes
}

function wrongSize(tensor: GgufTensorShape, given: number): Error {
  return new Error(`tensor ${tensor.name} needs ${sizeOf(tensor)} bytes, ${given} or more were given`)
}

function checkedName(name: string): string {
  const length = Buffer.byteLength(name)
  if (length === 0 || length > tensorNameMaxBytes) throw new Error(`the tensor name "${name}" has ${length} bytes`)
  return name
}

function writeValue(out: HeaderBytes, value: GgufValue): void {
  out.uint32(ggufValueTypes.indexOf(value.type))
  if (value.type !== 'array') {
    writeScalar(out, value.type, value.value)
    return
  }
  out.uint32(ggufValueTypes.indexOf(value.itemType))
  out.length(value.value.length)
  for (const item of value.value) writeScalar(out, value.itemType, item)
}

function writeScalar(
  out: HeaderBytes,
  type: Exclude<GgufValueType, 'array'>,
  value: number | bigint | boolean | string,
): void {
  if (type === 'string') {
    out.string(String(value))
    return
  }
  const cell = new DataView(new ArrayBuffer(8))
  switch (type) {
    case 'uint8':
    case 'bool':
      cell.setUint8(0, Number(value))
      return out.bytes(cell, 1)
    case 'int8':
      cell.setInt8(0, Number(value))
      return out.bytes(cell, 1)
    case 'uint16':
      cell.setUint16(0, Number(value), true)
      return out.bytes(cell, 2)
    case 'int16':
      cell.setInt16(0, Number(value), true)
      return out.bytes(cell, 2)
    case 'uint32':
      cell.setUint32(0, Number(value), true)
      return out.bytes(cell, 4)
    case 'int32':
      cell.setInt32(0, Number(value), true)
      return out.bytes(cell, 4)
    case 'float32':
      cell.setFloat32(0, Number(value), true)
      return out.bytes(cell, 4)
    case 'float64':
      cell.setFloat64(0, Number(value), true)
      return out.bytes(cell, 8)
    case 'uint64':
      cell.setBigUint64(0, BigInt(value), true)
      return out.bytes(cell, 8)
    case 'int64':
      cell.setBigInt64(0, BigInt(value), true)
      return out.bytes(cell, 8)
  }
}

/** A growing buffer: headers with large tokenizers have megabytes. */
class HeaderBytes {
  #buffer = new Uint8Array(4096)
  #view = new DataView(this.#buffer.buffer)
  #length = 0

  uint32(value: number): void {
    this.#reserve(4)
    this.#view.setUint32(this.#length, value, true)
    this.#length += 4
  }

  /** A 64-bit count, length or offset. */
  length(value: number): void {
    this.#reserve(8)
    this.#view.setBigUint64(this.#length, BigInt(value), true)
    this.#length += 8
  }

  string(text: string): void {
    const bytes = Buffer.from(text, 'utf8')
    this.length(bytes.length)
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  bytes(cell: DataView, count: number): void {
    this.#reserve(count)
    for (let i = 0; i < count; i++) this.#buffer[this.#length + i] = cell.getUint8(i)
    this.#length += count
  }

  padded(alignment: number): Uint8Array<ArrayBuffer> {
    const total = padTo(this.#length, alignment)
    this.#reserve(total - this.#length)
    return this.#buffer.slice(0, total)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + bytes))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
    this.#view = new DataView(grown.buffer)
  }
}
