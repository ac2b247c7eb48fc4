import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { watchRepetition } from './repetition.ts'

/** After how many tokens the circle is noticed, or undefined. */
function noticedAt(tokens: readonly number[]): number | undefined {
  const watch = watchRepetition()
  const index = tokens.findIndex((token) => watch.add(token))
  return index < 0 ? undefined : index + 1
}

test('a circle of up to 64 tokens is noticed after at most four rounds or 112 tokens, whatever came before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1000, max: 2000 }), { maxLength: 100 }),
      fc.uniqueArray(fc.integer({ min: 0, max: 999 }), { minLength: 1, maxLength: 64 }),
      (before, circle) => {
        const rounds = Array.from({ length: 256 }, (_, i) => circle[i % circle.length] ?? 0)
        const at = noticedAt([...before, ...rounds])
        expect(at).toBeLessThanOrEqual(before.length + Math.max(48 + circle.length, 4 * circle.length))
      },
    ),
  )
})

test('a text that repeats a line twice, or counts, is no circle', () => {
  const line = Array.from({ length: 60 }, (_, i) => i)
  expect(noticedAt([...line, ...line, 99, ...line])).toBeUndefined()
  expect(noticedAt(Array.from({ length: 500 }, (_, i) => i))).toBeUndefined()
  expect(noticedAt(Array.from({ length: 47 }, () => 7))).toBeUndefined()
})
