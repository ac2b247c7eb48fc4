import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bf16Words, f16Words, f32Words, wordDelta } from './word-delta.ts'
import type { WordFormat, Words } from './word-delta.ts'

const formats = { F32: f32Words, F16: f16Words, BF16: bf16Words }

function wordsOf({ bytes }: WordFormat, bits: readonly number[]): Words {
  return bytes === 2 ? Uint16Array.from(bits) : Uint32Array.from(bits)
}

/** Bits of numbers, NaNs and infinities among them. */
const bits = fc.oneof(
  fc.nat(0xffff_ffff),
  fc.constantFrom(0, 0x8000, 0x8000_0000, 0x7f80_0000, 0xffff_ffff, 0x7fc0, 0x7c00),
)

describe.each(Object.entries(formats))('differences of %s words', (_, format) => {
  it('give back the newer words, whatever both are', () => {
    const pairs = fc.array(fc.tuple(bits, bits), { maxLength: 200 })
    fc.assert(
      fc.property(pairs, (list) => {
        const older = wordsOf(
          format,
          list.map(([word]) => word),
        )
        const newer = wordsOf(
          format,
          list.map(([, word]) => word),
        )
        const delta = wordDelta(format, older)
        const streams = delta.split(newer)
        expect(streams.map(({ length }) => length)).toEqual(delta.lengths)
        expect(wordDelta(format, older).join(streams)).toEqual(newer)
      }),
    )
  })

  it('are all zero where nothing changed', () => {
    const words = wordsOf(format, [1, 2, 0x8001, 0x3f80_0000])
    expect(
      wordDelta(format, words)
        .split(words)
        .flatMap((stream) => [...stream])
        .every((byte) => byte === 0),
    ).toBe(true)
  })

  it('are small where a number moved by its last bit, also across zero', () => {
    const sign = format.bytes === 2 ? 0x8000 : 0x8000_0000
    const older = wordsOf(format, [5, sign | 5, 0])
    const newer = wordsOf(format, [6, sign | 6, sign])
    const [lowest, ...others] = wordDelta(format, older).split(newer)
    // +1, -1 and -1 in zigzag.
    expect([...lowest!]).toEqual([2, 1, 1])
    expect(others.flatMap((stream) => [...stream]).every((byte) => byte === 0)).toBe(true)
  })
})

it('words of one exponent come together, in groups of at least 2,048', () => {
  // 3,000 numbers of each of two exponents, one after the other.
  const older = Uint16Array.from({ length: 6_000 }, (_, i) => (i % 2 === 0 ? 0x3f80 : 0x3f00))
  const newer = older.map((word) => (word === 0x3f80 ? word + 9 : word))
  const delta = wordDelta(bf16Words, older)
  expect(delta.lengths).toEqual([3_000, 3_000, 3_000, 3_000])
  const [unchanged, , changed] = delta.split(newer)
  expect([new Set(unchanged), new Set(changed)]).toEqual([new Set([0]), new Set([18])])
  const few = wordDelta(bf16Words, older.subarray(0, 4_000))
  expect(few.lengths).toEqual([4_000, 4_000])
})
