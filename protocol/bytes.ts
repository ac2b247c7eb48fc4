// Byte strings and their text forms.
import { MeshError } from './errors.ts'

const base32Alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, b) === 0
}

/** Lexicographic order of unsigned bytes: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = a[i]! - b[i]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return joinBytes(parts)
}

/** Like `concatBytes`, for any number of parts: as arguments too many would not fit the stack. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** Throws `malformed` unless `text` is lower-case hex of `length` bytes (any length when absent). */
export function fromHex(text: string, length?: number): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text) || (length !== undefined && text.length !== length * 2)) {
    throw new MeshError('malformed', `Expected ${length === undefined ? 'an even number of' : length * 2} hex digits.`)
  }
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/** RFC 4648 base32, lower case, no padding. */
export function toBase32(bytes: Uint8Array): string {
  let text = ''
  let buffer = 0
  let bits = 0
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += base32Alphabet[(buffer >> bits) & 31]
    }
    buffer &= (1 << bits) - 1
  }
  return bits > 0 ? text + base32Alphabet[(buffer << (5 - bits)) & 31] : text
}

/** Throws `malformed` for other alphabets, impossible lengths and spare bits that aren't zero: one text per byte string. */
export function fromBase32(text: string): Uint8Array {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8))
  let buffer = 0
  let bits = 0
  let length = 0
  for (const character of text) {
    const value = base32Alphabet.indexOf(character)
    if (value < 0) throw new MeshError('malformed', `"${character}" is not a base32 character (a-z, 2-7).`)
    buffer = (buffer << 5) | value
    bits += 5
    if (bits >= 8) {
      bits -= 8
      out[length++] = (buffer >> bits) & 255
      buffer &= (1 << bits) - 1
    }
  }
  if (bits >= 5 || buffer !== 0) throw new MeshError('malformed', 'This base32 text was cut or mistyped.')
  return out
}
