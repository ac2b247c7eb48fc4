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
import { bestRelease, groupReleases, releaseKeyOf, withdrawnRelease } from './release-groups.ts'
import type { ReleaseGroups, ReleaseKey, Selection } from './release-groups.ts'
import type { Wanted } from './version-rules.ts'
import { solveReleases } from './versions.ts'

export type GapReason = 'not-found' | 'unsatisfiable' | 'too-hard' | 'over-budget'

/** A release's best capability for one facet. Scores are rounded to four digits. */
export interface Candidate extends Relevance {
  readonly key: ReleaseKey
  readonly capability: string
  /** Card id. */
  readonly release: string
  readonly adequate: boolean
  /** False when the publisher is no member of a followed community. */
  readonly member: boolean
  /** Of the card; 0 for newcomers. */
  readonly trust: number
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
  readonly selection: Selection
  readonly signal?: AbortSignal
}

/** A candidate for a facet must reach this part of the best one's score: fewer adapters are worth a little relevance, not half of it. */
const closeEnough = 0.8
/** A fully trusted release counts as so much more relevant than a newcomer's: enough to decide between near equals, and no more. */
const trustWeight = 0.05
/** Scored candidates kept per facet for the explanation. */
const shownCandidates = 20
/** Times a choice is undone because its releases don't go together. */
const maxRevisions = 32
/** Tangles of ranges that are given up before the whole request is. */
const maxTangles = 3

/** One thing to be covered: a facet, or one part of a facet that is a learned compound. */
interface Need {
  readonly facet: string
  readonly range: string | undefined
  readonly candidates: readonly Candidate[]
  /** Why nothing was found, where that is known. */
  readonly detail?: string
}

interface Exclusion {
  readonly reason: Exclude<GapReason, 'not-found'>
  readonly detail: string
}

type Exclusions = Map<ReleaseKey, Exclusion>

