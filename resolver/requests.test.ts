import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { kit } from '../testing/kit.ts'
import { createBm25 } from './bm25.ts'
import { parseCatalogue } from './cards.ts'
import { createNgramEmbedder } from './ngram-embedder.ts'
import { planRequest } from './plan.ts'
import { createRetriever } from './retrieve.ts'
import { stemsOf } from './stems.ts'

const embedder = createNgramEmbedder()

// Figures for all data and embedders: bench/resolver-recall.ts. These two keep them from sinking unseen.
describe('the quality of plans', () => {
  it('does not sink on the forty requests', async () => {
    const { cards, requests } = z
      .object({
        cards: z.array(z.object({ id: z.string(), text: z.string() })),
        requests: z.array(z.object({ text: z.string(), matches: z.array(z.string()), gaps: z.number() })).length(40),
      })
      .parse(JSON.parse(readFileSync(new URL('requests.json', import.meta.url), 'utf8')))
    const catalogue = parseCatalogue(JSON.stringify({ cards }))
    let right = 0
    for (const { text, matches, gaps } of requests) {
      const plan = await planRequest({ text, cards: catalogue, embedder })
      const found = [...new Set(plan.matches.map(({ capability }) => capability))].toSorted()
      if (found.join() === matches.join() && plan.gaps.length === gaps) right++
    }
    expect(right).toBeGreaterThanOrEqual(35)
  })

  it.skipIf(!kit.present)('is no worse than strong BM25 on one-card tasks (needs the kit)', async () => {
    const tasks = z
      .array(z.object({ cards: z.array(z.string()), queries: z.array(z.string()) }))
      .parse(JSON.parse(readFileSync(kit.path('resolver/dev-tasks.json'), 'utf8')))
    const cards = tasks.map((task) => task.cards[0]!)
    const bm25 = createBm25(cards.map(stemsOf))
    const retriever = await createRetriever(
      cards.map((card) => ({ title: '', passages: [card] })),
      embedder,
    )
    const isFirst = (scores: ArrayLike<number>, task: number): number =>
      Number(Array.from(scores).indexOf(Math.max(...Array.from(scores))) === task)
    let [hybrid, strong] = [0, 0]
    for (const [task, { queries }] of tasks.entries()) {
      for (const query of queries) {
        strong += isFirst(bm25.score(stemsOf(query)), task)
        hybrid += isFirst(
          (await retriever.relevances({ text: query, terms: [query] })).map(({ score }) => score),
          task,
        )
      }
    }
    expect(hybrid).toBeGreaterThanOrEqual(strong)
  })
})
