// Bencode (BEP 3) as the release torrent, the DHT and BEP 44 use it. Strict: one byte string per value, so that a hash of the bytes is
// a hash of the value. Dictionaries are Maps keyed by the key's bytes as Latin-1 text: no key can reach an object's prototype.
import { concatBytes } from './bytes.ts'
import { MeshError } from './errors.ts'

export type Bencode = Uint8Array | number | readonly Bencode[] | BencodeDictionary
export type BencodeDictionary = ReadonlyMap<string, Bencode>

export interface BencodeOptions {
  /** Deepest nesting of lists and dictionaries that is read. */
  readonly maxDepth?: number
  /** `any` reads dictionaries whose keys are unique but out of order, which some DHT nodes send. */
  readonly keyOrder?: 'sorted' | 'any'
}

const colon = 0x3a
const end = 0x65

/** Strings are encoded as their Latin-1 bytes, so only ASCII text should be given as one. */
export function encodeBencode(value: Bencode): Uint8Array {
  const parts: Uint8Array[] = []
  write(value, parts)
  return concatBytes(...parts)
}

/** Throws `malformed` for anything but exactly one canonical value. Integers beyond 2^53 are refused. */
export function decodeBencode(bytes: Uint8Array, options: BencodeOptions = {}): Bencode {
  const reader = new Reader(bytes, options.maxDepth ?? 16, options.keyOrder ?? 'sorted')
  const value = reader.value(0)
  if (reader.offset !== bytes.length) throw malformed('bytes after the end', reader.offset)
  return value
}

/** ASCII text as the byte string that bencode has instead of text. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 255)
}

function write(value: Bencode, parts: Uint8Array[]): void {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new Error(`bencode has no ${value}`)
    parts.push(latin1(`i${value}e`))
  } else if (value instanceof Uint8Array) {
    parts.push(latin1(`${value.length}:`), value)
  } else if (value instanceof Map) {
    parts.push(latin1('d'))
    for (const [key, item] of [...value.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      write(latin1(key), parts)
      write(item, parts)
    }
    parts.push(latin1('e'))
  } else {
    parts.push(latin1('l'))
    for (const item of value as readonly Bencode[]) write(item, parts)
    parts.push(latin1('e'))
  }
}

class Reader {
  offset = 0
  readonly #bytes: Uint8Array
  readonly #maxDepth: number
  readonly #keyOrder: 'sorted' | 'any'

  constructor(bytes: Uint8Array, maxDepth: number, keyOrder: 'sorted' | 'any') {
    this.#bytes = bytes
    this.#maxDepth = maxDepth
    this.#keyOrder = keyOrder
  }

  value(depth: number): Bencode {
    if (depth > this.#maxDepth) throw malformed('nested too deeply', this.offset)
    switch (this.#bytes[this.offset]) {
      case 0x69: // i
        this.offset++
        return this.#integer(end)
      case 0x6c: // l
        this.offset++
        return this.#list(depth)
      case 0x64: // d
        this.offset++
        return this.#dictionary(depth)
      default:
        return this.#string()
    }
  }

  #list(depth: number): Bencode[] {
    const items: Bencode[] = []
    while (this.#bytes[this.offset] !== end) items.push(this.value(depth + 1))
    this.offset++
    return items
  }

  #dictionary(depth: number): BencodeDictionary {
    const entries = new Map<string, Bencode>()
    let previous: string | undefined
    while (this.#bytes[this.offset] !== end) {
      const key = String.fromCharCode(...this.#key())
      if (entries.has(key)) throw malformed('a repeated key', this.offset)
      if (this.#keyOrder === 'sorted' && previous !== undefined && key < previous) {
        throw malformed('keys out of order', this.offset)
      }
      entries.set(key, this.value(depth + 1))
      previous = key
    }
    this.offset++
    return entries
  }

  #key(): Uint8Array {
    const key = this.#string()
    if (key.length > 255) throw malformed('a key longer than 255 bytes', this.offset)
    return key
  }

  #string(): Uint8Array {
    const length = this.#integer(colon)
    if (length < 0 || length > this.#bytes.length - this.offset) {
      throw malformed('a string longer than what is left', this.offset)
    }
    return this.#bytes.subarray(this.offset, (this.offset += length))
  }

  /** Digits up to `terminator`, in the one canonical form: no sign but a minus, no leading zero, no minus zero. */
  #integer(terminator: number): number {
    const start = this.offset
    // 2^53 has 16 digits; with the minus sign and the terminator that is as far as there is any reason to look.
    const stop = this.#bytes.subarray(start, start + 18).indexOf(terminator)
    const text = stop < 0 ? '' : String.fromCharCode(...this.#bytes.subarray(start, start + stop))
    const value = Number(text)
    if (!/^(?:0|-?[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(value)) {
      throw malformed('not a canonical integer or length', start)
    }
    this.offset = start + stop + 1
    return value
  }
}

function malformed(what: string, offset: number): MeshError {
  return new MeshError('malformed', `These bytes are not canonical bencode (${what} at byte ${offset}).`, { offset })
}