export async function resolveOnBase(input: ResolveInput): Promise<BaseResolution> {
  const groups = groupReleases(input.cards, input.selection)
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
  groups: ReleaseGroups,
  memoryBudgetBytes: number,
): Omit<BaseResolution, 'scores'> {
  const excluded: Exclusions = new Map()
  let tangles = 0
  for (let revision = 0; revision <= maxRevisions && tangles < maxTangles; revision++) {
    const answers = coverAnswers(needs, excluded)
    const solution = solveReleases(wantedBy(answers), groups)
    if (solution.kind === 'too-hard') {
      tangles++
      const { key, among } = firstTangled(answers, groups)
      excluded.set(key, { reason: 'too-hard', detail: tangleText(among) })
      continue
    }
    if (solution.kind === 'unsatisfiable') {
      const parties = answers.filter(({ candidate }) => solution.wishes.includes(candidate.key))
      excluded.set(weakest(parties), { reason: 'unsatisfiable', detail: solution.reason })
      continue
    }
    const bytes = totalBytes(solution.releases.values())
    if (bytes > memoryBudgetBytes) {
      const detail = `${bytes} bytes of adapters would be loaded together; the budget is ${memoryBudgetBytes}.`
      excluded.set(weakest(answers), { reason: 'over-budget', detail })
      continue
    }
    const gaps = gapsOf(needs, answers, excluded)
    if (answers.length === 0) refuseWhereAllClashes(gaps)
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
  if (tangles === maxTangles) throw new MeshError('too-hard', `${[...excluded.values()].at(-1)!.detail} ${askForLess}`)
  throw new MeshError(
    'unsatisfiable',
    `No set of releases that go together was found in ${maxRevisions} attempts: ask for fewer things at once.`,
  )
}

const askForLess = 'Ask for fewer things at once, or for exact versions such as NAME@1.2.0.'

/** The answer with which, taken after the better ones, the search gets too hard. */
function firstTangled(answers: readonly Answer[], groups: ReleaseGroups): { key: ReleaseKey; among: ReleaseKey[] } {
  const wanted = wantedBy(answers)
  for (let count = 1; count < wanted.length; count++) {
    const some = wanted.slice(0, count)
    if (solveReleases(some, groups).kind === 'too-hard') return { key: some.at(-1)!.key, among: keysOf(some) }
  }
  return { key: wanted.at(-1)!.key, among: keysOf(wanted) }
}

function keysOf(wanted: readonly Wanted[]): ReleaseKey[] {
  return [...new Set(wanted.map(({ key }) => key))]
}

function tangleText(keys: readonly ReleaseKey[]): string {
  return `The requirements of ${keys.join(', ')} are too tangled to find out in bounded time whether they can be met.`
}

/** Where something matched and nothing can be had, that is a refusal and no plan full of gaps. */
function refuseWhereAllClashes(gaps: BaseResolution['gaps']): void {
  const clash = gaps.find(({ reason }) => reason === 'unsatisfiable' || reason === 'too-hard')
  if (clash === undefined) return
  const { facet, reason, detail } = clash
  if (reason === 'too-hard') throw new MeshError('too-hard', `${detail} ${askForLess}`, { facet })
  throw new MeshError(
    'unsatisfiable',
    `Releases match this request, but what they require can't be had: ${detail} Ask for another version, or for the publisher to be told.`,
    { facet },
  )
}

function coverAnswers(needs: readonly Need[], excluded: Exclusions): Answer[] {
  const open = coverableNeeds(needs, excluded)
  const cover = coverNeeds(open.length, coverCandidates(open, excluded))
  return open.flatMap((need, i) => {
    const key = cover.answers.get(i)
    if (key === undefined) return []
    return [{ facet: need.facet, need, candidate: need.candidates.find((candidate) => candidate.key === key)! }]
  })
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
    for (const { key, score, trust } of able) {
      if (score < closeEnough * best) continue
      const scores = scoresOf.get(key) ?? new Map<number, number>()
      scoresOf.set(key, scores.set(i, score * (1 + trustWeight * trust)))
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

/** The better a release answers, the earlier it has its say about versions. */
function wantedBy(answers: readonly Answer[]): Wanted[] {
  return answers
    .toSorted((a, b) => bestFirst(a.candidate, b.candidate))
    .map(({ need, candidate }) => ({
      key: candidate.key,
      ...(need.range === undefined ? {} : { range: need.range }),
    }))
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
      const its = needs.filter((need) => need.facet === facet)
      const dropped = its
        .flatMap(({ candidates }) => candidates)
        .find(({ adequate, key }) => adequate && excluded.has(key))
      if (dropped !== undefined) return { facet, ...excluded.get(dropped.key)! }
      const detail = its.find(({ detail }) => detail !== undefined)?.detail
      return { facet, reason: 'not-found' as const, ...(detail === undefined ? {} : { detail }) }
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

async function createFinder(input: ResolveInput, groups: ReleaseGroups): Promise<Finder> {
  const visible = new Set(input.cards.filter((card) => card.member || input.anyPublisher).map(releaseKeyOf))
  // What a capability says is what its newest release says, or the channel's.
  const offered = [...visible].toSorted(byText).flatMap((key) => {
    const card = bestRelease(groups.get(key), undefined)
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
        trust: card.trust ?? 0,
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
      const card = bestRelease(groups.get(key), range)
      return card === undefined
        ? []
        : [
            {
              key,
              capability: card.capabilities[0]!.name,
              release: card.id,
              member: card.member,
              trust: card.trust ?? 0,
              score: 1,
              coverage: 1,
              words: 1,
              similarity: 1,
              adequate: true,
            },
          ]
    })
    if (candidates.length > 0) return { facet: facet.text, range, candidates }
    const withdrawn = keys.map((key) => withdrawnRelease(groups.get(key), [[range]])).find((card) => card !== undefined)
    return { facet: facet.text, range, candidates, ...(withdrawn && { detail: withdrawalText(withdrawn) }) }
  }
}

function withdrawalText({ name, version, withdrawn }: Card): string {
  return `${name}@${version} is withdrawn${withdrawn === '' ? '' : `: "${withdrawn}"`}.`
}

function signalOf(input: ResolveInput): { signal?: AbortSignal } {
  return input.signal === undefined ? {} : { signal: input.signal }
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000
}
