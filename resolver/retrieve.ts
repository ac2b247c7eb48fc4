// Hybrid retrieval: how well does each skill answer to each facet? Words (BM25 over stems and their kin) and vectors, both absolute:
// nothing is rescaled per request, so that the best of a bad lot stays bad, and a weak word match leaves the choice to the vectors.
import { backgroundDocuments, backgroundFrequency, backgroundLength } from './background.ts'
import { inverseDocumentFrequency, saturation } from './bm25.ts'
import { createKinIndex } from './kin.ts'
import { dot } from './ngram-embedder.ts'
import type { Embedder, EmbedOptions } from './ports.ts'
import { stemOf, stopWords, wordsOf } from './stems.ts'

/** One thing that can be found. */
export interface Skill {
  /** Its name, words apart. What a name says counts in full however much text follows it. */
  readonly title: string
  /** Texts that describe it, each a passage of its own: description, summary, tags. */
  readonly passages: readonly string[]
}

export interface Query {
  readonly text: string
  /** Words the skill must answer to; repeats count once. */
  readonly terms: readonly string[]
}

export interface Relevance {
  /** What ranks: (words + w similarity) / (1 + w), w the embedder's rank weight. 0 is nothing in common, 1 a full match; repeated words can exceed it. */
  readonly score: number
  /** Part of the terms' weight that the skill's words answer, 0..1. */
  readonly coverage: number
  /** BM25 over the sum of the terms' weights: like coverage, but repeated words and short texts count more. */
  readonly words: number
  /** Cosine of the vectors, scaled by the embedder's trust to 0..1. */
  readonly similarity: number
}

/**
 * From here on a skill is adequate for a facet; below it the facet is a gap. Chosen before anything was tried: more than half of a
 * facet's weight, so that one of two equally rare words ("protein" of "protein folding") is never enough, and less than
 * two thirds, so that two of three are.
 */
export const adequateFrom = 0.6

export function isAdequate(relevance: Relevance, embedder: Pick<Embedder, 'trust'>): boolean {
  return relevance.coverage >= adequateFrom || (embedder.trust.bridgesMeaning && relevance.similarity >= adequateFrom)
}

export interface Retriever {
  /** One relevance per skill, in order. Rejects with `aborted`. */
  relevances(query: Query, options?: EmbedOptions): Promise<Relevance[]>
  /** Whether some skill says this very word (same stem). */
  says(word: string): boolean
}

/** Embeds the skills' passages and indexes their words. */
export async function createRetriever(
  skills: readonly Skill[],
  embedder: Embedder,
  options: EmbedOptions = {},
): Promise<Retriever> {
  const index = indexWords(skills)
  const texts = [...new Set(skills.flatMap(passagesOf))]
  const vectors = await embedder.embed(texts, options)
  const vectorOf = new Map(texts.map((text, i) => [text, vectors[i]!]))
  const passageVectors = skills.map((skill) => passagesOf(skill).map((text) => vectorOf.get(text)!))
  const { unrelatedCosine, sameCosine, rankWeight } = embedder.trust

  return {
    says: (word) => index.documentsWith.has(stemOf(word)),
    async relevances(query, queryOptions = {}) {
      const [vector] = await embedder.embed([query.text], queryOptions)
      const { words, coverage } = scoreWords(index, query.terms)
      return skills.map((_, i) => {
        const cosine = bestAndMean(passageVectors[i]!.map((passage) => dot(passage, vector!)))
        const scaled = Math.max(0, (cosine - unrelatedCosine) / (sameCosine - unrelatedCosine))
        const score = (words[i]! + rankWeight * scaled) / (1 + rankWeight)
        return { score, coverage: coverage[i]!, words: words[i]!, similarity: Math.min(1, scaled) }
      })
    },
  }
}

function passagesOf(skill: Skill): string[] {
  return [skill.title, ...skill.passages].filter((text) => text !== '')
}

