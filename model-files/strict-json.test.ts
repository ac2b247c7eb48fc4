import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseStrictJson, type JsonValue } from './strict-json.ts'

const bounds = { maxDepth: 8, maxValues: 10_000 }
const read = (text: string) => parseStrictJson(new TextEncoder().encode(text), bounds)

function valueOf(text: string): JsonValue {
  const result = read(text)
  if (result.kind !== 'ok') throw new Error(result.reason)
  return result.value
}

/** What JSON.parse would have made of it; only for documents without `__proto__` keys. */
function asPlain(value: JsonValue): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value.entries()].map(([key, inner]: [string, JsonValue]) => [key, asPlain(inner)]))
  }
  return Array.isArray(value) ? value.map(asPlain) : value
}

test('what JSON.stringify writes is read back equal', () => {
  const json = fc.jsonValue({ maxDepth: 6 }).filter((value) => !JSON.stringify(value).includes('__proto__'))
  fc.assert(
    fc.property(json, (value) => {
      const text = JSON.stringify(value, null, 1)
      expect(read(text)).toMatchObject({ kind: 'ok' })
      expect(asPlain(valueOf(text))).toEqual(JSON.parse(text))
    }),
  )
})

test('whatever this accepts, JSON.parse accepts too', () => {
  const almostJson = fc.string({ unit: fc.constantFrom(...'{}[]":,0123.eE+-tfnu\\ \nab'), maxLength: 30 })
  fc.assert(
    fc.property(almostJson, (text) => {
      fc.pre(read(text).kind === 'ok')
      expect(asPlain(valueOf(text))).toEqual(JSON.parse(text))
    }),
    { numRuns: 300, maxSkipsPerRun: 1000 },
  )
})

test('a key named __proto__ is only a key', () => {
  const result = read('{"__proto__":{"use_dora":true},"r":2}')
  expect(result.kind === 'ok' && result.value instanceof Map && [...result.value.keys()]).toEqual(['__proto__', 'r'])
  expect(Object.hasOwn(Object.prototype, 'use_dora')).toBe(false)
})

describe('refused, with the reason', () => {
  test.each([
    ['{"a":1,"a":2}', /"a" occurs twice/],
    ['{"a":1,"\\u0061":2}', /"a" occurs twice/],
    ['[[[[[[[[[]]]]]]]]]', /nested more than 8 deep/],
    [`[${'0,'.repeat(10_000)}0]`, /more than 10000 values/],
    ['1e999', /out of range/],
    ['NaN', /a value is expected/],
    ['{"a":1} x', /follows the end/],
    ['{"a" 1}', /colon/],
    ['{a:1}', /key in quotes/],
    ['[1,]', /a value is expected/],
    ['{"r":2,', /key in quotes/],
    ['"abc', /does not end/],
    ['"a\nb"', /does not end/],
    ['"\\x"', /unknown escape/],
    ['"\\u12"', /four hexadecimal/],
    ['"\\ud800"', /surrogate/],
    ['01', /follows the end/],
    ['', /a value is expected/],
    ['\ufeff{}', /a value is expected/],
  ])('%s', (text, reason) => {
    const result = read(text)
    expect(result.kind === 'refused' && result.reason).toMatch(reason)
  })

  test('bytes that are not UTF-8', () => {
    expect(parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22), bounds)).toMatchObject({ kind: 'refused' })
  })
})
