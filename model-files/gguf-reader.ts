// Strict reader of the GGUF container: header, metadata and tensor infos, nothing of the tensor data. Called on files from strangers, so
// every count and length is compared with the bytes that remain and with the profile's limits before anything is read or allocated.
import { MeshError } from '../protocol/index.ts'
import type { ByteSource } from './byte-source.ts'
import {
  elementCount,
  ggmlTypeById,
  ggufAlignment,
  ggufMagic,
  ggufValueBytes,
  ggufValueTypes,
  ggufVersion,
  padTo,
  tensorBytes,
  tensorNameMaxBytes,
} from './gguf-format.ts'
import type { GgufFile, GgufTensorInfo, GgufValue, GgufValueType } from './gguf-format.ts'

export type GgufProfile = 'base' | 'adapter'

interface Limits {
  readonly metadataMax: number
  readonly tensorsMax: number
  readonly keyMaxBytes: number
  readonly stringMaxBytes: number
  readonly arrayMaxItems: number
  /** Header, metadata and tensor infos together. */
  readonly headerMaxBytes: number
}

const profileLimits: Record<GgufProfile, Limits> = {
  // A base is the user's own choice, but may come from anywhere: large tokenizers and templates fit, absurd sizes don't.
  base: {
    metadataMax: 4_096,
    tensorsMax: 65_536,
    keyMaxBytes: 256,
    stringMaxBytes: 16 * 2 ** 20,
    arrayMaxItems: 4 * 2 ** 20,
    headerMaxBytes: 256 * 2 ** 20,
  },
  adapter: {
    metadataMax: 256,
    tensorsMax: 4_096,
    keyMaxBytes: 64,
    stringMaxBytes: 64 * 2 ** 10,
    arrayMaxItems: 65_536,
    headerMaxBytes: 8 * 2 ** 20,
  },
}

const adapterKey = /^[a-z0-9_.-]+$/

/**
 * Reads the container. Throws `gguf-malformed` with what is wrong and where. Adapters must moreover have the one canonical shape:
 * alignment 32, keys of [a-z0-9_.-], tensor data to the last byte of the file.
 *
 * `seen` receives the metadata as it is read, so that a caller can tell what a file wanted to be even when it is malformed.
 */
export function readGguf(source: ByteSource, profile: GgufProfile, seen = new Map<string, GgufValue>()): GgufFile {
  const limits = profileLimits[profile]
  const cursor = new HeaderCursor(source, limits.headerMaxBytes)
  const { tensorCount, metadataCount } = readPreamble(cursor, limits)
  for (let i = 0; i < metadataCount; i++) readPair(cursor, profile, seen)
  const alignment = alignmentOf(seen, profile)
  const tensors = readTensorInfos(cursor, tensorCount, alignment)
  const dataOffset = padTo(cursor.position, alignment)
  checkDataSize(tensors, dataOffset, alignment, source.size, profile)
  return { version: ggufVersion, alignment, metadata: seen, tensors, dataOffset, source }
}

/** All bytes of one tensor. The size was compared with the file when its info was read. */
export function readTensor(file: GgufFile, tensor: GgufTensorInfo): Uint8Array {
  return file.source.read(file.dataOffset + tensor.offset, tensor.bytes)
}

/** The bytes of one tensor in pieces of whole blocks, about `chunkBytes` each. */
export function* tensorChunks(file: GgufFile, tensor: GgufTensorInfo, chunkBytes = 2 ** 20): Generator<Uint8Array> {
  const step = Math.max(1, Math.floor(chunkBytes / tensor.type.blockBytes)) * tensor.type.blockBytes
  for (let done = 0; done < tensor.bytes; done += step) {
    yield file.source.read(file.dataOffset + tensor.offset + done, Math.min(step, tensor.bytes - done))
  }
}

function malformed(problem: string, details: Record<string, unknown> = {}): MeshError {
  return new MeshError('gguf-malformed', `This is not a valid GGUF file: ${problem}.`, details)
}

function readPreamble(cursor: HeaderCursor, limits: Limits): { tensorCount: number; metadataCount: number } {
  if (cursor.uint32('the magic number') !== ggufMagic) throw malformed('it does not begin with "GGUF"')
  const version = cursor.uint32('the version')
  if (version !== ggufVersion) {
    const hint = version === 0x0300_0000 ? ' (a big-endian file)' : ''
    throw malformed(`its version is ${version}${hint}, only version 3 is read`, { version })
  }
  const tensorCount = cursor.length('the number of tensors')
  const metadataCount = cursor.length('the number of metadata pairs')
  if (tensorCount > limits.tensorsMax) {
    throw malformed(`it claims ${tensorCount} tensors, at most ${limits.tensorsMax} are allowed`)
  }
  if (metadataCount > limits.metadataMax) {
    throw malformed(`it claims ${metadataCount} metadata pairs, at most ${limits.metadataMax} are allowed`)
  }
  // A tensor info takes at least 32 bytes and a metadata pair 13: counts beyond the file's size end here.
  cursor.claim(tensorCount * 32 + metadataCount * 13, 'its metadata and tensor infos')
  return { tensorCount, metadataCount }
}

