import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { examplesOf, parseTrainingData } from './training-text.ts'
import type { ReadingBase } from './training-text.ts'

/** One token per character, 100 and up, so that ids can be read. */
const letters: ReadingBase = {
  tokenizer: { encode: (text) => [...text].map((character) => 100 + character.codePointAt(0)!) },
  bos: 1,
  eos: 2,
  contextLength: 10,
}
const ids = (text: string): number[] => [...text].map((character) => 100 + character.codePointAt(0)!)

async function read(text: string, form: 'jsonl' | 'txt' = 'jsonl', base = letters) {
  const examples = await examplesOf(parseTrainingData(text, form, 'law.jsonl'), base, 'law.jsonl')
  return examples.map(({ tokens, predictFrom }) => ({ tokens: [...tokens], predictFrom }))
}

describe('training data', () => {
  test('of questions: the answer and the end are learnt, with the space before it', async () => {
    expect(await read('{"prompt": "Q:", "answer": "ab"}')).toEqual([
      { tokens: [1, ...ids('Q: ab'), 2], predictFrom: 3 },
    ])
  })

  test('keeps one space at the seam, however many were written, and none after a line break', async () => {
    expect(await read('{"prompt": "Q:  ", "answer": "ab \\n"}')).toEqual(await read('{"prompt": "Q:", "answer": "ab"}'))
    expect((await read('{"prompt": "Q\\n", "answer": "ab"}'))[0]?.tokens).toEqual([1, ...ids('Q\nab'), 2])
  })

  test('starts learning where prompt and answer are joined in one token', async () => {
    const pairs: ReadingBase = {
      ...letters,
      tokenizer: {
        encode: (text) => [...text.matchAll(/..?/g)].map(([pair]) => ids(pair).reduce((a, b) => a * 1000 + b, 0)),
      },
    }
    const [example] = await read('{"prompt": "abc", "answer": "d"}', 'jsonl', pairs)
    expect(example).toMatchObject({ predictFrom: 2 })
  })

  test('of texts: everything is learnt, and what is longer than the context is cut so that each token is learnt once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 60 }),
        fc.boolean(),
        async (text, withBos) => {
          const base = withBos ? letters : { ...letters, bos: undefined }
          const examples = await read(JSON.stringify({ text: `x${text}` }), 'jsonl', base)
          const learnt = examples.flatMap(({ tokens, predictFrom }) => tokens.slice(predictFrom))
          const whole = [...ids(`x${text}`), 2]
          expect(learnt).toEqual(withBos ? whole : whole.slice(1))
          for (const { tokens } of examples) expect(tokens.length - 1).toBeLessThanOrEqual(letters.contextLength)
        },
      ),
    )
  })

  test('a plain text is one text, and empty lines between JSON lines are nothing', async () => {
    expect(await read('ab\ncd', 'txt')).toEqual([{ tokens: [1, ...ids('ab\ncd'), 2], predictFrom: 1 }])
    expect(await read('\n{"text": "ab"}\n  \n{"text": "cd"}\n')).toHaveLength(2)
  })

  test.each([
    ['no JSON', '{"text": "ab"}\n{"text": ', 2],
    ['another key', '{"text": "ab", "label": 1}', 1],
    ['an answer without a prompt', '{"text": "a"}\n\n{"answer": "b"}', 3],
    ['an empty answer', '{"prompt": "a", "answer": "  "}', 1],
    ['a number', '{"text": 5}', 1],
    ['a list', '[]', 1],
    ['null', 'null', 1],
  ])('refuses %s with the number of its line', async (_, text, line) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'bad-input',
      details: { line },
      message: expect.stringContaining(`law.jsonl, line ${line}`),
    })
  })

  test('refuses a question that the base can’t read in one piece, and says how long it is', async () => {
    await expect(read('{"prompt": "abcdefgh", "answer": "ijkl"}')).rejects.toMatchObject({
      code: 'bad-input',
      details: { line: 1, tokens: 14 },
    })
  })

  test.each([
    ['an empty file', ''],
    ['a file of line breaks', '\n\n'],
    ['a blank text', '   '],
  ])('refuses %s', async (_, text) => {
    await expect(read(text, 'txt')).rejects.toMatchObject({ code: 'bad-input' })
    await expect(read(text)).rejects.toMatchObject({ code: 'bad-input' })
  })
})
