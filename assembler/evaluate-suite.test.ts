import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kit } from '../testing/kit.ts'
import { evaluateSuite, parseSuite } from './index.ts'
import { smallWorld } from './testing/small-world.ts'
import type { SmallWorld } from './testing/small-world.ts'

test('a suite is read line by line, and a bad line is named', () => {
  expect(parseSuite('{"prompt": "a", "answer": "b"}\n\n{"prompt": "c", "answer": "d"}\n')).toEqual([
    { prompt: 'a', answer: 'b' },
    { prompt: 'c', answer: 'd' },
  ])
  expect(() => parseSuite('')).toThrow(/empty/)
  for (const bad of [
    'nonsense',
    '{"prompt": "a"}',
    '{"prompt": "a", "answer": " "}',
    '{"prompt": "a", "answer": "b", "x": 1}',
  ]) {
    expect(() => parseSuite(`{"prompt": "a", "answer": "b"}\n${bad}`)).toThrow(/Line 2/)
  }
})

describe.skipIf(!kit.present)('evaluation by a suite (needs the kit)', () => {
  let world: SmallWorld
  beforeAll(async () => void (world = await smallWorld('stories260K')))
  afterAll(async () => await world[Symbol.asyncDispose]())

  // What the base writes after "Once upon a time": ", there was a little girl named Lily. She loved to play outside in the park. ..."
  const story = 'Once upon a time, there was a little girl named Lily.'

  test('what the model writes greedily is exact, with or without the space at the seam; anything else is not', async () => {
    const base = await world.engine.load(world.base)
    const items = [
      { prompt: 'Once upon a time, there was a little girl named', answer: 'Lily. She loved to play outside' },
      { prompt: 'Once upon a time, there was a little girl named ', answer: 'Lily' },
      { prompt: story, answer: ' She loved to play outside in the park' },
      { prompt: story, answer: 'She loved to play outside in the par' },
      { prompt: story, answer: 'She hated the park' },
    ]
    const done: number[] = []
    const result = await evaluateSuite(world.engine, base, [], items, { onProgress: ({ done: n }) => done.push(n) })
    expect(result).toMatchObject({ n: 5, exactMatch: 3 / 5 })
    expect(result.written[1]).toMatch(/^Lily\. /)
    expect(done).toEqual([1, 2, 3, 4, 5])
  })

  test('the NLL is that of the answer tokens alone', async () => {
    const base = await world.engine.load(world.base)
    const [prompt, answer] = [story, ' She loved to play']
    const { meanNll } = await evaluateSuite(world.engine, base, [], [{ prompt, answer }])
    const before = await world.engine.tokenize(prompt)
    const tokens = [1, ...(await world.engine.tokenize(prompt + answer))]
    const score = await world.engine.nll([], [tokens], { predicted: [tokens.length - before.length - 1] })
    expect(Math.abs(meanNll - score.meanNll)).toBeLessThan(1e-6)
    const unlikely = await evaluateSuite(world.engine, base, [], [{ prompt, answer: 'The king sat down' }])
    expect(unlikely.meanNll).toBeGreaterThan(meanNll + 1)
  })
})
