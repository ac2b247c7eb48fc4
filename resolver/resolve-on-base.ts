// Facets and the cards of one base -> which releases answer which facet. Retrieval, cover and version solving meet here.
import { MeshError } from '../protocol/index.ts'
import type { Card } from './cards.ts'
import { byText, coverNeeds } from './cover.ts'
import type { CoverCandidate } from './cover.ts'
import { compoundPartsOf } from './facet-words.ts'
import { spaced } from './facets.ts'
import type { Facet } from './facets.ts'
import type { Embedder } from './ports.ts'
import { createRetriever, isAdequate } from './retrieve.ts'
import type { Relevance, Retriever } from './retrieve.ts'
import { groupReleases, releaseKeyOf, satisfies, solveReleases } from './versions.ts'
import type { ReleaseKey, Wanted } from './versions.ts'

export type GapReason = 'not-found' | 'unsatisfiable' | 'over-budget'

/** A release's best capability for one facet. Scores are rounded to four digits. */
export interface Candidate extends Relevance {
  readonly key: ReleaseKey
  readonly capability: string
  /** Card id. */
  readonly release: string
  readonly adequate: boolean
  /** False when the publisher is no member of a followed community. */
  readonly member: boolean
}

export interface BaseResolution {
  /** In the order of the facets; a facet that is two fields in one word may have two. */
  readonly answers: readonly { readonly facet: string; readonly candidate: Candidate }[]
  /** Answering and required releases. */
  readonly releases: ReadonlyMap<ReleaseKey, Card>
  readonly requiredBy: ReadonlyMap<ReleaseKey, readonly ReleaseKey[]>
  readonly gaps: readonly { readonly facet: string; readonly reason: GapReason; readonly detail?: string }[]
  readonly scores: readonly { readonly facet: string; readonly candidates: readonly Candidate[] }[]
}

export interface ResolveInput {
  readonly facets: readonly Facet[]
  /** Cards that fit the base, in any order. */
  readonly cards: readonly Card[]
  readonly embedder: Embedder
  readonly anyPublisher: boolean
  readonly memoryBudgetBytes: number
  readonly signal?: AbortSignal
}

/** A candidate for a facet must reach this part of the best one's score: fewer adapters are worth a little relevance, not half of it. */
const closeEnough = 0.8
/** Scored candidates kept per facet for the explanation. */
const shownCandidates = 20
/** Times a choice is undone because its releases don't go together. */
const maxRevisions = 32

/** One thing to be covered: a facet, or one part of a facet that is a learned compound. */
interface Need {
  readonly facet: string
  readonly range: string | undefined
  readonly candidates: readonly Candidate[]
}

type Exclusions = Map<ReleaseKey, { reason: GapReason; detail: string }>

export async function resolveOnBase(input: ResolveInput): Promise<BaseResolution> {
  const groups = groupReleases(input.cards)
  const finder = await createFinder(input, groups)
  const needs: Need[] = []
  const scores: { facet: string; candidates: Candidate[] }[] = []
  for (const facet of input.facets) {
    const found = await finder.needsOf(facet)
    needs.push(...found)
    const all = found.flatMap(({ candidates }) => candidates).toSorted(bestFirst)
    scores.push({ facet: facet.text, candidates: all.slice(0, shownCandidates) })
  }
  return { ...choose(needs, groups, input.memoryBudgetBytes), scores }
}

