import { expect, test } from 'vitest'
import type { ReleaseDifference } from '../../diff-releases.ts'
import { differenceText } from './diff.ts'

const kind = (relativeChange: number) => ({ kind: 'all', matrices: 4, normA: 1, normB: 1, relativeChange })
const aDifference = (relativeChange: number): ReleaseDifference => ({
  kind: 'releases',
  a: 'law@1.0.0',
  b: 'law@1.1.0',
  fields: [{ field: 'createdAt', a: 0, b: 86_400_000 }],
  evaluations: [{ suite: 'ab'.repeat(32), metric: 'exact-match', a: { value: 876_543, standardError: 12_345, n: 40 } }],
  bytes: { a: 1, b: 1 },
  adapter: { all: kind(relativeChange), kinds: [] },
  same: false,
})

test('dates are written in ISO 8601, shares as per cent with one digit', () => {
  const text = differenceText(aDifference(12.345))
  expect(text).toMatch(/createdAt +1970-01-01T00:00:00.000Z +1970-01-02T00:00:00.000Z/)
  expect(text).toContain('87.7 % +- 1.2 % (n 40)')
  expect(text).toContain('1234.5 %')
})

test('a change too small for one digit is not called none', () => {
  expect(differenceText(aDifference(0.0001))).toContain('below 0.1 %')
  expect(differenceText(aDifference(0))).toContain('0.0 %')
})
