// GPT-2's byte-level BPE: text to token ids and back. The ids are those that llama.cpp gives for the same vocabulary, because a model that
// is trained on other ids than it is run with answers worse, and nothing else would show it.
// One difference is known: llama.cpp takes tokens with certain well-known names (`<|im_end|>`, `<EOT>`) for control tokens whatever their
// type says; here the type decides.
import { byteCharacters, bytesOfToken } from './byte-characters.ts'
import { mergeWord } from './merge-word.ts'
import type { MergeTable } from './merge-word.ts'
import { preSplit } from './pre-split.ts'
import { cutOut, userDefinedTokens } from './user-defined-tokens.ts'
import { pairKey, tokenType } from './vocabulary.ts'
import type { ByteLevelVocabulary } from './vocabulary.ts'

export interface ByteLevelBpe {
  /** Without BOS and EOS; text that looks like a control token is plain text. */
  encode(text: string): number[]
  /** Control tokens give nothing, bytes that are no UTF-8 give U+FFFD. Throws for ids that the vocabulary doesn't have. */
  decode(ids: Iterable<number>): string
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** How many tokens there are. */
  readonly size: number
}

/** The vocabulary has all byte tokens and the result of every merge, as `trainBpe` and `vocabularyOf` guarantee; it throws otherwise. */
export function createByteLevelBpe(vocabulary: ByteLevelVocabulary): ByteLevelBpe {
  const userDefined = userDefinedTokens(vocabulary)
  const encodeWord = wordEncoder(vocabulary)
  const pieces = vocabulary.tokens.map((text, id) => pieceOf(text, vocabulary.types[id]))
  return {
    encode(text) {
      const ids: number[] = []
      for (const fragment of cutOut(text, userDefined)) {
        if (typeof fragment === 'number') {
          ids.push(fragment)
          continue
        }
        for (const word of preSplit(fragment)) {
          for (const id of encodeWord(word)) ids.push(id)
        }
      }
      return ids
    },
    decode(ids) {
      const bytes = Array.from(ids, (id) => {
        const piece = pieces[id]
        if (piece === undefined) throw new Error(`there is no token ${id} among ${pieces.length}`)
        return piece
      })
      return Buffer.concat(bytes).toString('utf8')
    },
    bos: vocabulary.bos,
    eos: vocabulary.eos,
    size: vocabulary.tokens.length,
  }
}

// Words repeat: most of a text is a few thousand of them. The bounds keep the cache at a few MB whatever the text.
const maxCachedWords = 50_000
const maxCachedCharacters = 32

function wordEncoder(vocabulary: ByteLevelVocabulary): (word: string) => readonly number[] {
  const idsByText = new Map(vocabulary.tokens.map((text, id) => [text, id] as const))
  const byteTokens = Int32Array.from(byteCharacters, (character) => idOf(idsByText, character))
  const merges = mergeTable(vocabulary, idsByText)
  const cache = new Map<string, readonly number[]>()
  return (word) => {
    const cached = cache.get(word)
    if (cached !== undefined) return cached
    const ids = mergeWord(
      Int32Array.from(Buffer.from(word), (byte) => byteTokens[byte]!),
      merges,
    )
    if (word.length <= maxCachedCharacters) {
      if (cache.size >= maxCachedWords) cache.clear()
      cache.set(word, ids)
    }
    return ids
  }
}

function mergeTable(vocabulary: ByteLevelVocabulary, idsByText: ReadonlyMap<string, number>): MergeTable {
  const ranks = new Map<number, number>()
  const results = new Int32Array(vocabulary.merges.length)
  for (const [rank, [left, right]] of vocabulary.merges.entries()) {
    const key = pairKey(left, right)
    // Of a merge that is listed twice, the first counts.
    if (!ranks.has(key)) ranks.set(key, rank)
    results[rank] = idOf(idsByText, `${vocabulary.tokens[left]}${vocabulary.tokens[right]}`)
  }
  return { ranks, results }
}

function idOf(idsByText: ReadonlyMap<string, number>, text: string): number {
  const id = idsByText.get(text)
  if (id === undefined) throw new Error(`the vocabulary lacks the token ${JSON.stringify(text)}`)
  return id
}

function pieceOf(text: string, type: number | undefined): Uint8Array {
  if (type === tokenType.normal) return bytesOfToken(text)
  return type === tokenType.userDefined ? Buffer.from(text) : new Uint8Array(0)
}