/** Covers the needs, solves versions, and drops what can't be had together or doesn't fit, weakest first, until the rest does. */
function choose(
  needs: readonly Need[],
  groups: ReadonlyMap<ReleaseKey, readonly Card[]>,
  memoryBudgetBytes: number,
): Omit<BaseResolution, 'scores'> {
  const excluded: Exclusions = new Map()
  for (let revision = 0; revision <= maxRevisions; revision++) {
    const open = coverableNeeds(needs, excluded)
    const cover = coverNeeds(open.length, coverCandidates(open, excluded))
    const answers = open.flatMap((need, i) => {
      const key = cover.answers.get(i)
      return key === undefined
        ? []
        : [{ facet: need.facet, need, candidate: need.candidates.find((candidate) => candidate.key === key)! }]
    })
    const solution = solveReleases(wantedBy(answers), groups)
    if (solution.kind === 'unsatisfiable') {
      exclude(weakest(answers), { reason: 'unsatisfiable', detail: `${solution.reason}.` })
      continue
    }
    const bytes = totalBytes(solution.releases.values())
    if (bytes > memoryBudgetBytes) {
      exclude(weakest(answers), {
        reason: 'over-budget',
        detail: `${bytes} bytes of adapters would be loaded together; the budget is ${memoryBudgetBytes}.`,
      })
      continue
    }
    const gaps = gapsOf(needs, answers, excluded)
    const conflict = gaps.find(({ reason }) => reason === 'unsatisfiable')
    if (answers.length === 0 && conflict !== undefined) {
      throw new MeshError(
        'unsatisfiable',
        `Releases match this request, but what they require can't be had: ${conflict.detail} Ask for another version, or for the publisher to be told.`,
        {
          facet: conflict.facet,
        },
      )
    }
    return {
      answers: distinct(answers).map(({ facet, candidate }) => ({
        facet,
        candidate: { ...candidate, release: solution.releases.get(candidate.key)!.id },
      })),
      releases: solution.releases,
      requiredBy: solution.requiredBy,
      gaps,
    }
  }
  throw new MeshError(
    'unsatisfiable',
    `No set of releases that go together was found in ${maxRevisions} attempts: ask for fewer things at once.`,
  )

  function exclude(key: ReleaseKey, why: { reason: GapReason; detail: string }): void {
    excluded.set(key, why)
  }
}

/** Needs that something still answers. A facet of several parts counts only while each part is answered. */
function coverableNeeds(needs: readonly Need[], excluded: Exclusions): Need[] {
  const answerable = (need: Need): boolean =>
    need.candidates.some((candidate) => candidate.adequate && !excluded.has(candidate.key))
  const lost = new Set(needs.filter((need) => !answerable(need)).map(({ facet }) => facet))
  return needs.filter(({ facet }) => !lost.has(facet))
}

function coverCandidates(needs: readonly Need[], excluded: Exclusions): CoverCandidate[] {
  const scoresOf = new Map<ReleaseKey, Map<number, number>>()
  for (const [i, need] of needs.entries()) {
    const able = preferMembers(need.candidates.filter(({ adequate, key }) => adequate && !excluded.has(key)))
    const best = Math.max(...able.map(({ score }) => score))
    for (const { key, score } of able) {
      if (score < closeEnough * best) continue
      const scores = scoresOf.get(key) ?? new Map<number, number>()
      scoresOf.set(key, scores.set(i, score))
    }
  }
  return [...scoresOf].map(([id, scores]) => ({ id, scores }))
}

/** Strangers fill what the community leaves open: a text written to rank first must not push a member's release aside. */
function preferMembers(candidates: readonly Candidate[]): readonly Candidate[] {
  const members = candidates.filter(({ member }) => member)
  return members.length > 0 ? members : candidates
}

interface Answer {
  readonly facet: string
  readonly need: Need
  readonly candidate: Candidate
}

/** Two parts of one facet may be answered by the same release. */
function distinct(answers: readonly Answer[]): Answer[] {
  const pair = ({ facet, candidate }: Answer): string => `${candidate.key}\n${facet}`
  return answers.filter((answer, i) => answers.findIndex((other) => pair(other) === pair(answer)) === i)
}

function wantedBy(answers: readonly Answer[]): Wanted[] {
  const wanted = answers.map(({ need, candidate }) => ({
    key: candidate.key,
    ...(need.range === undefined ? {} : { range: need.range }),
  }))
  // What was asked with a range first, so that the plain wish for the same release follows it instead of contradicting it.
  return wanted.toSorted(
    (a, b) => Number(b.range !== undefined) - Number(a.range !== undefined) || byText(a.key, b.key),
  )
}

function weakest(answers: readonly Answer[]): ReleaseKey {
  const [worst] = [...answers].toSorted(
    (a, b) => a.candidate.score - b.candidate.score || byText(b.candidate.key, a.candidate.key),
  )
  if (worst === undefined) throw new Error('nothing was chosen, yet it does not go together')
  return worst.candidate.key
}

function totalBytes(cards: Iterable<Card>): number {
  return [...new Map(Array.from(cards, (card) => [card.id, card.bytes])).values()].reduce(
    (sum, bytes) => sum + bytes,
    0,
  )
}

function gapsOf(needs: readonly Need[], answers: readonly Answer[], excluded: Exclusions): BaseResolution['gaps'] {
  const answered = new Set(answers.map(({ facet }) => facet))
  return [...new Set(needs.map(({ facet }) => facet))]
    .filter((facet) => !answered.has(facet))
    .map((facet) => {
      const dropped = needs
        .filter((need) => need.facet === facet)
        .flatMap(({ candidates }) => candidates)
        .find(({ adequate, key }) => adequate && excluded.has(key))
      return dropped === undefined ? { facet, reason: 'not-found' as const } : { facet, ...excluded.get(dropped.key)! }
    })
}

