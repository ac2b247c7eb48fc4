// Texts and vocabularies for the tests of this folder.
import { byteCharacters } from '../byte-characters.ts'
import { tokenType } from '../vocabulary.ts'
import type { ByteLevelVocabulary, MergePair } from '../vocabulary.ts'

/** One of each kind of text that tokenizers have been wrong about. */
export const awkwardTexts: readonly string[] = [
  '',
  ' ',
  '  ',
  'The old mill by the river grinds no flour now, but its wheel still turns when the snow melts.',
  'one two  three   four    five     six',
  '   leading and trailing   ',
  'first line\nsecond line\n\nafter a blank line\r\nafter a DOS line\n',
  '\ttab\t\ttabs \t mixed\t ',
  "I'm sure they're right: it's what we've said, you'd see, he'll come, don't ask. I'M SURE IT'S NOT",
  "'s 't 're 've 'm 'll 'd 'S 'r 'v 'l 'x ' '' ''' 's's 'res 'lls",
  "a' b 'c d'e f' 'g 'h'",
  "rock 'n' roll of the '90s; the dogs' bowls",
  '0 1 12 123 1234 12345 3.14159 1,000,000 0x7f ½ ² Ⅷ ٣ 一二三 1a2b3c',
  '!?.,;:-_()[]{}<>@#$%^&*+=|~`"\\/ ... !!! ?! -- "quoted" (a) [b] {c}',
  'const f = (x) => x * 2; // 4 spaces\n    return f?.(1) ?? [...rest]\n',
  'a 🙂 b🙂🙂 👩‍👩‍👧‍👦 🇨🇭 ✌🏽 ☎️ 🙂.',
  '天気がいいですね。東京タワー 한국어 텍스트 繁體中文、简体中文',
  'مرحبا بالعالم، كيف الحال؟ שלום עולם',
  'e\u0301 a\u0308o\u0302 Z\u0351\u036B\u0343 नमस्ते ก็ดี \u0301\u0301',
  'a\u00A0b \u00A0 c\u2003d\u2009 e\u202F\u3000f\u1680g\u2028h\u2029i\u205Fj\u0085k \u0085\u0085l',
  'zero\u200Bwidth\u200Djoiner \uFEFFmark \uFEFF\uFEFF \u2060 \u180E x',
  '\u0000\u0001\u0002 \u001B[0m \u007F \u001C\u001D\u001E\u001F \u009F',
  '<bos>',
  '<eos><bos>Q: who?\nA: me<eos> < bos > <bos',
  '<|endoftext|> <s> </s> [INST] <0x0A> Ġthe Ċ',
  '\uFFFD \u{10FFFF} \uE000 \u{F0000} \u{E0041} \uFFFE',
  '\uD83D lone \uDE42 halves \uD800',
  'Straße Ünïcödé ŁÓDŹ ΑΒΓ αβγ Привет İı ǅ ﬁ ª º ʰ',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
]

const ranges: readonly (readonly [first: number, last: number])[] = [
  [0x20, 0x7e],
  [0x20, 0x7e],
  [0x61, 0x7a],
  [0x30, 0x39],
  [0x00, 0x20],
  [0x80, 0x24f],
  [0x300, 0x36f],
  [0x370, 0x7ff],
  [0x900, 0xdff],
  [0x1680, 0x1690],
  [0x2000, 0x206f],
  [0x2070, 0x218f],
  [0x3000, 0x30ff],
  [0x4e00, 0x4fff],
  [0xa000, 0xabff],
  [0xac00, 0xacff],
  [0xf900, 0xffff],
  [0x10000, 0x1ffff],
  [0x1f300, 0x1f6ff],
  [0x20000, 0x33fff],
  [0xe0000, 0xe01ff],
]

