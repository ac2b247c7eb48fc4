// Request text -> plan, on the base that answers most of it.
import { explainPlan, planRequest } from '../resolver/index.ts'
import type { Card, OtherBase, Plan, PlannedRelease } from '../resolver/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { channelsOn, lostChannels } from './governed-releases.ts'
import { cardsOf } from './release-cards.ts'

export interface PlanWish {
  readonly text: string
  /** Also draw on publishers outside the followed communities; what comes from them is marked. */
  readonly anyPublisher: boolean
  readonly signal: AbortSignal
}

/** What of a node a plan depends on. */
export type PlanNode = Pick<Node, 'registry' | 'releases' | 'bases' | 'embedder' | 'reputation'>

export interface PlanOnBase {
  readonly plan: Plan
  /** Undefined while the node has no base. */
  readonly base: KnownBase | undefined
}

/**
 * The base in use, unless nothing fits it and something fits another base this node has. Throws what `planRequest` throws.
 */
export async function planOnOwnBases(node: PlanNode, wish: PlanWish): Promise<PlanOnBase> {
  const trustOf = (releaseId: Uint8Array) => node.reputation.scoreOfRelease(releaseId)
  const cards = cardsOf(node.registry.catalogue({ anyPublisher: true }), trustOf)
  const current = node.bases.current()
  const first = { plan: await planOn(node, wish, cards, current), base: current }
  if (first.plan.matches.length > 0) return first
  for (const { id } of first.plan.otherBases) {
    const base = node.bases.list().find((own) => own.id === id)
    if (base !== undefined) return { plan: await planOn(node, wish, cards, base), base }
  }
  return first
}

/** In words; channels that lead nowhere are told of where the request asks for their names. */
export function planExplanation(
  { registry }: Pick<Node, 'registry'>,
  { plan, base }: PlanOnBase,
  detail?: 'result',
): string {
  const asked = new Set([...plan.matches.map(({ name }) => name), ...plan.gaps.map(({ capability }) => capability)])
  const lost = lostChannels(registry).filter((one) => one.base === base?.id && asked.has(one.capability))
  return [explainPlan(plan, detail), ...lost.map(({ sentence }) => `Warning  ${sentence}\n`)].join('')
}

/** What `plan` and `request` answer with --json; facets are their texts. */
export interface PlanAnswer {
  readonly facets: readonly string[]
  readonly matches: Plan['matches']
  readonly fetch: readonly PlannedRelease[]
  readonly gaps: Plan['gaps']
  readonly mode: Plan['mode']
  readonly strategy: Plan['strategy']
  /** To be fetched. */
  readonly bytes: number
  /** `bytes`: of its file, which is what another whole model of this kind would take. */
  readonly base: { readonly id: string; readonly label: string; readonly bytes: number } | undefined
  readonly otherBases: readonly OtherBase[]
  /** Names that look like another one: what was picked, or what was asked for. */
  readonly warnings: Plan['warnings']
}

export function planAnswer({ plan, base }: PlanOnBase): PlanAnswer {
  const { facets, matches, fetch, gaps, mode, strategy, bytes, otherBases, warnings } = plan
  return {
    facets: facets.map(({ text }) => text),
    matches,
    fetch,
    gaps,
    mode,
    strategy,
    bytes,
    base: base && { id: base.id, label: base.label, bytes: base.bytes },
    otherBases,
    warnings,
  }
}

/** The assembler stacks, however many there are: until it can route, no plan may say that it will. */
export const stackable = Number.POSITIVE_INFINITY

function planOn(node: PlanNode, wish: PlanWish, cards: readonly Card[], base: KnownBase | undefined): Promise<Plan> {
  return planRequest({
    text: wish.text,
    cards,
    embedder: node.embedder,
    ...(base === undefined ? {} : { baseId: base.id }),
    options: {
      anyPublisher: wish.anyPublisher,
      held: node.releases.ids(),
      maxStack: stackable,
      signal: wish.signal,
      ...(base === undefined ? {} : { preferred: channelsOn(node.registry, base.id) }),
    },
  })
}
