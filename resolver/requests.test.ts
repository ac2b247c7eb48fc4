import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { worldCards } from '../fixtures/world/world.ts'
import { kit } from '../testing/kit.ts'
import { createBm25 } from './bm25.ts'
import { parseCatalogue } from './cards.ts'
import { createNgramEmbedder } from './ngram-embedder.ts'
import { planRequest } from './plan.ts'
import { createRetriever } from './retrieve.ts'
import { stemsOf } from './stems.ts'

const embedder = createNgramEmbedder()

const aRequest = z.object({ text: z.string(), matches: z.array(z.string()), gaps: z.number() })
type ARequest = z.infer<typeof aRequest>

/** How many requests are answered with exactly the capabilities and as many gaps as were written down for them. */
async function rightPlans(
  cards: readonly { id: string; text: string }[],
  requests: readonly ARequest[],
): Promise<number> {
  const catalogue = parseCatalogue(JSON.stringify({ cards }))
  let right = 0
  for (const { text, matches, gaps } of requests) {
    const plan = await planRequest({ text, cards: catalogue, embedder })
    const found = [...new Set(plan.matches.map(({ capability }) => capability))].toSorted()
    if (found.join() === matches.join() && plan.gaps.length === gaps) right++
  }
  return right
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}

// Figures for all data and embedders: bench/resolver-recall.ts. These three keep them from sinking unseen.
describe('the quality of plans', () => {
  it('does not sink on the forty requests', async () => {
    const { cards, requests } = z
      .object({
        cards: z.array(z.object({ id: z.string(), text: z.string() })),
        requests: z.array(aRequest).length(40),
      })
      .parse(readJson('requests.json'))
    expect(await rightPlans(cards, requests)).toBeGreaterThanOrEqual(35)
  })

  it('does not sink on the requests to the small world, on which nothing was tuned', async () => {
    const { requests } = z
      .object({ requests: z.array(aRequest).length(48) })
      .parse(readJson('../fixtures/world/requests.json'))
    expect(await rightPlans(worldCards(), requests)).toBeGreaterThanOrEqual(27)
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
