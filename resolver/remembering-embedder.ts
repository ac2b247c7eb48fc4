// Any embedder, with a memory: a catalogue's texts are embedded once, not once per request.
import { MeshError } from '../protocol/index.ts'
import type { Embedder, EmbedOptions } from './ports.ts'

/** Vectors kept: 20,000 of 384 numbers are 31 MB. */
const defaultMaxTexts = 20_000

/** Disposes `inner` with itself. The vectors it returns are shared: callers must not write to them. */
export function rememberingEmbedder(inner: Embedder, maxTexts = defaultMaxTexts): Embedder {
  const vectors = new Map<string, Float32Array>()
  let disposed = false

  return {
    id: inner.id,
    dimensions: inner.dimensions,
    trust: inner.trust,
    async embed(texts: readonly string[], options: EmbedOptions = {}) {
      if (disposed) throw new MeshError('bad-input', 'This embedder was closed: create a new one.')
      if (options.signal?.aborted) throw new MeshError('aborted', 'Embedding was cancelled.')
      const found = new Map(texts.map((text) => [text, recall(text)]))
      const missing = [...found].filter(([, vector]) => vector === undefined).map(([text]) => text)
      const fresh = missing.length === 0 ? [] : await inner.embed(missing, options)
      for (const [i, text] of missing.entries()) {
        found.set(text, fresh[i])
        remember(text, fresh[i]!)
      }
      return texts.map((text) => found.get(text)!)
    },
    async [Symbol.asyncDispose]() {
      if (disposed) return
      disposed = true
      vectors.clear()
      await inner[Symbol.asyncDispose]()
    },
  }

  /** A Map keeps insertion order, so putting a hit back at the end makes the first key the least recently used. */
  function recall(text: string): Float32Array | undefined {
    const vector = vectors.get(text)
    if (vector !== undefined) remember(text, vector)
    return vector
  }

  function remember(text: string, vector: Float32Array): void {
    vectors.delete(text)
    vectors.set(text, vector)
    if (vectors.size > maxTexts) vectors.delete(vectors.keys().next().value!)
  }
}
