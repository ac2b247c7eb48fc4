import { describe, expect, it } from 'vitest'
import { createNgramEmbedder } from './ngram-embedder.ts'
import { adequateFrom, createRetriever, isAdequate } from './retrieve.ts'
import type { Relevance, Skill } from './retrieve.ts'

const embedder = createNgramEmbedder()
const skill = (passage: string, title = ''): Skill => ({ title, passages: [passage] })

async function relevances(text: string, ...skills: Skill[]): Promise<Relevance[]> {
  const retriever = await createRetriever(skills, embedder)
  return retriever.relevances({ text, terms: [text] })
}

describe('relevance', () => {
  it('is absolute: the same for a skill among two as among two hundred others', async () => {
    const others = Array.from({ length: 150 }, (_, i) => skill(`subject${i} and matter${i}`))
    const [few] = await relevances('protein folding', skill('proteins and cells'), skill('soup'))
    const [many] = await relevances('protein folding', skill('proteins and cells'), ...others)
    expect(few!.coverage).toBeGreaterThan(0.4)
    expect(few!.coverage).toBeLessThan(0.5)
    expect(Math.abs(many!.coverage - few!.coverage)).toBeLessThan(0.02)
  })

  it('of common words is small, in a catalogue of two cards too', async () => {
    const [drama, recipes] = await relevances(
      'recipe write',
      skill('writes Shakespearean drama'),
      skill('writes cooking recipes'),
    )
    expect(drama!.coverage).toBeLessThan(0.3)
    expect(recipes!.coverage).toBe(1)
    expect(adequateFrom).toBe(0.6)
    expect([drama!, recipes!].map((relevance) => isAdequate(relevance, embedder))).toEqual([false, true])
  })

  it('is shared by the only words of a facet, however common they are', async () => {
    const [writing] = await relevances('writing', skill('writes letters'))
    expect(writing!.coverage).toBe(1)
  })

  it('bridges spellings and persons', async () => {
    const [shakespeare] = await relevances('Shakespeare', skill('Shakespearean drama and verse'))
    expect(shakespeare!.coverage).toBeGreaterThan(adequateFrom)
    const [lawyer] = await relevances('a lawyer', skill('the law of contracts'))
    expect(lawyer!.coverage).toBeCloseTo(0.9, 5)
  })

  it('of a word that is only alike does not grow by repeating it', async () => {
    const [once, often] = await relevances('cook', skill('cookies'), skill('cookies cookies cookies'))
    expect(often!.words).toBeGreaterThan(once!.words)
    expect(often!.coverage).toBe(once!.coverage)
    expect(often!.coverage).toBeLessThan(adequateFrom)
  })

  it('counts a name in full, and a word in passing of a long text in part', async () => {
    const long = 'alpha beta gamma delta epsilon zeta eta theta iota kappa '.repeat(12)
    const [named, mentioned] = await relevances('law', skill(long, 'law'), skill(`${long} law`))
    expect(named!.coverage).toBe(1)
    expect(mentioned!.coverage).toBeLessThan(adequateFrom)
  })

  it('is nothing for nothing', async () => {
    expect(await relevances('law')).toEqual([])
    const [nothing] = await relevances('', skill('law'))
    expect(nothing).toEqual({ score: 0, coverage: 0, words: 0, similarity: 0 })
    const [empty] = await relevances('law', skill(''))
    expect(empty).toEqual({ score: 0, coverage: 0, words: 0, similarity: 0 })
  })

  it('lets similarity alone decide only for embedders that know meaning', () => {
    const similar = { score: 1, coverage: 0, words: 0, similarity: 0.9 }
    expect(isAdequate(similar, embedder)).toBe(false)
    expect(isAdequate(similar, { trust: { ...embedder.trust, bridgesMeaning: true } })).toBe(true)
  })

  it('stops when it is told to', async () => {
    const signal = AbortSignal.abort()
    await expect(createRetriever([skill('law')], embedder, { signal })).rejects.toMatchObject({ code: 'aborted' })
  })
})
