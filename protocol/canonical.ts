// The encoding of everything that is signed or hashed: a subset of MessagePack with exactly one byte string per value.
// Maps have unique string keys sorted by their UTF-8 bytes; every length and integer takes its shortest form; no floats, nil or extensions.
// msgpackr cannot do this job: it writes map16 headers and turns large integers into floats.
import { bytesEqual, compareBytes, concatBytes, joinBytes, utf8 } from './bytes.ts'
import { MeshError } from './errors.ts'
import { limits } from './limits.ts'

export type Canonical =
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Canonical[]
  | { readonly [key: string]: Canonical }

/** Bytes. Nearly all strings in records are keys and names of ASCII: calling the library's decoder for them costs more than reading them. */
const shortText = 64

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The one byte string of `value`. Throws a plain Error for what the encoding has no form for: that is a bug of the caller. */
export function encodeCanonical(value: Canonical): Uint8Array {
  const parts: Uint8Array[] = []
  encodeInto(parts, value, 0)
  return joinBytes(parts)
}

/**
 * The encoding of a map without one of its entries: what was signed, where the signature stands in the same map. `bytes` were decoded
 * before, into a map with that key; anything else is a bug of the caller.
 */
export function withoutEntry(bytes: Uint8Array, key: string): Uint8Array {
  const reader = new Reader(bytes)
  const wanted = utf8(key)
  const size = reader.mapSize()
  const first = reader.offset
  for (let i = 0; i < size; i++) {
    const start = reader.offset
    const found = bytesEqual(reader.key(), wanted)
    reader.value(1)
    if (!found) continue
    return concatBytes(mapHeader(size - 1), bytes.subarray(first, start), bytes.subarray(reader.offset))
  }
  throw new Error(`canonical encoding: no entry "${key}" to leave out`)
}

/**
 * The value of `bytes`. Throws `not-canonical` for any byte string that `encodeCanonical` would not have written, so
 * that no two byte strings decode to the same value, and `malformed` for what isn't MessagePack of this subset at all.
 */
export function decodeCanonical(bytes: Uint8Array): Canonical {
  const reader = new Reader(bytes)
  const value = reader.value(0)
  if (!reader.atEnd) throw malformed(`${bytes.length - reader.offset} bytes follow the value`)
  return value
}

function encodeInto(parts: Uint8Array[], value: Canonical, depth: number): void {
  if (depth > limits.canonicalMaxDepth) throw new Error('canonical encoding: nested too deeply')
  if (typeof value === 'boolean') parts.push(Uint8Array.of(value ? 0xc3 : 0xc2))
  else if (typeof value === 'number') parts.push(integerBytes(value))
  else if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new Error('canonical encoding: a string holds a lone surrogate')
    const text = utf8(value)
    parts.push(header(text.length, 0xa0, 31, [0xd9, 0xda, 0xdb]), text)
  } else if (value instanceof Uint8Array) {
    parts.push(header(value.length, 0, -1, [0xc4, 0xc5, 0xc6]), value)
  } else if (isArray(value)) {
    parts.push(header(value.length, 0x90, 15, [undefined, 0xdc, 0xdd]))
    for (const item of value) encodeInto(parts, item, depth + 1)
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => ({ key: utf8(key), text: key, item }))
    entries.sort((a, b) => compareBytes(a.key, b.key))
    parts.push(mapHeader(entries.length))
    for (const { text, item } of entries) {
      encodeInto(parts, text, depth + 1)
      encodeInto(parts, item, depth + 1)
    }
  } else throw new Error(`canonical encoding: no form for ${typeof value}`)
}

function isArray(value: unknown): value is readonly Canonical[] {
  return Array.isArray(value)
}

function mapHeader(entries: number): Uint8Array {
  return header(entries, 0x80, 15, [undefined, 0xde, 0xdf])
}

