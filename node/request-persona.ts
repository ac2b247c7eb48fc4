// The main job: a description in, a persona that answers out.
import { MeshError, fromHex, identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { Lockfile, OtherBase } from '../resolver/index.ts'
import { assemblePersona } from './assemble-persona.ts'
import { countSeeders } from './count-seeders.ts'
import type { Node } from './create-node.ts'
import { bothFetches, fetchReleases } from './fetch-releases.ts'
import type { FetchSummary } from './fetch-releases.ts'
import { giveUpDamaged } from './give-up-damaged.ts'
import type { CallContext } from './http/index.ts'
import { locateNamedReleases } from './locate-release.ts'
import { lockPlan } from './lock-plan.ts'
import type { Persona, PersonaOrigin } from './persona-store.ts'
import { planAnswer, planExplanation } from './plan-request.ts'
import type { PlanAnswer, PlanOnBase } from './plan-request.ts'
import type { ShownGap } from './post-gap.ts'
import { settledPlan } from './settle-plan.ts'

export interface RequestWish {
  readonly text: string
  readonly anyPublisher: boolean
  /** How long somebody may take to add a base that fits, when none does. */
  readonly waitBaseMs: number
  /** Never to be moved by a later upgrade. */
  readonly locked: boolean
}

export interface RequestAnswer {
  readonly plan: PlanAnswer
  readonly fetch: FetchSummary
  readonly assembleMs: number
  /** Absent, like the lockfile, when nothing that was found answers any part of the request. */
  readonly persona: string | undefined
  readonly lockfile: Lockfile | undefined
  /** What could be posted, word for word; nothing is posted here. */
  readonly gaps: readonly ShownGap[]
}

/** Throws `base-missing`, and what planning, fetching and assembling throw. */
export async function requestPersona(
  node: Node,
  wish: RequestWish,
  { signal, emit }: CallContext,
): Promise<RequestAnswer> {
  await node.network.start()
  const { located, ...planned } = await planOnFittingBase(node, wish, { signal, emit })
  const gaps = showGaps(node, planned)
  const plan = planAnswer(planned)
  emit({ type: 'plan', plan, explanation: planExplanation(node, planned, 'result'), gaps })
  if (planned.base === undefined || planned.plan.matches.length === 0) {
    return {
      plan,
      fetch: located,
      assembleMs: 0,
      persona: undefined,
      lockfile: undefined,
      gaps,
    }
  }
  const entries = planned.plan.releases.map(({ release }) => entryOf(node, release))
  await giveUpDamaged(
    node,
    entries.map(({ releaseId }) => toHex(releaseId)),
    { signal, emit },
  )
  const missing = entries.filter(({ releaseId }) => node.releases.get(toHex(releaseId)) === undefined)
  if (missing.length > 0) emit({ type: 'seeders', releases: await countSeeders(node.registry, missing, signal) })
  const fetch = bothFetches(located, await fetchReleases(node, entries, planned.base, { signal, emit }))
  const lockfile = lockPlan(planned.plan, planned.base, entries)
  const persona = await node.personas.save(lockfile, originOf(node, wish, entries))
  const assembleMs = await assemble(node, persona, signal)
  emit({ type: 'assembled', persona: persona.id, assembleMs })
  return { plan, fetch, assembleMs, persona: persona.id, lockfile: persona.lockfile, gaps }
}

/** Plans; while everything that was found is for bases this node lacks, waits for one of them to be added. */
async function planOnFittingBase(
  node: Node,
  wish: RequestWish,
  context: CallContext,
): Promise<PlanOnBase & { readonly located: FetchSummary }> {
  const { signal, emit } = context
  const say = (text: string): void => emit({ type: 'note', text })
  const planWish = { text: wish.text, anyPublisher: wish.anyPublisher, signal }
  const seen = node.bases.additions()
  const located = await locateNamedReleases(node, wish.text, context)
  const planned = await settledPlan(node, planWish, say)
  if (planned.plan.matches.length > 0 || (planned.base !== undefined && planned.plan.otherBases.length === 0))
    return { ...planned, located }
  const missing = baseMissing(planned.plan.otherBases)
  if (wish.waitBaseMs <= 0) throw missing
  emit({ type: 'base-missing', message: missing.message, ...missing.details, waitSeconds: wish.waitBaseMs / 1_000 })
  const since = performance.now()
  if (!(await node.bases.addedSince(seen, wish.waitBaseMs, signal))) throw missing
  // Another base may have been added that does not fit either: what is left of the patience is for the next one.
  return planOnFittingBase(node, { ...wish, waitBaseMs: wish.waitBaseMs - (performance.now() - since) }, context)
}

function baseMissing(bases: readonly OtherBase[]): MeshError {
  const needed = bases.map(
    ({ id, label, files }) =>
      `${label} (base id ${id}${files.length === 0 ? '' : `, file sha256 ${files.join(' or ')}`})`,
  )
  const what =
    needed.length === 0
      ? 'This node has no base yet'
      : `What was found is for a base this node does not have: ${needed.join('; ')}`
  return new MeshError('base-missing', `${what}. Add one with \`lora-mesh base add FILE\`.`, {
    bases: bases.map(({ id, label, files }) => ({ id, label, files })),
  })
}

/** Every gap as the job it would become; none without a base to want it for. */
function showGaps(node: Node, { plan, base }: PlanOnBase): ShownGap[] {
  if (base === undefined) return []
  const wanted = { id: fromHex(base.id), label: base.label }
  return plan.gaps.map(({ facet, capability }) => node.gaps.show({ capability, description: facet, base: wanted }))
}

function entryOf(node: Node, releaseId: string): CatalogueEntry {
  const entry = node.registry.release(fromHex(releaseId))
  if (entry === undefined) throw new Error(`the plan names ${releaseId}, which the catalogue does not know`)
  return entry
}

function originOf(node: Node, { text, locked }: RequestWish, entries: readonly CatalogueEntry[]): PersonaOrigin {
  const members = entries.filter(({ member }) => member).map(({ publisher }) => identityToText(publisher))
  return {
    follows: locked ? 'stay' : 'float',
    madeAt: node.options.clock(),
    request: text,
    memberPublishers: [...new Set(members)].toSorted(),
  }
}

async function assemble(node: Node, persona: Persona, signal: AbortSignal): Promise<number> {
  const since = performance.now()
  await assemblePersona(node, persona, signal)
  return Math.round((performance.now() - since) * 10) / 10
}
