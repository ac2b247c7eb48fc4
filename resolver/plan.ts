// Request -> plan: facets, the releases that answer them, what to fetch, and what nobody has. Pure but for the embedder.
import type { Card } from './cards.ts'
import { byText } from './cover.ts'
import { capabilityNameOf, extractFacets } from './facets.ts'
import type { Facet } from './facets.ts'
import { nameWarnings } from './name-warnings.ts'
import type { NameWarning } from './name-warnings.ts'
import type { Selection } from './release-groups.ts'
import { resolveOnBase } from './resolve-on-base.ts'
import type { BaseResolution, Candidate, GapReason } from './resolve-on-base.ts'
import type { Embedder } from './ports.ts'

export interface PlanInput {
  readonly text: string
  readonly cards: readonly Card[]
  readonly embedder: Embedder
  /** Hex id of the base the node uses. Cards for other bases don't fit, cards without a base always do. Absent: the node has none. */
  readonly baseId?: string
  readonly options?: PlanOptions
}

/** `preferred` is about the base in use: releases for other bases are only named. */
export interface PlanOptions extends Selection {
  /** Draw on strangers' releases too where no member has an adequate one; they are marked `outsider`. */
  readonly anyPublisher?: boolean
  /** Most answering releases that are stacked (what they require comes with them); with more the plan routes each turn to one. */
  readonly maxStack?: number
  /** Adapter bytes that may be loaded together; the weakest matches become gaps beyond it. */
  readonly memoryBudgetBytes?: number
  /** Ids of releases this node holds: they are part of the plan and not of `fetch`. */
  readonly held?: ReadonlySet<string>
  readonly signal?: AbortSignal
}

export interface Match {
  /** Text of the facet. */
  readonly facet: string
  readonly capability: string
  /** Card id. */
  readonly release: string
  readonly name: string
  readonly version: string
  readonly publisher?: string
  /** Present and true when the publisher is no member of a followed community. */
  readonly outsider?: true
  /** A plain number, not a probability: comparable within one plan only. */
  readonly score: number
}

export interface PlannedRelease {
  readonly release: string
  readonly name: string
  readonly version: string
  readonly publisher?: string
  readonly outsider?: true
  readonly bytes: number
  /** Names of the releases that require this one; empty for releases that answer a facet themselves. */
  readonly requiredBy: readonly string[]
}

export interface Gap {
  readonly facet: string
  /** Bare name under which the gap would be posted. */
  readonly capability: string
  readonly reason: GapReason
  /** A sentence where the reason alone doesn't say enough. */
  readonly detail?: string
  readonly nearest: readonly { readonly capability: string; readonly release: string; readonly score: number }[]
  /** How the gap could be closed: by fusing its neighbours, or only by training on new data. */
  readonly strategy: 'fuse' | 'train'
}

export interface OtherBase {
  readonly id: string
  readonly label: string
  /** SHA-256 of base files that releases were evaluated on, hex. */
  readonly files: readonly string[]
  readonly releases: readonly {
    readonly facet: string
    readonly release: string
    readonly name: string
    readonly version: string
    readonly score: number
  }[]
}

export interface FacetScores {
  readonly facet: string
  readonly candidates: readonly Candidate[]
}

export interface Plan {
  readonly text: string
  readonly baseId?: string
  readonly embedder: string
  readonly facets: readonly Facet[]
  readonly matches: readonly Match[]
  /** Everything the persona is made of, sorted by name. */
  readonly releases: readonly PlannedRelease[]
  /** Those of `releases` that the node doesn't hold. */
  readonly fetch: readonly PlannedRelease[]
  readonly gaps: readonly Gap[]
  /** stack: all adapters at once; route: each turn to the one it is about. */
  readonly mode: 'stack' | 'route'
  /** The hardest of the gaps' strategies. */
  readonly strategy: 'none' | 'fuse' | 'train'
  /** Bytes to fetch. */
  readonly bytes: number
  /** Bases for which releases answer facets that this base leaves open. */
  readonly otherBases: readonly OtherBase[]
  /** The best candidates per facet with every score. */
  readonly scores: readonly FacetScores[]
  /** Names that can be taken for others. */
  readonly warnings: readonly NameWarning[]
}

/** Two stacked adapters keep most of their accuracy, a third costs each a quarter or more: from there on routing is better. */
export const defaultMaxStack = 2
const otherBasesMax = 16
const nearestMax = 3
/** Below this score a neighbour is none. */
const nearestFrom = 0.05
/** Neighbours from this coverage or similarity on share enough with a gap to be worth fusing. */
const fusableFrom = 0.3

/**
 * The same text, cards (in any order) and options give the same plan. A text that asks for nothing gives an empty plan. Throws
 * `bad-input` for a text that is too long or asks for too much, `unsatisfiable` when everything that matched requires what can't
 * be had together, `too-hard` when that can't be found out, `aborted`.
 */
