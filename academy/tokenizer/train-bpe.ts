// Learns a byte-level BPE vocabulary from texts, as for GPT-2: the most frequent pair of neighbouring tokens becomes a token, again and
// again. Texts are counted by their distinct words, and a merge touches only the words that hold its pair.
import { byteCharacters } from './byte-characters.ts'
import { preSplit } from './pre-split.ts'
import { pairKey, pairOfKey, tokenType } from './vocabulary.ts'
import type { ByteLevelVocabulary, MergePair } from './vocabulary.ts'

export interface TrainBpeOptions {
  /** How many tokens to end with: 2 control tokens, 256 bytes, and one for each merge. At least 258. */
  readonly vocabulary: number
}

const controlTokens = ['<bos>', '<eos>']
const [bos, eos] = [0, 1]
const firstByteToken = controlTokens.length

/**
 * The same texts give the same vocabulary: of equally frequent pairs the one with the smaller left id is merged first, then the one with
 * the smaller right id. The vocabulary ends up smaller than asked for when no pair occurs twice any more.
 * Each merge looks at all distinct pairs once, so it is meant for vocabularies of thousands, not of hundreds of thousands.
 */
export function trainBpe(texts: Iterable<string>, { vocabulary }: TrainBpeOptions): ByteLevelVocabulary {
  const tokens = [...controlTokens, ...byteCharacters]
  if (vocabulary < tokens.length)
    throw new Error(`a vocabulary of ${vocabulary} has no room for ${tokens.length} basic tokens`)
  const corpus = countPairs(countWords(texts))
  const merges: MergePair[] = []
  while (tokens.length < vocabulary) {
    const pair = mostFrequent(corpus.pairs)
    if (pair === undefined) break
    const merged = tokens.push(`${tokens[pair[0]]}${tokens[pair[1]]}`) - 1
    merges.push(pair)
    mergeEverywhere(corpus, pair, merged)
  }
  const types = tokens.map((_, id) => (id < firstByteToken ? tokenType.control : tokenType.normal))
  return { tokens, types, merges, bos, eos }
}

interface Word {
  /** Its tokens so far. */
  readonly ids: number[]
  readonly occurrences: number
}

interface PairCount {
  occurrences: number
  /** All that hold the pair, and some that no longer do. */
  readonly words: Set<Word>
}

interface Corpus {
  /** By `pairKey`; no pair that doesn't occur. */
  readonly pairs: Map<number, PairCount>
}

function countWords(texts: Iterable<string>): Word[] {
  const occurrences = new Map<string, number>()
  for (const text of texts) {
    for (const word of preSplit(text)) occurrences.set(word, (occurrences.get(word) ?? 0) + 1)
  }
  return Array.from(occurrences, ([word, count]) => ({
    ids: Array.from(Buffer.from(word), (byte) => firstByteToken + byte),
    occurrences: count,
  }))
}

function countPairs(words: readonly Word[]): Corpus {
  const corpus: Corpus = { pairs: new Map() }
  for (const word of words) {
    for (let at = 1; at < word.ids.length; at++) addPair(corpus, word, word.ids[at - 1]!, word.ids[at]!)
  }
  return corpus
}

function mostFrequent(pairs: ReadonlyMap<number, PairCount>): MergePair | undefined {
  let best: number | undefined
  let most = 2
  for (const [key, { occurrences }] of pairs) {
    if (occurrences < most || (occurrences === most && best !== undefined && key > best)) continue
    best = key
    most = occurrences
  }
  return best === undefined ? undefined : pairOfKey(best)
}

function mergeEverywhere(corpus: Corpus, [left, right]: MergePair, merged: number): void {
  for (const word of corpus.pairs.get(pairKey(left, right))!.words) mergeInWord(corpus, word, [left, right], merged)
}

/** From left to right: of three equal letters the first two are merged. Only the pairs around a merge are counted anew. */
function mergeInWord(corpus: Corpus, word: Word, [left, right]: MergePair, merged: number): void {
  const { ids } = word
  let kept = 0
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at]!
    if (id !== left || ids[at + 1] !== right) {
      ids[kept++] = id
      continue
    }
    const before = kept > 0 ? ids[kept - 1] : undefined
    const after = ids[at + 2]
    removePair(corpus, word, left, right)
    if (before !== undefined) {
      removePair(corpus, word, before, left)
      addPair(corpus, word, before, merged)
    }
    if (after !== undefined) {
      removePair(corpus, word, right, after)
      addPair(corpus, word, merged, after)
    }
    ids[kept++] = merged
    at++
  }
  ids.length = kept
}

function addPair({ pairs }: Corpus, word: Word, left: number, right: number): void {
  const key = pairKey(left, right)
  const pair = pairs.get(key)
  if (pair === undefined) {
    pairs.set(key, { occurrences: word.occurrences, words: new Set([word]) })
    return
  }
  pair.occurrences += word.occurrences
  pair.words.add(word)
}

function removePair({ pairs }: Corpus, word: Word, left: number, right: number): void {
  const key = pairKey(left, right)
  const pair = pairs.get(key)!
  pair.occurrences -= word.occurrences
  if (pair.occurrences === 0) pairs.delete(key)
}
