import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createByteLevelBpe } from './byte-level-bpe.ts'
import { preSplit } from './pre-split.ts'
import { prose } from './testing/texts.ts'
import { trainBpe } from './train-bpe.ts'

const mergesOf = (texts: readonly string[], vocabulary = 320): string[] => {
  const { tokens, merges } = trainBpe(texts, { vocabulary })
  return merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}`)
}

test('a vocabulary is two control tokens, the 256 bytes and one token for each merge', () => {
  const { tokens, types, merges, bos, eos } = trainBpe(['the cat, the hat; the bat'], { vocabulary: 262 })
  expect(tokens.slice(0, 4)).toEqual(['<bos>', '<eos>', '\u0100', '\u0101'])
  expect([tokens[2 + 0x0a], tokens[2 + 0x20], tokens[2 + 0x41], tokens[2 + 0xff]]).toEqual(['Ċ', 'Ġ', 'A', 'ÿ'])
  expect(tokens.slice(258)).toEqual(['at', 'he', 'the', 'Ġthe'])
  expect(merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}`)).toEqual(['a t', 'h e', 't he', 'Ġ the'])
  expect([types.slice(0, 3), new Set(types.slice(2))]).toEqual([[3, 3, 1], new Set([1])])
  expect([bos, eos]).toEqual([0, 1])
})

test('the most frequent pair is merged first', () => {
  expect(mergesOf(['ab\nab\nxy\nxy\nxy\n'])).toEqual(['x y', 'a b'])
})

test('of equally frequent pairs the one with the smaller left id is merged first, then the one with the smaller right id', () => {
  expect(mergesOf(['cb\ncb\nbd\nbd\nbc\nbc\n'])).toEqual(['b c', 'b d', 'c b'])
})

test('a pair that occurs once is not merged: the vocabulary stays smaller than asked for', () => {
  expect(mergesOf(['abc'])).toEqual([])
  expect(trainBpe(['abab'], { vocabulary: 1000 }).tokens).toHaveLength(259)
})

test('no merge crosses the end of a word or of a text', () => {
  expect(mergesOf(['1a1a1a1a', '?', '?', '?'])).toEqual([])
})

test('runs of one letter are merged from the left, and their pairs counted anew', () => {
  expect(mergesOf(['aaaaa'])).toEqual(['a a'])
  expect(mergesOf(['aaaaa\naaaaa\n'])).toEqual(['a a', 'aa a', 'aa aaa'])
})

test('the same texts give the same vocabulary, whichever way they are handed over', () => {
  const text = prose(20_000, 5)
  const lines = text.split(/(?<=\n)/)
  const once = trainBpe([text], { vocabulary: 400 })
  expect(trainBpe([text], { vocabulary: 400 })).toEqual(once)
  expect(trainBpe(lines.toReversed(), { vocabulary: 400 })).toEqual(once)
})

test('every merge makes a new token, and merges are what counting all pairs again each time would find', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 60 })
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 6 }), (texts) => {
      const { tokens, merges } = trainBpe(texts, { vocabulary: 290 })
      expect(new Set(tokens).size).toBe(tokens.length)
      expect(merges).toEqual(mergesByCountingAgain(texts, 290))
    }),
  )
})

test('fewer tokens than control tokens and bytes are refused', () => {
  expect(() => trainBpe(['a'], { vocabulary: 257 })).toThrow('257')
  expect(trainBpe(['aaaa'], { vocabulary: 258 }).merges).toEqual([])
})

test('a megabyte of text takes far less than ten seconds', () => {
  const text = prose(1_000_000, 3)
  const started = performance.now()
  const vocabulary = trainBpe([text], { vocabulary: 768 })
  expect(performance.now() - started).toBeLessThan(5000)
  expect(vocabulary.tokens).toHaveLength(768)
  expect(text.length / createByteLevelBpe(vocabulary).encode(text).length).toBeGreaterThan(3)
})

test('so does a megabyte in one word', () => {
  const text = prose(1_000_000, 4).replaceAll(/[^a-z]/g, 'x')
  const started = performance.now()
  expect(trainBpe([text], { vocabulary: 768 }).tokens).toHaveLength(768)
  expect(performance.now() - started).toBeLessThan(10_000)
})

/** The same rule in the plainest way: all pairs of all words counted before each merge. */
function mergesByCountingAgain(texts: readonly string[], vocabulary: number): [number, number][] {
  let words = texts
    .flatMap((text) => [...preSplit(text)])
    .map((word) => Array.from(Buffer.from(word), (byte) => 2 + byte))
  const merges: [number, number][] = []
  while (258 + merges.length < vocabulary) {
    const counts = new Map<string, number>()
    for (const ids of words) {
      for (let at = 1; at < ids.length; at++) {
        const pair = `${ids[at - 1]} ${ids[at]}`
        counts.set(pair, (counts.get(pair) ?? 0) + 1)
      }
    }
    const [best] = Array.from(counts, ([pair, count]) => ({
      count,
      pair: pair.split(' ').map(Number) as [number, number],
    }))
      .filter(({ count }) => count >= 2)
      .toSorted((one, other) => other.count - one.count || one.pair[0] - other.pair[0] || one.pair[1] - other.pair[1])
    if (best === undefined) break
    const [left, right] = best.pair
    const merged = 258 + merges.length
    words = words.map((ids) => {
      const out: number[] = []
      for (let at = 0; at < ids.length; at++) {
        const hit = ids[at] === left && ids[at + 1] === right
        out.push(hit ? merged : ids[at]!)
        if (hit) at++
      }
      return out
    })
    merges.push(best.pair)
  }
  return merges
}