function readPair(cursor: HeaderCursor, profile: GgufProfile, seen: Map<string, GgufValue>): void {
  const limits = profileLimits[profile]
  const key = cursor.string('a metadata key', limits.keyMaxBytes)
  if (key === '') throw malformed('a metadata key is empty')
  if (profile === 'adapter' && !adapterKey.test(key)) {
    throw malformed(`the metadata key ${JSON.stringify(key)} has characters other than a-z, 0-9, "_", "." and "-"`, {
      key,
    })
  }
  if (seen.has(key)) throw malformed(`the metadata key "${key}" is given twice`, { key })
  seen.set(key, readValue(cursor, key, limits))
}

function readValue(cursor: HeaderCursor, key: string, limits: Limits): GgufValue {
  const what = `the value of ${JSON.stringify(key)}`
  const type = readValueType(cursor, what)
  if (type !== 'array') return { type, value: readScalar(cursor, type, what, limits) } as GgufValue
  const itemType = readValueType(cursor, what)
  if (itemType === 'array') throw malformed(`${what} is an array of arrays`, { key })
  const count = cursor.length(what)
  if (count > limits.arrayMaxItems) {
    throw malformed(`${what} claims ${count} items, at most ${limits.arrayMaxItems} are allowed`, { key })
  }
  cursor.claim(count * ggufValueBytes[itemType], what)
  const items: (number | bigint | boolean | string)[] = []
  for (let i = 0; i < count; i++) items.push(readScalar(cursor, itemType, what, limits))
  return { type, itemType, value: items } as GgufValue
}

function readValueType(cursor: HeaderCursor, what: string): GgufValueType {
  const number = cursor.uint32(what)
  const type = ggufValueTypes[number]
  if (type === undefined) throw malformed(`${what} has the unknown type ${number}`)
  return type
}

function readScalar(
  cursor: HeaderCursor,
  type: Exclude<GgufValueType, 'array'>,
  what: string,
  limits: Limits,
): number | bigint | boolean | string {
  if (type === 'string') return cursor.string(what, limits.stringMaxBytes)
  const { view, at } = cursor.take(ggufValueBytes[type], what)
  switch (type) {
    case 'uint8':
      return view.getUint8(at)
    case 'int8':
      return view.getInt8(at)
    case 'uint16':
      return view.getUint16(at, true)
    case 'int16':
      return view.getInt16(at, true)
    case 'uint32':
      return view.getUint32(at, true)
    case 'int32':
      return view.getInt32(at, true)
    case 'float32':
      return view.getFloat32(at, true)
    case 'float64':
      return view.getFloat64(at, true)
    case 'uint64':
      return view.getBigUint64(at, true)
    case 'int64':
      return view.getBigInt64(at, true)
    case 'bool': {
      const byte = view.getUint8(at)
      if (byte > 1) throw malformed(`${what} is a boolean with the value ${byte}`)
      return byte === 1
    }
  }
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, profile: GgufProfile): number {
  const entry = metadata.get('general.alignment')
  if (entry === undefined) return ggufAlignment
  if (entry.type !== 'uint32') throw malformed(`general.alignment is ${entry.type}, it must be uint32`)
  const alignment = entry.value
  if (profile === 'adapter' && alignment !== ggufAlignment) {
    throw malformed(`general.alignment is ${alignment}, adapters are aligned to ${ggufAlignment}`, { alignment })
  }
  const powerOfTwo = alignment > 0 && (alignment & (alignment - 1)) === 0
  if (!powerOfTwo || alignment < 8 || alignment > 65_536) {
    throw malformed(`general.alignment is ${alignment}, it must be a power of two from 8 to 65536`, { alignment })
  }
  return alignment
}

function readTensorInfos(cursor: HeaderCursor, count: number, alignment: number): GgufTensorInfo[] {
  const tensors: GgufTensorInfo[] = []
  const names = new Set<string>()
  let expectedOffset = 0
  for (let i = 0; i < count; i++) {
    const tensor = readTensorInfo(cursor, i)
    if (names.has(tensor.name)) throw malformed(`the tensor "${tensor.name}" is given twice`, { tensor: tensor.name })
    names.add(tensor.name)
    if (tensor.offset !== expectedOffset) {
      throw malformed(
        `the tensor "${tensor.name}" begins at offset ${tensor.offset} of the data instead of ${expectedOffset}`,
        { tensor: tensor.name },
      )
    }
    expectedOffset = padTo(tensor.offset + tensor.bytes, alignment)
    tensors.push(tensor)
  }
  return tensors
}

