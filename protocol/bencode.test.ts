import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { type Bencode, decodeBencode, encodeBencode, latin1 } from './bencode.ts'
import { isMeshError } from './errors.ts'

const key = fc.uint8Array({ maxLength: 12 }).map((bytes) => String.fromCharCode(...bytes))
const { value } = fc.letrec<{ value: Bencode }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.uint8Array({ maxLength: 40 }),
    fc.maxSafeInteger(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
}))

function refusal(text: string | Uint8Array, options = {}): string {
  try {
    decodeBencode(typeof text === 'string' ? latin1(text) : text, options)
    return 'accepted'
  } catch (error) {
    return isMeshError(error) ? error.code : String(error)
  }
}

describe('bencode', () => {
  it('reads back every value it writes', () => {
    fc.assert(
      fc.property(value, (original) => {
        const bytes = encodeBencode(original)
        expect(encodeBencode(decodeBencode(bytes))).toEqual(bytes)
      }),
    )
  })

  it('has one byte string per value: what decodes re-encodes to itself', () => {
    const mutant = fc.tuple(value, fc.nat(), fc.nat(255)).map(([original, at, byte]) => {
      const bytes = encodeBencode(original)
      bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(mutant, fc.uint8Array({ maxLength: 30 })), (bytes) => {
        let decoded: Bencode
        try {
          decoded = decodeBencode(bytes)
        } catch (error) {
          expect(isMeshError(error, 'malformed')).toBe(true)
          return
        }
        expect(encodeBencode(decoded)).toEqual(bytes)
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    'i01e',
    'i-0e',
    'i+1e',
    'ie',
    'i1',
    'i9007199254740992e',
    '01:a',
    '-1:a',
    '2:a',
    'l',
    'd1:a',
    'di1ei2ee',
    'd1:bi1e1:ai1ee',
    'd1:ai1e1:ai2ee',
    'i1ei2e',
    '',
    '99999999999999999999:',
  ])('refuses %s', (text) => {
    expect(refusal(text)).toBe('malformed')
  })

  it('reads unsorted keys only where asked to, repeated ones never', () => {
    expect(refusal('d1:bi1e1:ai1ee', { keyOrder: 'any' })).toBe('accepted')
    expect(refusal('d1:ai1e1:ai1ee', { keyOrder: 'any' })).toBe('malformed')
  })

  it('refuses deep nesting without exhausting the stack', () => {
    expect(refusal('l'.repeat(60_000))).toBe('malformed')
  })

  it('keeps a key called __proto__ a plain key', () => {
    const decoded = decodeBencode(latin1('d9:__proto__i1ee')) as ReadonlyMap<string, Bencode>
    expect(decoded.get('__proto__')).toBe(1)
  })
})