export async function planRequest(input: PlanInput): Promise<Plan> {
  const { text, cards, embedder, baseId, options = {} } = input
  const facets = extractFacets(text, {
    names: new Set(cards.flatMap((card) => (card.member || options.anyPublisher ? namesOf(card) : []))),
    qualifiedNames: new Set(
      cards.flatMap((card) => (card.publisher === undefined ? [] : [`${card.publisher}/${card.name}`])),
    ),
  })
  const { pinned, preferred } = options
  const resolve = (id: string | undefined, wanted: readonly Facet[]): Promise<BaseResolution> =>
    resolveOnBase({
      facets: wanted,
      cards: cards.filter(({ base }) => base === undefined || base.id === id),
      embedder,
      anyPublisher: options.anyPublisher ?? false,
      memoryBudgetBytes: options.memoryBudgetBytes ?? Number.POSITIVE_INFINITY,
      selection: { ...(pinned && { pinned }), ...(id === baseId && preferred && { preferred }) },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  const own = await resolve(baseId, facets)
  const open = facets.filter(({ text }) => own.gaps.some((gap) => gap.facet === text && gap.reason !== 'over-budget'))
  const otherBases = await resolveElsewhere(cards, baseId, open, resolve)
  const releases = releasesOf(own)
  const fetch = releases.filter(({ release }) => !options.held?.has(release))
  const gaps = own.gaps.map((gap) => gapOf(gap, facets, own))
  const answering = new Set(own.answers.map(({ candidate }) => candidate.release))
  return {
    text,
    ...(baseId === undefined ? {} : { baseId }),
    embedder: embedder.id,
    facets,
    matches: own.answers.map(({ facet, candidate }) => ({
      facet,
      capability: candidate.capability,
      release: candidate.release,
      ...releaseFields(own.releases.get(candidate.key)!),
      score: candidate.score,
    })),
    releases,
    fetch,
    gaps,
    mode: answering.size > (options.maxStack ?? defaultMaxStack) ? 'route' : 'stack',
    strategy: gaps.length === 0 ? 'none' : gaps.some(({ strategy }) => strategy === 'train') ? 'train' : 'fuse',
    bytes: fetch.reduce((sum, { bytes }) => sum + bytes, 0),
    otherBases,
    scores: own.scores,
    warnings: nameWarnings({
      cards,
      picked: [...own.releases.values()],
      missing: facets.filter(({ text }) =>
        own.gaps.some(({ facet, reason }) => facet === text && reason === 'not-found'),
      ),
      ...(preferred && { preferred }),
    }),
  }
}

function namesOf(card: Card): string[] {
  return [card.name, ...card.capabilities.map(({ name }) => name)]
}

function releaseFields(card: Card): { name: string; version: string; publisher?: string; outsider?: true } {
  return {
    name: card.name,
    version: card.version,
    ...(card.publisher === undefined ? {} : { publisher: card.publisher }),
    ...(card.member ? {} : { outsider: true as const }),
  }
}

function releasesOf(own: BaseResolution): PlannedRelease[] {
  const answering = new Set(own.answers.map(({ candidate }) => candidate.release))
  const planned = new Map<string, PlannedRelease>()
  for (const [key, card] of own.releases) {
    const requiredBy = answering.has(card.id)
      ? []
      : (own.requiredBy.get(key) ?? []).map((by) => own.releases.get(by)!.name)
    planned.set(card.id, {
      release: card.id,
      ...releaseFields(card),
      bytes: card.bytes,
      requiredBy: [...new Set(requiredBy)].toSorted(byText),
    })
  }
  return [...planned.values()].toSorted((a, b) => byText(a.name, b.name) || byText(a.release, b.release))
}

function gapOf(gap: BaseResolution['gaps'][number], facets: readonly Facet[], own: BaseResolution): Gap {
  const facet = facets.find(({ text }) => text === gap.facet)!
  const candidates = own.scores.find(({ facet }) => facet === gap.facet)?.candidates ?? []
  const fusable = candidates.filter(({ coverage, similarity }) => Math.max(coverage, similarity) >= fusableFrom)
  return {
    facet: gap.facet,
    capability: capabilityNameOf(facet),
    reason: gap.reason,
    ...(gap.detail === undefined ? {} : { detail: gap.detail }),
    nearest: candidates
      .filter(({ score }) => score >= nearestFrom)
      .slice(0, nearestMax)
      .map(({ capability, release, score }) => ({ capability, release, score })),
    strategy: fusable.length >= 2 ? 'fuse' : 'train',
  }
}

/** Answers to the open facets among the releases for other bases, the base with most answers first. */
async function resolveElsewhere(
  cards: readonly Card[],
  baseId: string | undefined,
  open: readonly Facet[],
  resolve: (id: string, facets: readonly Facet[]) => Promise<BaseResolution>,
): Promise<OtherBase[]> {
  if (open.length === 0) return []
  const byBase = Map.groupBy(
    cards.filter(({ base }) => base !== undefined && base.id !== baseId),
    ({ base }) => base!.id,
  )
  const largest = [...byBase]
    .toSorted((a, b) => b[1].length - a[1].length || byText(a[0], b[0]))
    .slice(0, otherBasesMax)
  const found: OtherBase[] = []
  for (const [id, its] of largest) {
    const { answers, releases } = await resolve(id, open)
    const forThisBase = answers.filter(({ candidate }) => releases.get(candidate.key)?.base !== undefined)
    if (forThisBase.length === 0) continue
    const used = forThisBase.map(({ candidate }) => releases.get(candidate.key)!)
    found.push({
      id,
      label: used[0]!.base!.label,
      files: [...new Set(its.flatMap(({ base }) => base!.files))].toSorted(byText),
      releases: forThisBase.map(({ facet, candidate }, i) => ({
        facet,
        release: candidate.release,
        name: used[i]!.name,
        version: used[i]!.version,
        score: candidate.score,
      })),
    })
  }
  return found.toSorted((a, b) => b.releases.length - a.releases.length || byText(a.id, b.id))
}
