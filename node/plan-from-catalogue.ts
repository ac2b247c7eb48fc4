// Plans with the cards of a file: needs no data folder, no base and no network.
import { createNgramEmbedder, explainPlan, parseCatalogue, planRequest } from '../resolver/index.ts'
import { planAnswer, stackable } from './plan-request.ts'
import type { PlanAnswer } from './plan-request.ts'
import { readTextFile } from './read-text-file.ts'

export interface CataloguePlan {
  readonly plan: PlanAnswer
  /** Every score, for people. */
  readonly explanation: string
}

export async function planFromCatalogue(path: string, text: string, signal: AbortSignal): Promise<CataloguePlan> {
  const cards = parseCatalogue(await readTextFile(path))
  await using embedder = createNgramEmbedder()
  const plan = await planRequest({ text, cards, embedder, options: { maxStack: stackable, signal } })
  return { plan: planAnswer({ plan, base: undefined }), explanation: explainPlan(plan) }
}