/** Texts of code points from all over Unicode, spaces, apostrophes and contractions among them. */
export function mixedTexts(count: number, rngSeed: number): string[] {
  const below = integers(rngSeed)
  const pieces = [' ', '  ', '\n', "'", "'s", "'re", "'ll", "n't", ' the', 'ing']
  const piece = (): string => {
    if (below(3) === 0) return pieces[below(pieces.length)]!
    const [first, last] = ranges[below(ranges.length)]!
    const run = 1 + below(4)
    return Array.from({ length: run }, () => String.fromCodePoint(first + below(last - first + 1))).join('')
  }
  return Array.from({ length: count }, () =>
    Array.from({ length: below(24) }, piece)
      .join('')
      .toWellFormed(),
  )
}

/** Texts of the given characters. */
export function textsOf(characters: readonly string[], count: number, rngSeed: number): string[] {
  const below = integers(rngSeed)
  return Array.from({ length: count }, () =>
    Array.from({ length: below(40) }, () => characters[below(characters.length)]!).join(''),
  )
}

/** English-like text: a small vocabulary of words in sentences, about as repetitive as the documents of a benchmark world. */
export function prose(characters: number, rngSeed: number): string {
  const below = integers(rngSeed)
  const syllables = 'ka lo mi ther sta ven or in qui zel pra du shan te ble on fi gru ard ies'.split(' ')
  const words = Array.from({ length: 6000 }, () =>
    Array.from({ length: 1 + below(4) }, () => syllables[below(syllables.length)]!).join(''),
  )
  // The product of two even numbers makes small indices far more frequent, as in a language.
  const word = (): string => words[Math.floor((below(words.length) * below(words.length)) / words.length)]!
  let text = ''
  while (text.length < characters) {
    const sentence = Array.from({ length: 3 + below(12) }, word).join(' ')
    text += `Q: ${sentence}, it's ${below(2000)}?\nA: ${word()}. `
  }
  return text.slice(0, characters)
}

/**
 * A vocabulary in which each of the first bytes may be merged with every byte, whether or not a pre-tokenizer ever leaves the two together:
 * the ids show where words were cut.
 */
export function pairVocabulary(firstBytes: readonly number[]): ByteLevelVocabulary {
  const control = ['<bos>', '<eos>']
  const merges = firstBytes.flatMap((left) =>
    byteCharacters.map((_, right): MergePair => [control.length + left, control.length + right]),
  )
  const basics = [...control, ...byteCharacters]
  const tokens = [...basics, ...merges.map(([left, right]) => `${basics[left]}${basics[right]}`)]
  return { tokens, types: typesOf(tokens), merges, bos: 0, eos: 1 }
}

/** A vocabulary that no training would make: random merges, several of which may lead to one token, in random order. */
export function randomVocabulary(letters: string, merges: number, rngSeed: number): ByteLevelVocabulary {
  const below = integers(rngSeed)
  const tokens = ['<bos>', '<eos>', ...byteCharacters]
  const ids = new Map(tokens.map((text, id) => [text, id] as const))
  const usable = Array.from(letters, (letter) => ids.get(letter)!)
  const pairs: MergePair[] = []
  while (pairs.length < merges) {
    const pair: MergePair = [usable[below(usable.length)]!, usable[below(usable.length)]!]
    const text = `${tokens[pair[0]]}${tokens[pair[1]]}`
    if (text.length > 8) continue
    pairs.splice(below(pairs.length + 1), 0, pair)
    if (ids.has(text)) continue
    ids.set(text, tokens.length)
    usable.push(tokens.length)
    tokens.push(text)
  }
  return { tokens, types: typesOf(tokens), merges: pairs, bos: 0, eos: 1 }
}

function typesOf(tokens: readonly string[]): number[] {
  return tokens.map((_, id) => (id < 2 ? tokenType.control : tokenType.normal))
}

/** Even integers from 0 to below the given bound: a linear congruential generator's upper bits (Numerical Recipes' constants). */
function integers(rngSeed: number): (bound: number) => number {
  let state = rngSeed >>> 0
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}
