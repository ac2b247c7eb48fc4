import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { kit } from '../testing/kit.ts'
import { createBm25 } from './bm25.ts'

describe('BM25', () => {
  it('scores as the formula says', () => {
    const index = createBm25([['law', 'law', 'court'], ['soup'], ['court', 'sea']])
    // N = 3, n = 1, idf = ln(1 + 2.5/1.5); f = 2, length 3, average 2: 2 x 2.2 / (2 + 1.2 (0.25 + 0.75 x 1.5)).
    const expected = (Math.log(1 + 2.5 / 1.5) * 4.4) / (2 + 1.2 * 1.375)
    expect([...index.score(['law', 'law', 'nothing'])]).toEqual([expected, 0, 0])
  })

  it('prefers the rarer word and the shorter document', () => {
    const index = createBm25([['court', 'sea'], ['court', 'sea', 'ship', 'sail'], ['court'], ['court']])
    const [short, long, common] = index.score(['court', 'sea'])
    expect(short).toBeGreaterThan(long!)
    expect(long).toBeGreaterThan(common!)
  })

  it('has no scores for no documents and no words', () => {
    expect([...createBm25([]).score(['law'])]).toEqual([])
    expect([...createBm25([[]]).score([])]).toEqual([0])
  })

  it.skipIf(!kit.present)('finds what the published baseline finds (needs the kit)', () => {
    const tasks = z
      .array(z.object({ cards: z.array(z.string()), queries: z.array(z.string()) }))
      .parse(JSON.parse(readFileSync(kit.path('resolver/dev-tasks.json'), 'utf8')))
    const words = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? []
    const index = createBm25(tasks.map(({ cards }) => words(cards.join(' '))))
    let first = 0
    for (const [task, { queries }] of tasks.entries()) {
      for (const query of queries) {
        const scores = index.score(words(query))
        if (scores.indexOf(Math.max(...scores)) === task) first++
      }
    }
    expect(first / 2000).toBe(0.4235)
  })
})
