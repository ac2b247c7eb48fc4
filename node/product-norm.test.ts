import fc from 'fast-check'
import { expect, test } from 'vitest'
import { productNorm } from './product-norm.ts'

// Of F32, as adapters hold them: squares of much smaller ones would vanish.
const number = fc.float({ min: -4, max: 4, noNaN: true })
const thin = fc
  .record({
    out: fc.integer({ min: 1, max: 9 }),
    in: fc.integer({ min: 1, max: 9 }),
    rank: fc.integer({ min: 0, max: 6 }),
  })
  .chain((size) =>
    fc.record({
      left: fc.array(columnOf(size.out), { minLength: size.rank, maxLength: size.rank }),
      right: fc.array(columnOf(size.in), { minLength: size.rank, maxLength: size.rank }),
    }),
  )

test('the norm is that of the product written out, whatever the shapes, also with more columns than rows', () => {
  fc.assert(
    fc.property(thin, ({ left, right }) => {
      const expected = normWrittenOut(left, right)
      const bound = Math.sqrt(left.reduce((sum, column, k) => sum + dot(column, column) * dot(right[k]!, right[k]!), 0))
      expect(Math.abs(productNorm(left, right) - expected)).toBeLessThanOrEqual(1e-12 * (1 + bound))
    }),
    { numRuns: 500 },
  )
})

test('a difference of a trillionth of the norm is seen, which the trace of Gram matrices would lose', () => {
  const left = [Float64Array.of(1, 2, 3), Float64Array.of(-1, -2, -3 + 3e-13)]
  const right = [Float64Array.of(4, 5), Float64Array.of(4, 5)]
  expect(productNorm(left, right) / normWrittenOut(left, right)).toBeCloseTo(1, 2)
})

test('columns that cancel out leave nothing; no columns are nothing', () => {
  const [a, b] = [Float64Array.of(1, 2), Float64Array.of(3, 4, 5)]
  expect(productNorm([a, a.map((value) => -value)], [b, b])).toBe(0)
  expect(productNorm([], [])).toBe(0)
})

function columnOf(length: number): fc.Arbitrary<Float64Array> {
  return fc.array(number, { minLength: length, maxLength: length }).map((values) => Float64Array.from(values))
}

function normWrittenOut(left: readonly Float64Array[], right: readonly Float64Array[]): number {
  let sum = 0
  for (let i = 0; i < (left[0]?.length ?? 0); i++) {
    for (let j = 0; j < (right[0]?.length ?? 0); j++) {
      sum += left.reduce((entry, column, k) => entry + column[i]! * right[k]![j]!, 0) ** 2
    }
  }
  return Math.sqrt(sum)
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}
