import { describe, expect, it } from 'vitest'
import { aCard } from './card.fixture.ts'
import { explainPlan, whyRelease } from './explain.ts'
import { createNgramEmbedder } from './ngram-embedder.ts'
import { planRequest } from './plan.ts'
import type { Plan } from './plan.ts'

const cards = [
  aCard({ name: 'law', bytes: 1_572_864, requires: [{ name: 'latin', range: '*' }], text: 'courts' }),
  aCard({ name: 'latin', bytes: 300_000 }),
  aCard({ name: 'music', publisher: 'e'.repeat(52), member: false }),
  aCard({ name: 'wine', base: { id: '11'.repeat(32), label: 'a large base', files: ['22'.repeat(32)] } }),
]
const plan = (text: string): Promise<Plan> =>
  planRequest({
    text,
    cards,
    embedder: createNgramEmbedder(),
    options: { anyPublisher: true, held: new Set(['latin@1.0.0']) },
  })

describe('the explanation of a plan', () => {
  it('names facets, every score of every candidate, gaps, bytes and other bases', async () => {
    const found = await plan('a lawyer who loves music and wine')
    const text = explainPlan(found)
    for (const { name, version, score } of found.matches)
      expect(text).toContain(`  -> ${name}@${version}  score ${score}`)
    for (const { candidates } of found.scores) {
      for (const { score, words, similarity, coverage } of candidates.filter((candidate) => candidate.score > 0)) {
        expect(text).toContain(`score ${score} = words ${words}, similarity ${similarity}; coverage ${coverage}`)
      }
    }
    expect(text).toContain('gap: wine: no release is about this')
    expect(text).toContain('no member of your communities')
    expect(text).toContain('Fetch    law@1.0.0  1.5 MiB')
    expect(text).toContain('Held     latin@1.0.0  293.0 KiB, required by law')
    expect(text).toContain('a large base (111111111111…) has wine@1.0.0 for wine; files 222222222222…')
    expect(text).not.toContain('%')
  })

  it('may leave out what was not taken', async () => {
    const found = await plan('a lawyer who loves music and wine')
    const text = explainPlan(found, 'result')
    expect(text).toContain('  -> law@1.0.0')
    expect(text).toContain('gap: wine')
    expect(text).toContain('Fetch    law@1.0.0')
    expect(text).not.toContain('similarity')
  })

  it('points out names that can be taken for others', async () => {
    const found = await planRequest({
      text: 'songs and lavv@^1',
      cards: [
        aCard({ name: 'law' }),
        aCard({ name: 'music' }),
        aCard({ name: 'musik', text: 'songs', publisher: 'e'.repeat(52), member: false }),
      ],
      embedder: createNgramEmbedder(),
      options: { anyPublisher: true },
    })
    const text = explainPlan(found, 'result')
    expect(text).toContain(
      'Warning  musik can be taken for music (one letter apart), which your communities publish: make sure that it is what you want.',
    )
    expect(text).toContain(
      'Warning  lavv is not known, but law is (letters that look the same): if that was meant, ask for it.',
    )
  })

  it('of a request for nothing says so', async () => {
    expect(explainPlan(await plan('please'))).toMatch(/^Nothing was asked for/)
  })

  it('of one release says what it answers and who requires it', async () => {
    const found = await plan('law')
    expect(whyRelease(found, 'law')).toMatch(
      /^law@1\.0\.0 is part of this persona because it answers "law" \(score [\d.]+\)\.$/,
    )
    expect(whyRelease(found, 'latin')).toBe('latin@1.0.0 is part of this persona because law requires it.')
    expect(() => whyRelease(found, 'wine')).toThrowError(
      expect.objectContaining({ code: 'not-found', message: expect.stringMatching(/made of: latin, law/) as string }),
    )
  })
})
