import { describe, expect, it } from 'vitest'
import { describeEmbedder } from './embedder.contract.ts'
import { createNgramEmbedder, dot, ngramsOf, ngramVector } from './ngram-embedder.ts'
import { rememberingEmbedder } from './remembering-embedder.ts'
import type { Embedder } from './ports.ts'

describeEmbedder('The n-gram embedder', createNgramEmbedder)
describeEmbedder('The n-gram embedder with a memory', () => rememberingEmbedder(createNgramEmbedder(), 8))

describe('the n-gram embedder', () => {
  it('bridges words that share their spelling and no others', () => {
    const cosine = (a: string, b: string): number => dot(ngramVector(a), ngramVector(b))
    expect(cosine('Shakespeare', 'Shakespearean')).toBeGreaterThan(0.7)
    expect(cosine('recipe', 'recipes')).toBeGreaterThan(0.6)
    expect(Math.abs(cosine('wine', 'court'))).toBeLessThan(0.15)
  })

  it('gives every content word the same say and stop words none', () => {
    expect(ngramVector('the law of the sea')).toEqual(ngramVector('law sea'))
    const both = ngramVector('law internationalisation')
    // Both would be 1/sqrt(2) without collisions of buckets; by number of n-grams it would be 0.3 against 0.95.
    for (const word of ['law', 'internationalisation']) {
      const share = dot(both, ngramVector(word))
      expect(share).toBeGreaterThan(0.6)
      expect(share).toBeLessThan(0.8)
    }
    expect(ngramVector('of the').some((value) => value !== 0)).toBe(true)
  })

  it('marks the borders of a word', () => {
    expect(ngramsOf('law')).toEqual(['<la', 'law', 'aw>', '<law', 'law>', '<law>'])
    expect(ngramsOf('c')).toEqual(['<c>'])
  })
})

describe('the memory of an embedder', () => {
  function counting(): { embedder: Embedder; embedded: string[] } {
    const inner = createNgramEmbedder()
    const embedded: string[] = []
    const embedder: Embedder = {
      id: inner.id,
      dimensions: inner.dimensions,
      trust: inner.trust,
      embed(texts, options) {
        embedded.push(...texts)
        return inner.embed(texts, options)
      },
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    }
    return { embedder, embedded }
  }

  it('embeds a text once, and once more after it was the one longest unused', async () => {
    const { embedder, embedded } = counting()
    await using memory = rememberingEmbedder(embedder, 2)
    await memory.embed(['a', 'b', 'a'])
    await memory.embed(['a'])
    expect(embedded).toEqual(['a', 'b'])
    await memory.embed(['c'])
    await memory.embed(['a', 'b'])
    expect(embedded).toEqual(['a', 'b', 'c', 'b'])
  })
})
