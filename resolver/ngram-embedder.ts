// The built-in embedder: character n-grams hashed into a fixed number of signed buckets. No model file, no native code, offline.
// It knows spelling, not meaning: it bridges Shakespeare and Shakespearean, not cook and chef.
import { MeshError } from '../protocol/index.ts'
import type { Embedder, EmbedOptions } from './ports.ts'
import { stopWords, wordsOf } from './stems.ts'

const shortest = 3
const longest = 5
/** Words read of one text: a bound on work, far above any card or request. */
const wordsMax = 4_096

/** Buckets; collisions add noise of about 1/sqrt(dimensions) to a cosine. */
export const ngramDimensions = 1_024

export function createNgramEmbedder(): Embedder {
  let disposed = false
  return {
    id: `ngram-${shortest}-${longest}-${ngramDimensions}/1`,
    dimensions: ngramDimensions,
    trust: { unrelatedCosine: 0, sameCosine: 1, rankWeight: 0.2, bridgesMeaning: false },
    async embed(texts: readonly string[], options: EmbedOptions = {}) {
      if (disposed) throw new MeshError('bad-input', 'This embedder was closed: create a new one.')
      const vectors: Float32Array[] = []
      for (const text of texts) {
        if (options.signal?.aborted) throw new MeshError('aborted', 'Embedding was cancelled.')
        vectors.push(ngramVector(text))
      }
      return vectors
    },
    async [Symbol.asyncDispose]() {
      disposed = true
    },
  }
}

/**
 * The vector of a text: every content word adds its n-grams (of `<word>`, marks included) as a unit vector, so that long words
 * don't outweigh short ones; the sum has length 1. A text of stop words alone is embedded by them; one without words is all zeros.
 */
export function ngramVector(text: string): Float32Array {
  const all = wordsOf(text).slice(0, wordsMax)
  const content = all.filter((word) => !stopWords.has(word))
  const vector = new Float32Array(ngramDimensions)
  for (const word of content.length > 0 ? content : all) {
    const grams = ngramsOf(word)
    const share = 1 / Math.sqrt(grams.length)
    for (const gram of grams) {
      const hash = hashOf(gram)
      vector[hash % ngramDimensions]! += hash & 0x8000_0000 ? -share : share
    }
  }
  return normalised(vector)
}

/** Character n-grams of 3 to 5 of `<word>`; a word of one letter is one gram. */
export function ngramsOf(word: string): string[] {
  const marked = [...`<${word}>`]
  const grams: string[] = []
  for (let size = shortest; size <= longest; size++) {
    for (let start = 0; start + size <= marked.length; start++) grams.push(marked.slice(start, start + size).join(''))
  }
  return grams
}

/** FNV-1a over UTF-16 units with a final mix, 32 bits unsigned: the low bits choose the bucket, the highest one the sign. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Scales to length 1; all zeros stay. */
export function normalised(vector: Float32Array): Float32Array {
  let squares = 0
  for (const value of vector) squares += value * value
  if (squares === 0) return vector
  const scale = 1 / Math.sqrt(squares)
  return vector.map((value) => value * scale)
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
