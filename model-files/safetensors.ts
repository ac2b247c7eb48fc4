// Strict reader of the safetensors container: 8 bytes of header length, a JSON header, tensor data. Format: github.com/huggingface/safetensors.
// Called on files from strangers: the header's claims are compared with the file's size before anything is read, and tensors must cover the
// data exactly, each byte once. What the tensors mean is the importer's business.
import { MeshError } from '../protocol/index.ts'
import type { ByteSource } from './byte-source.ts'
import { elementCount } from './gguf-format.ts'
import { parseStrictJson, type JsonObject, type JsonValue } from './strict-json.ts'
import type { TensorDtype } from './tensor-dtypes.ts'

export interface SafetensorsTensor {
  readonly name: string
  readonly dtype: Exclude<TensorDtype, 'Q8_0'>
  /** Row-major, outermost dimension first (the reverse of GGUF's order). */
  readonly shape: readonly number[]
  /** From the start of the file. */
  readonly offset: number
  readonly bytes: number
}

export interface SafetensorsFile {
  /** In the order of their data. */
  readonly tensors: readonly SafetensorsTensor[]
  readonly source: ByteSource
}

const headerMaxBytes = 4 * 1024 * 1024
const tensorsMax = 8_192
const nameMaxChars = 256
const dimensionsMax = 8

export const elementBytes = { F32: 4, F16: 2, BF16: 2 } as const
/** Types of the format that no adapter of ours is made of. */
const otherTypes = new Set(
  'F64 F8_E4M3 F8_E5M2 F8_E8M0 F4 F6_E2M3 F6_E3M2 I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64'.split(' '),
)

const foreignFormats: readonly (readonly [magic: readonly number[], name: string])[] = [
  [[0x47, 0x47, 0x55, 0x46], 'a GGUF file'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive, such as PyTorch writes'],
  [[0x80, 0x02], 'a Python pickle, which could run code'],
  [[0x80, 0x03], 'a Python pickle, which could run code'],
  [[0x80, 0x04], 'a Python pickle, which could run code'],
  [[0x80, 0x05], 'a Python pickle, which could run code'],
]

/** Throws `safetensors-malformed`, or `peft-unsupported` for a type of number that adapters are not made of. */
export function readSafetensors(source: ByteSource): SafetensorsFile {
  const headerBytes = headerLength(source)
  const header = parseStrictJson(source.read(8, headerBytes), { maxDepth: 4, maxValues: tensorsMax * 16 })
  if (header.kind === 'refused') throw malformed(`its header is not the JSON it should be: ${header.reason}`)
  if (!(header.value instanceof Map)) throw malformed('its header is not a JSON object')
  const tensors: SafetensorsTensor[] = []
  for (const [name, entry] of header.value as JsonObject) {
    if (name === '__metadata__') checkMetadata(entry)
    else tensors.push(tensorOf(name, entry, 8 + headerBytes))
  }
  if (tensors.length > tensorsMax)
    throw malformed(`it has ${tensors.length} tensors, at most ${tensorsMax} are allowed`)
  tensors.sort((a, b) => a.offset - b.offset)
  checkCoverage(tensors, 8 + headerBytes, source.size)
  return { tensors, source }
}

/** The stored bytes of one tensor. Its size was compared with the file when the header was read. */
export function readSafetensor(file: SafetensorsFile, tensor: SafetensorsTensor): Uint8Array {
  return file.source.read(tensor.offset, tensor.bytes)
}

function malformed(problem: string, details: Record<string, unknown> = {}): MeshError {
  return new MeshError('safetensors-malformed', `This is not a valid safetensors file: ${problem}.`, details)
}

function headerLength(source: ByteSource): number {
  const start = source.read(0, Math.min(8, source.size))
  for (const [magic, name] of foreignFormats) {
    if (magic.every((byte, index) => start[index] === byte)) {
      throw malformed(`it is ${name}; save the adapter with safe_serialization=True`)
    }
  }
  if (start.length < 8) throw malformed(`it has ${source.size} bytes, not even room for a header length`)
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(source.size - 8))
    throw malformed(`its header claims ${length} bytes, the file has ${source.size}`)
  if (length > BigInt(headerMaxBytes))
    throw malformed(`its header has ${length} bytes, at most ${headerMaxBytes} are allowed`)
  return Number(length)
}

function checkMetadata(entry: JsonValue): void {
  const valid = entry instanceof Map && [...entry.values()].every((value) => typeof value === 'string')
  if (!valid) throw malformed('its __metadata__ must map names to texts')
}

function tensorOf(name: string, entry: JsonValue, dataStart: number): SafetensorsTensor {
  if (!/^[\x21-\x7e]+$/.test(name) || name.length > nameMaxChars) {
    throw malformed(`a tensor name is not plain text of up to ${nameMaxChars} characters`)
  }
  const what = `the entry of tensor ${name}`
  if (!(entry instanceof Map)) throw malformed(`${what} is not a JSON object`)
  const fields = entry as JsonObject
  const known = ['dtype', 'shape', 'data_offsets']
  if (fields.size !== known.length || !known.every((field) => fields.has(field))) {
    throw malformed(`${what} must have dtype, shape and data_offsets, and nothing else`, { tensor: name })
  }
  const dtype = dtypeOfTensor(name, fields.get('dtype'))
  const shape = sizeList(`the shape of tensor ${name}`, fields.get('shape'))
  const offsets = sizeList(`data_offsets of tensor ${name}`, fields.get('data_offsets'))
  const [begin, end] = offsets
  if (offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw malformed(`data_offsets of tensor ${name} are not a begin and an end`, { tensor: name })
  }
  const bytes = elementCount(shape) * elementBytes[dtype]
  if (bytes === 0 || bytes !== end - begin) {
    throw malformed(`tensor ${name} takes ${end - begin} bytes where its shape [${shape.join(', ')}] needs ${bytes}`, {
      tensor: name,
    })
  }
  return { name, dtype, shape, offset: dataStart + begin, bytes }
}

function dtypeOfTensor(name: string, value: JsonValue | undefined): SafetensorsTensor['dtype'] {
  if (value === 'F32' || value === 'F16' || value === 'BF16') return value
  if (typeof value === 'string' && otherTypes.has(value)) {
    throw new MeshError(
      'peft-unsupported',
      `Tensor ${name} holds ${value} numbers. Save the adapter as F32, F16 or BF16.`,
      {
        tensor: name,
        dtype: value,
      },
    )
  }
  throw malformed(`the dtype of tensor ${name} is not one of the format`, { tensor: name })
}

function sizeList(what: string, value: JsonValue | undefined): readonly number[] {
  const isSize = (item: JsonValue): boolean => typeof item === 'number' && Number.isSafeInteger(item) && item >= 0
  if (!Array.isArray(value) || value.length > dimensionsMax || !value.every(isSize)) {
    throw malformed(`${what} must be a short list of whole numbers`)
  }
  return value as readonly number[]
}

/** Tensors in order of their offsets must lie end to end from the header to the end of the file: no holes, no shared or hidden bytes. */
function checkCoverage(tensors: readonly SafetensorsTensor[], dataStart: number, size: number): void {
  let expected = dataStart
  for (const { name, offset, bytes } of tensors) {
    if (offset !== expected) {
      const problem = offset < expected ? 'overlaps the one before it' : 'leaves unused bytes before it'
      throw malformed(`tensor ${name} ${problem}`, { tensor: name })
    }
    expected = offset + bytes
  }
  if (expected > size) throw malformed(`its tensors need ${expected} bytes, the file has ${size}`)
  if (expected < size) throw malformed(`${size - expected} bytes follow its last tensor`)
}
