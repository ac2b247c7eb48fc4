import { expect, test } from 'vitest'
import { tensorProgress } from './tensor-progress.ts'

test('what takes less than a second says nothing, and then there is a line a second', () => {
  const said: string[] = []
  let now = 5_000
  const progress = tensorProgress({ say: (line) => said.push(line) }, () => now)
  for (const [done, at] of [5_400, 5_999, 6_000, 6_500, 7_100].entries()) {
    now = at
    progress({ done, total: 5 })
  }
  expect(said).toEqual(['2 of 5 tensors written', '4 of 5 tensors written'])
})
