// Okapi BM25 over any tokens: the plain, strong keyword ranking that everything else here is measured against.

const k1 = 1.2
const b = 0.75

/**
 * What a token repeated `frequency` times in a document of `length` tokens counts: f (k1 + 1) / (f + k1 (1 - b + b length/average)).
 * S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
 */
export function saturation(frequency: number, length: number, averageLength: number): number {
  return (frequency * (k1 + 1)) / (frequency + k1 * (1 - b + (b * length) / averageLength))
}

/** ln(1 + (N - n + 0.5) / (n + 0.5)) for a token found in `n` of `N` documents. */
export function inverseDocumentFrequency(documents: number, containing: number): number {
  return Math.log(1 + (documents - containing + 0.5) / (containing + 0.5))
}

export interface Bm25 {
  /** One score per document, in order; every distinct token of the query counts once. */
  score(query: readonly string[]): Float64Array
}

export function createBm25(documents: readonly (readonly string[])[]): Bm25 {
  const postings = new Map<string, Map<number, number>>()
  let tokens = 0
  for (const [index, document] of documents.entries()) {
    tokens += document.length
    for (const token of document) {
      const frequencies = postings.get(token) ?? new Map<number, number>()
      postings.set(token, frequencies.set(index, (frequencies.get(index) ?? 0) + 1))
    }
  }
  const averageLength = Math.max(1, tokens / Math.max(1, documents.length))
  return {
    score(query) {
      const scores = new Float64Array(documents.length)
      for (const token of new Set(query)) {
        const frequencies = postings.get(token)
        if (frequencies === undefined) continue
        const idf = inverseDocumentFrequency(documents.length, frequencies.size)
        for (const [index, frequency] of frequencies) {
          scores[index]! += idf * saturation(frequency, documents[index]!.length, averageLength)
        }
      }
      return scores
    },
  }
}