/** Shortest header for `length`: the fix form up to `fixMax`, else 8, 16 or 32 bits (an undefined tag has no such form). */
function header(
  length: number,
  fixTag: number,
  fixMax: number,
  tags: readonly [number | undefined, number, number],
): Uint8Array {
  if (length <= fixMax) return Uint8Array.of(fixTag | length)
  if (tags[0] !== undefined && length <= 0xff) return Uint8Array.of(tags[0], length)
  if (length <= 0xffff) return Uint8Array.of(tags[1], length >> 8, length & 255)
  if (length > 0xffffffff) throw new Error('canonical encoding: longer than 32 bits can say')
  return tagged(tags[2], 4, (view) => view.setUint32(1, length))
}

function integerBytes(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    throw new Error(`canonical encoding: ${value} is not an integer within 2^53`)
  }
  if (value >= 0) {
    if (value <= 0x7f) return Uint8Array.of(value)
    if (value <= 0xff) return Uint8Array.of(0xcc, value)
    if (value <= 0xffff) return tagged(0xcd, 2, (view) => view.setUint16(1, value))
    if (value <= 0xffffffff) return tagged(0xce, 4, (view) => view.setUint32(1, value))
    return tagged(0xcf, 8, (view) => view.setBigUint64(1, BigInt(value)))
  }
  if (value >= -0x20) return Uint8Array.of(value & 255)
  if (value >= -0x80) return Uint8Array.of(0xd0, value & 255)
  if (value >= -0x8000) return tagged(0xd1, 2, (view) => view.setInt16(1, value))
  if (value >= -0x80000000) return tagged(0xd2, 4, (view) => view.setInt32(1, value))
  return tagged(0xd3, 8, (view) => view.setBigInt64(1, BigInt(value)))
}

function tagged(tag: number, size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(1 + size)
  bytes[0] = tag
  write(new DataView(bytes.buffer))
  return bytes
}

