import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesEqual, decodeCanonical, encodeCanonical, fromHex, isMeshError, toHex, withoutEntry } from './index.ts'
import type { Canonical } from './index.ts'

const anyValue: fc.Arbitrary<Canonical> = fc.letrec<{ value: Canonical }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.integer(),
    fc.string({ unit: 'binary', maxLength: 300 }).filter((text) => text.isWellFormed()),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed()),
      tie('value'),
      {
        maxKeys: 20,
      },
    ),
  ),
})).value

/** Up to 20 entries, so that leaving one out also crosses from the 16-bit header to the short one. */
const anyMap = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed()),
  anyValue,
  { minKeys: 1, maxKeys: 20, size: 'max' },
)

const refusal = (hex: string): string => {
  try {
    decodeCanonical(fromHex(hex))
  } catch (error) {
    if (isMeshError(error)) return error.code
    throw error
  }
  return 'accepted'
}

describe('the canonical encoding', () => {
  it('gives every value back', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(decodeCanonical(encodeCanonical(value))).toEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  it('has one byte string per value: whatever decodes re-encodes to itself', () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      // Near misses find more than noise: one byte of a valid encoding changed, removed or added.
      fc
        .tuple(anyValue, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'cut', 'add'))
        .map(([value, at, byte, how]) => {
          const bytes = Array.from(encodeCanonical(value))
          if (how === 'set') bytes[at % bytes.length] = byte
          else bytes.splice(at % bytes.length, how === 'cut' ? 1 : 0, ...(how === 'cut' ? [] : [byte]))
          return Uint8Array.from(bytes)
        }),
    )
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        let value: Canonical
        try {
          value = decodeCanonical(bytes)
        } catch (error) {
          expect(isMeshError(error)).toBe(true)
          return
        }
        expect(bytesEqual(encodeCanonical(value), bytes)).toBe(true)
      }),
      { numRuns: 5_000 },
    )
  })

  it('sorts map keys by their UTF-8 bytes, not by UTF-16 units', () => {
    const bytes = encodeCanonical({ '\u{10000}': 1, '\uffff': 2, a: 3 })
    expect(toHex(bytes)).toBe('83a16103a3efbfbf02a4f090808001')
  })

  it.each([
    ['a float', 'cb3ff0000000000000', 'malformed'],
    ['nil', 'c0', 'malformed'],
    ['an extension', 'd40100', 'malformed'],
    ['an integer in a longer form', 'cc7f', 'not-canonical'],
    ['a negative integer in a longer form', 'd0ff', 'not-canonical'],
    ['a zero written as signed 64 bits', 'd30000000000000000', 'not-canonical'],
    ['an integer beyond 2^53', 'cf0020000000000000', 'malformed'],
    ['a string in a longer form', 'd90161', 'not-canonical'],
    ['a byte string in a longer form', 'c5000161', 'not-canonical'],
    ['an array in a longer form', 'dc000101', 'not-canonical'],
    ['a map in a longer form', 'de0001a16101', 'not-canonical'],
    ['unsorted keys', '82a16201a16101', 'not-canonical'],
    ['a key twice', '82a16101a16102', 'not-canonical'],
    ['a key that is not a string', '810101', 'malformed'],
    ['bytes after the value', '0101', 'malformed'],
    ['a cut value', 'a361', 'malformed'],
    ['four billion announced items', 'ddffffffff', 'malformed'],
    ['a string that is not UTF-8', 'a1ff', 'malformed'],
    ['an encoded surrogate', 'a3eda080', 'malformed'],
    ['nothing', '', 'malformed'],
    ['arrays nested twenty deep', '91'.repeat(20) + '01', 'malformed'],
  ])('refuses %s', (_what, hex, code) => {
    expect(refusal(hex)).toBe(code)
  })

  it('keeps a key called __proto__ as a plain key', () => {
    const value = decodeCanonical(fromHex('81a95f5f70726f746f5f5f01')) as Record<string, Canonical>
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(toHex(encodeCanonical(value))).toBe('81a95f5f70726f746f5f5f01')
  })

  it('of a map without an entry is cut out of its bytes as it would be encoded anew', () => {
    fc.assert(
      fc.property(anyMap, fc.nat(), (map, at) => {
        const left = Object.keys(map)[at % Object.keys(map).length]!
        const rest = Object.fromEntries(Object.entries(map).filter(([key]) => key !== left))
        expect(toHex(withoutEntry(encodeCanonical(map), left))).toBe(toHex(encodeCanonical(rest)))
      }),
      { numRuns: 500 },
    )
  })

  it('has no map to leave out what is not in it', () => {
    expect(() => withoutEntry(encodeCanonical({ a: 1 }), 'b')).toThrow('no entry "b"')
  })

  it.each([[1.5], [Number.NaN], [-0], [2 ** 53], ['\ud800']])('has no form for %s', (value) => {
    expect(() => encodeCanonical(value)).toThrow('canonical encoding')
  })
})
