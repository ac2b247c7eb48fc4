import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createByteLevelBpe } from './byte-level-bpe.ts'
import { tokenizeWithLlama } from './testing/llama-tokenizer.ts'
import { awkwardTexts, mixedTexts, pairVocabulary, prose, randomVocabulary, textsOf } from './testing/texts.ts'
import { writeTinyBase } from './testing/tiny-base.ts'
import { trainBpe } from './train-bpe.ts'
import { tokenType } from './vocabulary.ts'
import type { ByteLevelVocabulary } from './vocabulary.ts'

const trained = trainBpe([prose(60_000, 1), ...awkwardTexts, ...awkwardTexts, ...mixedTexts(300, 2)], {
  vocabulary: 768,
})
const bpe = createByteLevelBpe(trained)
const idsOf = (vocabulary: ByteLevelVocabulary, ...texts: string[]): number[] =>
  texts.map((text) => vocabulary.tokens.indexOf(text))

describe('the ids are those of llama.cpp', () => {
  interface Case {
    readonly vocabulary: ByteLevelVocabulary
    readonly texts: readonly string[]
  }

  async function expectAgreement(cases: readonly Case[]): Promise<void> {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-tokenizer-'))
    const jobs = cases.map(({ texts }, index) => ({ base: join(folder.path, `${index}.gguf`), texts }))
    for (const [index, { vocabulary }] of cases.entries()) await writeTinyBase(jobs[index]!.base, vocabulary)
    const answers = await tokenizeWithLlama(jobs)
    for (const [index, { vocabulary, texts }] of cases.entries()) {
      const ours = createByteLevelBpe(vocabulary)
      const differing = texts.filter((text, at) => ours.encode(text).join() !== answers[index]![at]!.join())
      expect(differing, `case ${index}`).toEqual([])
    }
  }

  test('with a trained vocabulary, for texts of all kinds', async () => {
    await expectAgreement([{ vocabulary: trained, texts: [...awkwardTexts, prose(5000, 3), ...mixedTexts(600, 4)] }])
  })

  test('wherever words can be cut', async () => {
    const characters = [..." \t\n'!1strevlmda\u00A0\u2003\u0085é", ' ', ' ', "'", '🙂', '\u0301']
    const vocabulary = pairVocabulary([...Buffer.from(" \t\n'!1strevlmda"), 0x85, 0xa0, 0x83, 0xa9, 0x82, 0x81])
    await expectAgreement([{ vocabulary, texts: [...awkwardTexts, ...textsOf(characters, 1500, 5)] }])
  })

  test('for every code point of the planes in use, after a letter, a digit and a mark', async () => {
    const vocabulary = pairVocabulary([...Buffer.from('a1!')])
    const texts = Array.from({ length: 0x341 }, (_, block) => {
      const first = block === 0x340 ? 0xe0000 : block * 0x100
      const codePoints = Array.from({ length: 0x100 }, (_, index) => first + index)
      return codePoints
        .map((codePoint) => String.fromCodePoint(codePoint).toWellFormed())
        .map((character) => `a${character}\n1${character}\n!${character}\n`)
        .join('')
    })
    await expectAgreement([{ vocabulary, texts }])
  })

  test('with merges that no training would make or that are listed twice, and with user-defined tokens', async () => {
    const texts = textsOf(['a', 'b', 'c', ' '], 400, 6)
    const random = randomVocabulary('abcĠ', 150, 7)
    const userDefined = ['bc', '<user>', 'xabc', 'abcd', '  ', 'ü!']
    const withUserDefined = {
      ...trained,
      tokens: [...trained.tokens, ...userDefined],
      types: [...trained.types, ...userDefined.map(() => tokenType.userDefined)],
    }
    const userTexts = textsOf(['<user>', 'x', 'a', 'b', 'c', 'd', 'abc', ' ', 'ü', '!', '<bos>'], 400, 8)
    await expectAgreement([
      { vocabulary: random, texts },
      { vocabulary: { ...random, merges: [...random.merges, ...random.merges.toReversed()] }, texts },
      { vocabulary: withUserDefined, texts: userTexts },
    ])
  })
})