/** Of one release's capabilities an adequate one counts before a merely similar one. */
function isBetter(a: Candidate, b: Candidate): boolean {
  return a.adequate === b.adequate ? a.score > b.score : a.adequate
}

function bestFirst(a: Candidate, b: Candidate): number {
  return b.score - a.score || byText(a.key, b.key)
}

interface Finder {
  /** One need, or one per part; the candidates of each are sorted, best first. */
  needsOf(facet: Facet): Promise<Need[]>
}

async function createFinder(input: ResolveInput, groups: ReadonlyMap<ReleaseKey, readonly Card[]>): Promise<Finder> {
  const visible = new Set(input.cards.filter((card) => card.member || input.anyPublisher).map(releaseKeyOf))
  // What a capability says is what its newest release says.
  const offered = [...visible].toSorted(byText).flatMap((key) => {
    const card = groups.get(key)!.find((release) => satisfies(release, undefined))
    return card === undefined ? [] : card.capabilities.map((capability) => ({ key, card, capability }))
  })
  const retriever: Retriever = await createRetriever(
    offered.map(({ card, capability }) => ({
      title: spaced(card.name === capability.name ? card.name : `${card.name} ${capability.name}`),
      passages: [capability.description, card.summary, card.tags.map(spaced).join(' ')],
    })),
    input.embedder,
    signalOf(input),
  )

  return {
    async needsOf(facet) {
      if (facet.exact !== undefined) return [exactNeed(facet)]
      const whole = await candidatesFor(facet.text, facet.terms)
      const [term, ...others] = facet.terms
      const literal = term !== undefined && retriever.says(term) && whole.some(({ adequate }) => adequate)
      const parts = term === undefined || others.length > 0 || literal ? undefined : compoundPartsOf(term)
      const partNeeds: Need[] = []
      for (const alternatives of parts ?? []) {
        const found = await bestAlternative(alternatives)
        if (found !== undefined) partNeeds.push({ facet: facet.text, range: undefined, candidates: found })
      }
      const complete = parts !== undefined && partNeeds.length === parts.length
      return complete ? partNeeds : [{ facet: facet.text, range: undefined, candidates: whole }]
    },
  }

  async function bestAlternative(fields: readonly string[]): Promise<Candidate[] | undefined> {
    for (const field of fields) {
      const candidates = await candidatesFor(field, [field])
      if (candidates.some(({ adequate }) => adequate)) return candidates
    }
    return undefined
  }

  async function candidatesFor(text: string, terms: readonly string[]): Promise<Candidate[]> {
    const relevances = await retriever.relevances({ text, terms }, signalOf(input))
    const bestOfKey = new Map<ReleaseKey, Candidate>()
    for (const [i, { key, card, capability }] of offered.entries()) {
      const relevance = relevances[i]!
      const candidate = {
        key,
        capability: capability.name,
        release: card.id,
        member: card.member,
        score: rounded(relevance.score),
        coverage: rounded(relevance.coverage),
        words: rounded(relevance.words),
        similarity: rounded(relevance.similarity),
        adequate: isAdequate(relevance, input.embedder),
      }
      const best = bestOfKey.get(key)
      if (best === undefined || isBetter(candidate, best)) bestOfKey.set(key, candidate)
    }
    return [...bestOfKey.values()].toSorted(bestFirst)
  }

  /** A release named outright needs no score: it is there or it isn't. */
  function exactNeed(facet: Facet): Need {
    const { publisher, name, range } = facet.exact!
    const key = publisher === undefined ? name : `${publisher}/${name}`
    const fromStrangers = publisher === undefined && !visible.has(key)
    const keys = fromStrangers ? [...visible].filter((other) => other.endsWith(`/${name}`)).toSorted(byText) : [key]
    const candidates = keys.flatMap((key): Candidate[] => {
      const card = groups.get(key)?.find((release) => satisfies(release, range))
      return card === undefined
        ? []
        : [
            {
              key,
              capability: card.capabilities[0]!.name,
              release: card.id,
              member: card.member,
              score: 1,
              coverage: 1,
              words: 1,
              similarity: 1,
              adequate: true,
            },
          ]
    })
    return { facet: facet.text, range, candidates }
  }
}

function signalOf(input: ResolveInput): { signal?: AbortSignal } {
  return input.signal === undefined ? {} : { signal: input.signal }
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
