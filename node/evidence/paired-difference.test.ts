import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pairedDifference } from './paired-difference.ts'

const answers = (text: string): boolean[] => [...text].map((sign) => sign === '1')

test('shares and their difference come from the answers, question by question', () => {
  expect(pairedDifference(answers('1110'), answers('1000'))).toMatchObject({
    n: 4,
    value: 750_000,
    againstValue: 250_000,
  })
})

test('two runs that answer every question alike differ by nothing, for sure', () => {
  expect(pairedDifference(answers('1010'), answers('1010'))).toMatchObject({ standardError: 0 })
})

test('questions answered alike do not widen the error, those answered differently do', () => {
  const few = pairedDifference(answers('1111111110'), answers('1111111101'))
  const many = pairedDifference(answers('1111100000'), answers('0000011111'))
  expect(few.value - few.againstValue).toBe(0)
  expect(few.standardError).toBe(141_421)
  expect(many.standardError).toBe(316_228)
})

test('the error is that of the mean of the differences per question', () => {
  const runs = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(runs, (pairs) => {
      const differences = pairs.map(([a, b]) => Number(a) - Number(b))
      const n = differences.length
      const mean = differences.reduce((sum, one) => sum + one, 0) / n
      const variance = differences.reduce((sum, one) => sum + (one - mean) ** 2, 0) / n
      const { standardError } = pairedDifference(
        pairs.map(([a]) => a),
        pairs.map(([, b]) => b),
      )
      expect(Math.abs(standardError - 1e6 * Math.sqrt(variance / n))).toBeLessThanOrEqual(1)
    }),
  )
})
