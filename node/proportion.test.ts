import { expect, test } from 'vitest'
import { significantZ, standardError, zScore } from './proportion.ts'

test('the standard error is that of a binomial proportion', () => {
  expect(standardError({ share: 0.5, n: 100 })).toBeCloseTo(0.05, 12)
  expect(standardError({ share: 0.9, n: 400 })).toBeCloseTo(0.015, 12)
  expect(standardError({ share: 1, n: 60 })).toBe(0)
})

test('two shares are compared with the spread of both together', () => {
  // 60 of 100 against 45 of 100: pooled 0.525, spread sqrt(0.525 * 0.475 * 0.02) = 0.070622, difference 0.15.
  expect(zScore({ share: 0.6, n: 100 }, { share: 0.45, n: 100 })).toBeCloseTo(2.12398, 4)
  expect(zScore({ share: 0.45, n: 100 }, { share: 0.6, n: 100 })).toBeCloseTo(-2.12398, 4)
  expect(zScore({ share: 1, n: 10 }, { share: 1, n: 10 })).toBe(0)
})

test('all right against all but one of ten is no difference, against half of a hundred it is', () => {
  expect(zScore({ share: 1, n: 10 }, { share: 0.9, n: 10 })).toBeLessThan(significantZ)
  expect(zScore({ share: 1, n: 100 }, { share: 0.5, n: 100 })).toBeGreaterThan(significantZ)
})
