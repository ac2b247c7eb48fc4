import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase32, fromHex, toBase32, toHex } from './index.ts'

describe('text forms of bytes', () => {
  it('give every byte string back, in hex and in base32', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes)
        expect(fromBase32(toBase32(bytes))).toEqual(bytes)
      }),
    )
  })

  it('have one base32 text per byte string', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567'), maxLength: 60 }),
        (text) => {
          try {
            expect(toBase32(fromBase32(text))).toBe(text)
          } catch (error) {
            expect(error).toMatchObject({ code: 'malformed' })
          }
        },
      ),
    )
  })

  it('agree with the base32 vectors of RFC 4648', () => {
    const vectors = {
      '': '',
      f: 'my',
      fo: 'mzxq',
      foo: 'mzxw6',
      foob: 'mzxw6yq',
      fooba: 'mzxw6ytb',
      foobar: 'mzxw6ytboi',
    }
    for (const [plain, text] of Object.entries(vectors)) expect(toBase32(new TextEncoder().encode(plain))).toBe(text)
  })

  it.each(['a', 'ab1', 'AB', 'ac'])('refuse %s as base32', (text) => {
    expect(() => fromBase32(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})