describe('encoding', () => {
  test('applies the merge that was learnt first, wherever it stands', () => {
    const vocabulary = trainBpe(['bc\nbc\nbc\nab\nab\n'], { vocabulary: 260 })
    expect(vocabulary.tokens.slice(258)).toEqual(['bc', 'ab'])
    const { encode } = createByteLevelBpe(vocabulary)
    expect(encode('abcab')).toEqual(idsOf(vocabulary, 'a', 'bc', 'ab'))
    expect(encode('abbc')).toEqual(idsOf(vocabulary, 'ab', 'bc'))
  })

  test('at equal rank applies the leftmost first', () => {
    const vocabulary = trainBpe(['aa\naa\n'], { vocabulary: 259 })
    expect(createByteLevelBpe(vocabulary).encode('aaaaa')).toEqual(idsOf(vocabulary, 'aa', 'aa', 'a'))
  })

  test('takes text that looks like a control token as plain text, and adds no BOS or EOS', () => {
    expect(bpe.encode('')).toEqual([])
    const ids = bpe.encode('<bos>hi<eos>')
    expect(ids).not.toContain(trained.bos)
    expect(ids).not.toContain(trained.eos)
    expect(bpe.decode(ids)).toBe('<bos>hi<eos>')
  })

  test('gives the same ids again', () => {
    const text = prose(2000, 9)
    expect(bpe.encode(text)).toEqual(bpe.encode(text))
    expect(bpe.encode(text)).toEqual(createByteLevelBpe(trained).encode(text))
  })

  test('is right for more words than are remembered', () => {
    const letters = (index: number): string =>
      index.toString(26).replaceAll(/\d/g, (digit) => 'qrstuvwxyz'[Number(digit)]!)
    const words = Array.from({ length: 60_000 }, (_, index) => ` ${letters(index)}`)
    expect(new Set(words).size).toBe(60_000)
    const first = bpe.encode(words[0]!)
    expect(bpe.decode(bpe.encode(words.join('')))).toBe(words.join(''))
    expect(bpe.encode(words[0]!)).toEqual(first)
  })

  const lettersOf = (text: string): string => text.replaceAll(/[^a-z]/g, '').slice(0, 1_000_000)
  test.each([
    ['of different letters', lettersOf(prose(1_500_000, 10))],
    ['of one letter', 'a'.repeat(1_000_000)],
    ['of spaces', ' '.repeat(1_000_000)],
  ])('takes a moment for one word of a million characters %s', (_, word) => {
    expect(word).toHaveLength(1_000_000)
    const started = performance.now()
    const ids = bpe.encode(word)
    expect(performance.now() - started).toBeLessThan(4000)
    expect(bpe.decode(ids)).toBe(word)
  })
})

describe('decoding', () => {
  test('gives back every well-formed text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(bpe.decode(bpe.encode(text))).toBe(text)
      }),
      { numRuns: 500 },
    )
    for (const text of mixedTexts(300, 11)) expect(bpe.decode(bpe.encode(text))).toBe(text)
  })

  test('gives U+FFFD for half of a surrogate pair', () => {
    expect(bpe.decode(bpe.encode('a\uD83Db'))).toBe('a\uFFFDb')
  })

  test('gives nothing for control tokens', () => {
    expect(bpe.decode([0, ...bpe.encode('Q: a'), 1, 0])).toBe('Q: a')
  })

  test('joins bytes before it reads them as UTF-8, and gives U+FFFD for those that are none', () => {
    const bytes = (...values: number[]): number[] => values.map((value) => 2 + value)
    expect(bpe.decode(bytes(0xf0, 0x9f, 0x99, 0x82))).toBe('🙂')
    expect(bpe.decode(bytes(0x61, 0xff, 0x62, 0xe2, 0x82))).toBe('a\uFFFDb\uFFFD')
    expect(bpe.decode(bytes(0xef, 0xbb, 0xbf, 0x61))).toBe('\uFEFFa')
  })

  test('takes user-defined tokens as they are written, and characters that stand for no byte as themselves', () => {
    const tokens = [...trained.tokens, 'Ġ☃', 'Ġ☃ ']
    const { decode } = createByteLevelBpe({
      ...trained,
      tokens,
      types: [...trained.types, tokenType.normal, tokenType.userDefined],
    })
    expect(decode([768])).toBe(' ☃')
    expect(decode([769])).toBe('Ġ☃ ')
  })

  test('refuses ids that the vocabulary lacks', () => {
    expect(() => bpe.decode([768])).toThrow('no token 768')
    expect(() => bpe.decode([-1])).toThrow('no token -1')
  })
})

test('a tokenizer tells its size and its control tokens', () => {
  expect([bpe.size, bpe.bos, bpe.eos]).toEqual([768, 0, 1])
  const without = createByteLevelBpe({ ...trained, bos: undefined })
  expect(without.bos).toBeUndefined()
})

test('a vocabulary without a byte or without the result of a merge is refused', () => {
  const renamed = (id: number): ByteLevelVocabulary => ({ ...trained, tokens: trained.tokens.with(id, '[gone]') })
  expect(() => createByteLevelBpe(renamed(2))).toThrow('lacks')
  expect(() => createByteLevelBpe(renamed(767))).toThrow('lacks')
})