function readTensorInfo(cursor: HeaderCursor, index: number): GgufTensorInfo {
  const name = cursor.string(`the name of tensor ${index}`, tensorNameMaxBytes)
  const what = `the info of tensor ${JSON.stringify(name)}`
  if (name === '' || name.includes('\0')) throw malformed(`tensor ${index} has the name ${JSON.stringify(name)}`)
  const dimensions = cursor.uint32(what)
  if (dimensions < 1 || dimensions > 4) throw malformed(`${what} has ${dimensions} dimensions`, { tensor: name })
  const shape: number[] = []
  for (let i = 0; i < dimensions; i++) shape.push(cursor.length(what))
  const typeId = cursor.uint32(what)
  const type = ggmlTypeById(typeId)
  if (type === undefined) throw malformed(`${what} has the unknown tensor type ${typeId}`, { tensor: name })
  // Products of counts below 2^53 stay exact up to the point where they are refused.
  if (shape.includes(0) || elementCount(shape) > Number.MAX_SAFE_INTEGER / 8) {
    throw malformed(`${what} has the impossible shape ${shape.join(' x ')}`, { tensor: name })
  }
  const bytes = tensorBytes(type, shape)
  if (bytes === undefined) {
    throw malformed(
      `${what} has rows of ${shape[0]}, not a multiple of ${type.name}'s block of ${type.blockElements}`,
      {
        tensor: name,
      },
    )
  }
  return { name, type, shape, offset: cursor.length(what), bytes }
}

function checkDataSize(
  tensors: readonly GgufTensorInfo[],
  dataOffset: number,
  alignment: number,
  size: number,
  profile: GgufProfile,
): void {
  const last = tensors.at(-1)
  const dataBytes = last === undefined ? 0 : last.offset + last.bytes
  if (last !== undefined && dataOffset + dataBytes > size) {
    throw malformed(`its tensors need ${dataOffset + dataBytes} bytes, the file has ${size}`)
  }
  const exact = dataOffset + padTo(dataBytes, alignment)
  if (profile === 'adapter' && size !== exact) {
    throw malformed(`the file has ${size} bytes where its tensors and their padding end at ${exact}`)
  }
}

const windowBytes = 64 * 2 ** 10
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads forward through a source by windows; whatever doesn't fit the file or the header limit is `gguf-malformed`. */
class HeaderCursor {
  position = 0
  readonly #source: ByteSource
  readonly #end: number
  readonly #maxBytes: number
  #window: DataView
  #windowStart = 0

  constructor(source: ByteSource, maxBytes: number) {
    this.#source = source
    this.#maxBytes = maxBytes
    this.#end = Math.min(source.size, maxBytes)
    this.#window = new DataView(new ArrayBuffer(0))
  }

  /** Refuses a claimed number of bytes that the file cannot hold, before anything is read. */
  claim(bytes: number, what: string): void {
    if (bytes <= this.#end - this.position) return
    if (this.position + bytes > this.#source.size) throw malformed(`the file ends inside ${what}`)
    throw malformed(`its metadata and tensor infos take more than ${this.#maxBytes} bytes`)
  }

  /** A view that holds the next `bytes` at `at`; moves past them. */
  take(bytes: number, what: string): { view: DataView; at: number } {
    this.claim(bytes, what)
    const inWindow = this.position - this.#windowStart
    if (inWindow + bytes > this.#window.byteLength) this.#loadWindow(bytes)
    const at = this.position - this.#windowStart
    this.position += bytes
    return { view: this.#window, at }
  }

  uint32(what: string): number {
    const { view, at } = this.take(4, what)
    return view.getUint32(at, true)
  }

  /** A 64-bit count, length or offset. */
  length(what: string): number {
    const { view, at } = this.take(8, what)
    const value = view.getBigUint64(at, true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`${what} claims the size ${value}`)
    return Number(value)
  }

  string(what: string, maxBytes: number): string {
    const length = this.length(what)
    if (length > maxBytes) throw malformed(`${what} has ${length} bytes, at most ${maxBytes} are allowed`)
    const { view, at } = this.take(length, what)
    try {
      return utf8Decoder.decode(new Uint8Array(view.buffer, view.byteOffset + at, length))
    } catch (cause) {
      throw new MeshError('gguf-malformed', `This is not a valid GGUF file: ${what} is not UTF-8 text.`, {}, { cause })
    }
  }

  #loadWindow(bytes: number): void {
    const length = Math.min(Math.max(bytes, windowBytes), this.#source.size - this.position)
    const loaded = this.#source.read(this.position, length)
    this.#window = new DataView(loaded.buffer, loaded.byteOffset, loaded.byteLength)
    this.#windowStart = this.position
  }
}