class Reader {
  offset = 0
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #items = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get atEnd(): boolean {
    return this.offset === this.#bytes.length
  }

  value(depth: number): Canonical {
    if (depth > limits.canonicalMaxDepth) throw malformed('nested too deeply')
    const tag = this.#nextTag()
    if (tag <= 0x7f) return tag
    if (tag >= 0xe0) return tag - 0x100
    const text = this.#stringLength(tag)
    if (text !== undefined) return textOf(this.#part(text))
    const entries = this.#mapLength(tag)
    if (entries !== undefined) return this.#map(entries, depth)
    if (tag <= 0x9f) return this.#array(tag & 15, depth)
    switch (tag) {
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.#part(this.#length(1, 0)).slice()
      case 0xc5:
        return this.#part(this.#length(2, 0x100)).slice()
      case 0xc6:
        return this.#part(this.#length(4, 0x10000)).slice()
      case 0xcc:
        return this.#length(1, 0x80)
      case 0xcd:
        return this.#length(2, 0x100)
      case 0xce:
        return this.#length(4, 0x10000)
      case 0xcf:
        return this.#atLeast(this.#wide(this.#view.getBigUint64(this.#advance(8))), 0x100000000)
      case 0xd0:
        return this.#atMost(this.#view.getInt8(this.#advance(1)), -0x21)
      case 0xd1:
        return this.#atMost(this.#view.getInt16(this.#advance(2)), -0x81)
      case 0xd2:
        return this.#atMost(this.#view.getInt32(this.#advance(4)), -0x8001)
      case 0xd3:
        return this.#atMost(this.#wide(this.#view.getBigInt64(this.#advance(8))), -0x80000001)
      case 0xdc:
        return this.#array(this.#length(2, 16), depth)
      case 0xdd:
        return this.#array(this.#length(4, 0x10000), depth)
      default:
        throw malformed(`tag 0x${tag.toString(16)} (nil, float or extension) is not allowed`)
    }
  }

  /** How many entries the map has that starts here. */
  mapSize(): number {
    const size = this.#mapLength(this.#nextTag())
    if (size === undefined) throw malformed('a map is wanted here')
    return size
  }

  /** The text of a map's next key, in UTF-8: views of keys are compared without being decoded and encoded again. */
  key(): Uint8Array {
    const length = this.#stringLength(this.#nextTag())
    if (length === undefined) throw malformed('a map key is not a string')
    return this.#part(length)
  }

  #map(size: number, depth: number): Canonical {
    const map: Record<string, Canonical> = {}
    let last: Uint8Array | undefined
    for (let i = 0; i < size; i++) {
      const start = this.offset
      const key = this.key()
      if (last !== undefined && compareBytes(last, key) >= 0)
        throw notCanonical('map keys are not sorted and unique', start)
      last = key
      setOwn(map, textOf(key), this.value(depth + 1))
    }
    return map
  }

  #array(size: number, depth: number): Canonical {
    const items: Canonical[] = []
    for (let i = 0; i < size; i++) items.push(this.value(depth + 1))
    return items
  }

  #nextTag(): number {
    if (++this.#items > limits.canonicalMaxItems) throw malformed('too many items')
    return this.#unsigned(1)
  }

  /** `undefined` where `tag` doesn't begin a string. */
  #stringLength(tag: number): number | undefined {
    if (tag >= 0xa0 && tag <= 0xbf) return tag & 31
    if (tag === 0xd9) return this.#length(1, 32)
    if (tag === 0xda) return this.#length(2, 0x100)
    if (tag === 0xdb) return this.#length(4, 0x10000)
    return undefined
  }

  /** `undefined` where `tag` doesn't begin a map. */
  #mapLength(tag: number): number | undefined {
    if (tag >= 0x80 && tag <= 0x8f) return tag & 15
    if (tag === 0xde) return this.#length(2, 16)
    if (tag === 0xdf) return this.#length(4, 0x10000)
    return undefined
  }

  /** An unsigned number of `size` bytes that would not have fitted a shorter form. */
  #length(size: 1 | 2 | 4, least: number): number {
    return this.#atLeast(this.#unsigned(size), least)
  }

  #atLeast(value: number, least: number): number {
    if (value < least) throw notCanonical(`${value} has a shorter form`, this.offset)
    return value
  }

  #atMost(value: number, most: number): number {
    if (value > most) throw notCanonical(`${value} has a shorter form`, this.offset)
    return value
  }

  #wide(value: bigint): number {
    const number = Number(value)
    if (!Number.isSafeInteger(number)) throw malformed('an integer is beyond 2^53')
    return number
  }

  #unsigned(size: 1 | 2 | 4): number {
    const at = this.#advance(size)
    return size === 1 ? this.#bytes[at]! : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #part(length: number): Uint8Array {
    const at = this.#advance(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** Where the next `length` bytes begin, which are there. */
  #advance(length: number): number {
    const at = this.offset
    if (length > this.#bytes.length - at) throw malformed(`${length} bytes are announced and fewer follow`)
    this.offset = at + length
    return at
  }
}

function setOwn(map: Record<string, Canonical>, key: string, value: Canonical): void {
  if (key !== '__proto__') map[key] = value
  // Plain assignment would call the setter of Object.prototype for this one key.
  else Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true })
}

function textOf(bytes: Uint8Array): string {
  const text = bytes.length <= shortText ? asciiOf(bytes) : undefined
  if (text !== undefined) return text
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new MeshError('malformed', 'These bytes hold a string that is not UTF-8.', {}, { cause })
  }
}

/** `undefined` unless all of it is ASCII. */
function asciiOf(bytes: Uint8Array): string | undefined {
  let text = ''
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte >= 0x80) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}

function malformed(reason: string): MeshError {
  return new MeshError('malformed', `These bytes are not a signed object of LoRA Mesh: ${reason}.`)
}

function notCanonical(reason: string, offset: number): MeshError {
  return new MeshError('not-canonical', `These bytes are not in canonical form: ${reason} (byte ${offset}).`, {
    offset,
  })
}