/** Half the best passage, half their mean: one good passage counts, and several good ones count more. */
function bestAndMean(cosines: readonly number[]): number {
  if (cosines.length === 0) return 0
  return (Math.max(...cosines) + cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length) / 2
}

interface WordIndex {
  /** stem -> skill index -> frequency */
  readonly postings: ReadonlyMap<string, ReadonlyMap<number, number>>
  readonly documentsWith: ReadonlyMap<string, number>
  /** Stems of each skill's title. */
  readonly titles: readonly ReadonlySet<string>[]
  readonly lengths: readonly number[]
  readonly averageLength: number
  weightOf(stem: string): number
  kinOf(word: string): ReadonlyMap<string, number>
}

function indexWords(skills: readonly Skill[]): WordIndex {
  const postings = new Map<string, Map<number, number>>()
  const vocabulary = new Map<string, Set<string>>()
  const titles = skills.map(({ title }) => new Set(wordsOf(title).map(stemOf)))
  const lengths = skills.map((skill, i) => {
    const words = passagesOf(skill)
      .flatMap(wordsOf)
      .filter((word) => !stopWords.has(word))
    for (const word of words) {
      const stem = stemOf(word)
      const frequencies = postings.get(stem) ?? new Map<number, number>()
      postings.set(stem, frequencies.set(i, (frequencies.get(i) ?? 0) + 1))
      vocabulary.set(stem, (vocabulary.get(stem) ?? new Set()).add(word))
    }
    return words.length
  })
  // The imagined documents fill a small catalogue up; one that is large enough to count for itself gets none.
  const imagined = Math.max(0, backgroundDocuments - skills.length)
  const documents = skills.length + imagined
  const documentsWith = new Map([...postings].map(([stem, frequencies]) => [stem, frequencies.size]))
  const kin = createKinIndex(vocabulary)
  return {
    postings,
    documentsWith,
    titles,
    lengths,
    averageLength: (lengths.reduce((sum, length) => sum + length, 0) + imagined * backgroundLength) / documents,
    weightOf(stem) {
      const imaginedWith = (backgroundFrequency(stem) * imagined) / backgroundDocuments
      return inverseDocumentFrequency(documents, (documentsWith.get(stem) ?? 0) + imaginedWith)
    },
    kinOf: (word) => kin.kinOf(word),
  }
}

/** Per skill: BM25 where a missing word counts as its nearest kin, over the terms' total weight; and the part of that weight that is answered, 0..1. */
function scoreWords(index: WordIndex, terms: readonly string[]): { words: Float64Array; coverage: Float64Array } {
  const words = new Float64Array(index.lengths.length)
  const coverage = new Float64Array(index.lengths.length)
  const wordOfStem = new Map(terms.flatMap(wordsOf).map((word) => [stemOf(word), word]))
  const content = [...wordOfStem].filter(([, word]) => !stopWords.has(word))
  const considered = content.length > 0 ? content : [...wordOfStem]
  const totalWeight = considered.reduce((sum, [stem]) => sum + index.weightOf(stem), 0)
  for (const [stem, word] of considered) {
    const share = index.weightOf(stem) / totalWeight
    const bestWords = new Map<number, number>()
    const bestCoverage = new Map<number, number>()
    for (const [kin, similarity] of index.kinOf(word)) {
      for (const [i, frequency] of index.postings.get(kin) ?? []) {
        const inText = saturation(frequency, index.lengths[i]!, index.averageLength)
        const strength = index.titles[i]!.has(kin) ? Math.max(1, inText) : inText
        raise(bestWords, i, similarity * strength)
        // However often a word is repeated, it answers no more of a term than it is like it.
        raise(bestCoverage, i, similarity * Math.min(1, strength))
      }
    }
    for (const [i, strength] of bestWords) words[i]! += share * strength
    for (const [i, strength] of bestCoverage) coverage[i]! += share * strength
  }
  return { words, coverage }
}

function raise(best: Map<number, number>, key: number, value: number): void {
  if (value > (best.get(key) ?? 0)) best.set(key, value)
}
