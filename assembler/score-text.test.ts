import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kit } from '../testing/kit.ts'
import { nllOfPassages, nllOfText, parsePassages } from './index.ts'
import { windowsOf } from './score-text.ts'
import { smallWorld } from './testing/small-world.ts'
import type { SmallWorld } from './testing/small-world.ts'

test('windows hold every token once, are never too long and never too short to predict something', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 511 })),
      fc.integer({ min: 2, max: 40 }),
      fc.boolean(),
      (tokens, contextSize, bos) => {
        const windows = windowsOf(tokens, bos ? { bos: 1, contextSize } : { contextSize })
        for (const { length } of windows) expect(length >= 2 && length <= contextSize).toBe(true)
        if (bos) expect(windows.flatMap((window) => window.slice(1))).toEqual(tokens)
      },
    ),
  )
})

test('passages are a list, or a list under that name; anything else is told with its place', () => {
  expect(parsePassages('[{"text": "a", "tokens": [1, 2]}]')).toEqual([{ text: 'a', tokens: [1, 2] }])
  expect(parsePassages('{"passages": [{"tokens": [1, 2]}]}')).toEqual([{ tokens: [1, 2] }])
  for (const bad of ['', '{}', '[]', '[{"tokens": [1]}]', '[{"tokens": [1, -2]}]', '[{"tokens": [1, 2.5]}]']) {
    expect(() => parsePassages(bad)).toThrow(/passages/)
  }
})

describe.skipIf(!kit.present)('NLL of text (needs the kit)', () => {
  let world: SmallWorld
  beforeAll(async () => void (world = await smallWorld('stories260K')))
  afterAll(async () => await world[Symbol.asyncDispose]())

  test('of one passage as text equals that of its tokens', async () => {
    const [passage] = parsePassages(readFileSync(kit.path('adapters', 'heldout', 'shakespeare.json'), 'utf8'))
    if (passage?.text === undefined) throw new Error('The kit has a text with every passage.')
    const base = await world.engine.load(world.base)
    const byText = await nllOfText(world.engine, base, [], passage.text)
    const byTokens = await nllOfPassages(world.engine, [], [passage])
    expect(byText.tokens).toBe(passage.tokens.length - 1)
    expect(Math.abs(byText.meanNll - byTokens.meanNll)).toBeLessThan(1e-5)
  })

  test('of a text longer than the context counts every token', async () => {
    const base = await world.engine.load(world.base)
    const text = 'Once upon a time there was a little dog. '.repeat(80)
    const { length } = await world.engine.tokenize(text)
    expect(length).toBeGreaterThan(base.contextSize)
    expect((await nllOfText(world.engine, base, [], text)).tokens).toBe(length)
  })

  test('of no text is refused', async () => {
    const base = await world.engine.load(world.base)
    await expect(nllOfText(world.engine, base, [], '')).rejects.toMatchObject({ code: 'bad-input' })
  })
})
