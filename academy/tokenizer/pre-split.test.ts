import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { preSplit } from './pre-split.ts'
import { awkwardTexts, mixedTexts, textsOf } from './testing/texts.ts'

// The expression of GPT-2, with \s as Unicode has it.
const space = String.raw`\p{White_Space}`
const expression = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${space}\\p{L}\\p{N}]+|${space}+(?!\\P{White_Space})|${space}+`,
  'gv',
)
const byExpression = (text: string): string[] => Array.from(text.matchAll(expression), ([word]) => word)
// Unicode 15.1 has all of these; newer characters are compared with llama.cpp in byte-level-bpe.test.ts.
const olderThanTables = (text: string): boolean =>
  /^[^\u{880}-\u{1fff}\u{a7c1}-\u{abff}\u{10000}-\u{1f2ff}\u{1f700}-\u{1ffff}\u{2a6e0}-\u{10ffff}]*$/v.test(text)

describe('a text is cut into words', () => {
  test.each<[string, string[]]>([
    ['', []],
    ['Hello world', ['Hello', ' world']],
    ["it's we've they'll", ['it', "'s", ' we', "'ve", ' they', "'ll"]],
    ["IT'S 'tis", ['IT', "'", 'S', " '", 'tis']],
    ['a  b', ['a', ' ', ' b']],
    ['a   \n', ['a', '   \n']],
    ['a\n\nb', ['a', '\n', '\n', 'b']],
    ['a \u00A0b', ['a', ' ', '\u00A0', 'b']],
    ['x1 23 ½', ['x', '1', ' 23', ' ½']],
    ['what?! (no)', ['what', '?!', ' (', 'no', ')']],
    ['日本 e\u0301', ['日本', ' e', '\u0301']],
    ['\uFEFFa', ['\uFEFF', 'a']],
    ['a\u0085b', ['a', '\u0085', 'b']],
  ])('%j', (text, words) => {
    expect([...preSplit(text)]).toEqual(words)
  })

  test('at the places where the expression of GPT-2 cuts it', () => {
    const structure = textsOf(
      [' ', ' ', '\n', '\t', "'", 's', 't', 'r', 'e', 'v', 'l', 'm', 'd', '1', '!', '\u00A0', 'é'],
      500,
      1,
    )
    const texts = [...awkwardTexts, ...structure, ...mixedTexts(2000, 2)].filter(olderThanTables)
    expect(texts.length).toBeGreaterThan(600)
    for (const text of texts) expect([...preSplit(text)], JSON.stringify(text)).toEqual(byExpression(text))
  })

  test('and nothing of it is lost', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const words = [...preSplit(text)]
        expect(words.join('')).toBe(text)
        expect(words).not.toContain('')
      }),
    )
  })

  test.each([
    ['letters', 'a'],
    ['ideographs of two units', '\u{20000}'],
    ['digits', '7'],
    ['marks', '!'],
    ['spaces', ' '],
  ])('also twelve million %s, in one word', (_, character) => {
    const text = character.repeat(12_000_000 / character.length)
    expect([...preSplit(text)].map((word) => word.length)).toEqual([text.length])
  })
})
