// The encoding of everything that is signed or hashed: a subset of MessagePack with exactly one byte string per value.
// Maps have unique string keys sorted by their UTF-8 bytes; every length and integer takes its shortest form; no floats, nil or extensions.
// msgpackr cannot do this job: it writes map16 headers and turns large integers into floats.
import { compareBytes, concatBytes, utf8 } from './bytes.ts'
import { MeshError } from './errors.ts'
import { limits } from './limits.ts'

export type Canonical =
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Canonical[]
  | { readonly [key: string]: Canonical }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The one byte string of `value`. Throws a plain Error for what the encoding has no form for: that is a bug of the caller. */
export function encodeCanonical(value: Canonical): Uint8Array {
  const parts: Uint8Array[] = []
  encodeInto(parts, value, 0)
  return concatBytes(...parts)
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
    parts.push(header(entries.length, 0x80, 15, [undefined, 0xde, 0xdf]))
    for (const { text, item } of entries) {
      encodeInto(parts, text, depth + 1)
      encodeInto(parts, item, depth + 1)
    }
  } else throw new Error(`canonical encoding: no form for ${typeof value}`)
}

function isArray(value: unknown): value is readonly Canonical[] {
  return Array.isArray(value)
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
    if (++this.#items > limits.canonicalMaxItems) throw malformed('too many items')
    const tag = this.#unsigned(1)
    if (tag <= 0x7f) return tag
    if (tag <= 0x8f) return this.#map(tag & 15, depth)
    if (tag <= 0x9f) return this.#array(tag & 15, depth)
    if (tag <= 0xbf) return this.#string(tag & 31)
    if (tag >= 0xe0) return tag - 0x100
    switch (tag) {
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.#take(this.#length(1, 0))
      case 0xc5:
        return this.#take(this.#length(2, 0x100))
      case 0xc6:
        return this.#take(this.#length(4, 0x10000))
      case 0xcc:
        return this.#atLeast(this.#unsigned(1), 0x80)
      case 0xcd:
        return this.#atLeast(this.#unsigned(2), 0x100)
      case 0xce:
        return this.#atLeast(this.#unsigned(4), 0x10000)
      case 0xcf:
        return this.#atLeast(this.#wide(this.#raw(8).getBigUint64(0)), 0x100000000)
      case 0xd0:
        return this.#atMost(this.#raw(1).getInt8(0), -0x21)
      case 0xd1:
        return this.#atMost(this.#raw(2).getInt16(0), -0x81)
      case 0xd2:
        return this.#atMost(this.#raw(4).getInt32(0), -0x8001)
      case 0xd3:
        return this.#atMost(this.#wide(this.#raw(8).getBigInt64(0)), -0x80000001)
      case 0xd9:
        return this.#string(this.#length(1, 32))
      case 0xda:
        return this.#string(this.#length(2, 0x100))
      case 0xdb:
        return this.#string(this.#length(4, 0x10000))
      case 0xdc:
        return this.#array(this.#length(2, 16), depth)
      case 0xdd:
        return this.#array(this.#length(4, 0x10000), depth)
      case 0xde:
        return this.#map(this.#length(2, 16), depth)
      case 0xdf:
        return this.#map(this.#length(4, 0x10000), depth)
      default:
        throw malformed(`tag 0x${tag.toString(16)} (nil, float or extension) is not allowed`)
    }
  }

  #map(size: number, depth: number): Canonical {
    const map: Record<string, Canonical> = {}
    let last: Uint8Array | undefined
    for (let i = 0; i < size; i++) {
      const start = this.offset
      const key = this.value(depth + 1)
      if (typeof key !== 'string') throw malformed('a map key is not a string')
      const keyBytes = utf8(key)
      if (last !== undefined && compareBytes(last, keyBytes) >= 0)
        throw notCanonical('map keys are not sorted and unique', start)
      last = keyBytes
      // Plain assignment would call the setter of Object.prototype for this one key.
      Object.defineProperty(map, key, {
        value: this.value(depth + 1),
        enumerable: true,
        writable: true,
        configurable: true,
      })
    }
    return map
  }

  #array(size: number, depth: number): Canonical {
    const items: Canonical[] = []
    for (let i = 0; i < size; i++) items.push(this.value(depth + 1))
    return items
  }

  #string(length: number): string {
    const bytes = this.#take(length)
    try {
      return decoder.decode(bytes)
    } catch (cause) {
      throw new MeshError('malformed', 'These bytes hold a string that is not UTF-8.', {}, { cause })
    }
  }

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
    const view = this.#raw(size)
    return size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0) : view.getUint32(0)
  }

  #raw(size: number): DataView {
    this.#require(size)
    const view = new DataView(this.#view.buffer, this.#view.byteOffset + this.offset, size)
    this.offset += size
    return view
  }

  #take(length: number): Uint8Array {
    this.#require(length)
    const bytes = this.#bytes.slice(this.offset, this.offset + length)
    this.offset += length
    return bytes
  }

  #require(length: number): void {
    if (length > this.#bytes.length - this.offset) throw malformed(`${length} bytes are announced and fewer follow`)
  }
}

function malformed(reason: string): MeshError {
  return new MeshError('malformed', `These bytes are not a signed object of LoRA Mesh: ${reason}.`)
}

function notCanonical(reason: string, offset: number): MeshError {
  return new MeshError('not-canonical', `These bytes are not in canonical form: ${reason} (byte ${offset}).`, {
    offset,
  })
}
