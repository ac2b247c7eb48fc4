import { expect, test } from 'vitest'
import { Resting } from './resting.ts'

test('what failed rests for its time, each by itself, and only its first failure is new', () => {
  let now = 1_000
  const resting = new Resting(100, () => now)
  expect(resting.rests('a')).toBe(false)
  expect(resting.failed('a')).toBe(true)
  now = 1_099
  expect([resting.rests('a'), resting.rests('b')]).toEqual([true, false])
  now = 1_100
  expect(resting.rests('a')).toBe(false)
  expect(resting.failed('a')).toBe(false)
  expect(resting.rests('a')).toBe(true)
})
