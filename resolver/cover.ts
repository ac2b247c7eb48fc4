// The smallest set of capabilities that answers every facet: few adapters, because each one stacked costs speed and accuracy.

export interface CoverCandidate {
  /** Identifies the set; decides ties, smallest first. */
  readonly id: string
  /** Need index -> score (> 0) of this candidate for that need. */
  readonly scores: ReadonlyMap<number, number>
}

export interface Cover {
  /** Candidate ids, sorted. */
  readonly chosen: readonly string[]
  /** Need index -> id of the chosen candidate with the best score for it. */
  readonly answers: ReadonlyMap<number, string>
}

/** Needs up to which the search is exact: 3^8 assignments times the candidates is a few milliseconds. */
export const exactNeedsMax = 8
/** Candidates looked at per need, best first: later ones could only win ties that nobody would miss. */
export const candidatesPerNeed = 16

/**
 * Covers every need that some candidate covers with as few candidates as possible; of equally few, the highest sum of scores; of
 * those, the ids that come first. Exact up to `exactNeedsMax` needs, greedy (most needs, then most score) beyond.
 */
export function coverNeeds(needs: number, candidates: readonly CoverCandidate[]): Cover {
  const kept = shortlist(needs, candidates)
  const chosen = needs <= exactNeedsMax ? exactCover(needs, kept) : greedyCover(kept)
  return { chosen: chosen.map(({ id }) => id).toSorted(byText), answers: answersOf(needs, chosen) }
}

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * Per need the best candidates, and per set of needs the best candidates for that set: two that cover the same needs never both
 * belong to a smallest cover, so the shortlist loses no smallest cover, only some ties of score.
 */
function shortlist(needs: number, candidates: readonly CoverCandidate[]): CoverCandidate[] {
  const sorted = [...candidates].toSorted((a, b) => byText(a.id, b.id))
  const kept = new Set<CoverCandidate>()
  const bySet = new Map<string, CoverCandidate[]>()
  for (const candidate of sorted) {
    const key = [...candidate.scores.keys()].toSorted((a, b) => a - b).join(',')
    if (key === '') continue
    const same = bySet.get(key) ?? []
    same.push(candidate)
    bySet.set(key, same)
  }
  for (const same of bySet.values()) {
    for (const candidate of same
      .toSorted((a, b) => total(b) - total(a) || byText(a.id, b.id))
      .slice(0, candidatesPerNeed))
      kept.add(candidate)
  }
  for (let need = 0; need < needs; need++) {
    const able = sorted.filter(({ scores }) => scores.has(need))
    able.sort((a, b) => b.scores.get(need)! - a.scores.get(need)! || byText(a.id, b.id))
    for (const candidate of able.slice(0, candidatesPerNeed)) kept.add(candidate)
  }
  return sorted.filter((candidate) => kept.has(candidate))
}

function total(candidate: CoverCandidate): number {
  return [...candidate.scores.values()].reduce((sum, score) => sum + score, 0)
}

interface Partial {
  readonly count: number
  readonly score: number
  readonly chosen: readonly CoverCandidate[]
}

/** Best way to have answered each subset of needs (a bit mask), one candidate after another in id order, each taking any part of what it covers. */
function exactCover(needs: number, candidates: readonly CoverCandidate[]): CoverCandidate[] {
  const best: (Partial | undefined)[] = Array.from({ length: 1 << needs })
  best[0] = { count: 0, score: 0, chosen: [] }
  let reachable = 0
  for (const candidate of candidates) {
    const mask = [...candidate.scores.keys()].reduce((bits, need) => bits | (1 << need), 0)
    reachable |= mask
    // Downwards, so that a candidate is never added to a state that it is already part of.
    for (let from = best.length - 1; from >= 0; from--) {
      const state = best[from]
      if (state === undefined) continue
      const open = mask & ~from
      for (let taken = open; taken > 0; taken = (taken - 1) & open) {
        const next = {
          count: state.count + 1,
          score: state.score + scoreOf(candidate, taken),
          chosen: [...state.chosen, candidate],
        }
        if (isBetter(next, best[from | taken])) best[from | taken] = next
      }
    }
  }
  return [...(best[reachable]?.chosen ?? [])]
}

function scoreOf(candidate: CoverCandidate, mask: number): number {
  let sum = 0
  for (const [need, score] of candidate.scores) if (mask & (1 << need)) sum += score
  return sum
}

function isBetter(a: Partial, b: Partial | undefined): boolean {
  if (b === undefined || a.count !== b.count) return b === undefined || a.count < b.count
  // Sums of the same scores in another order may differ in the last bit.
  if (Math.abs(a.score - b.score) > 1e-9) return a.score > b.score
  return byText(idsOf(a), idsOf(b)) < 0
}

function idsOf(partial: Partial): string {
  return partial.chosen.map(({ id }) => id).join('\n')
}

function greedyCover(candidates: readonly CoverCandidate[]): CoverCandidate[] {
  const open = new Set(candidates.flatMap(({ scores }) => [...scores.keys()]))
  const chosen: CoverCandidate[] = []
  while (open.size > 0) {
    let best: { candidate: CoverCandidate; covers: number; score: number } | undefined
    for (const candidate of candidates) {
      const covered = [...candidate.scores].filter(([need]) => open.has(need))
      const score = covered.reduce((sum, [, value]) => sum + value, 0)
      if (covered.length === 0) continue
      if (
        best === undefined ||
        covered.length > best.covers ||
        (covered.length === best.covers && score > best.score)
      ) {
        best = { candidate, covers: covered.length, score }
      }
    }
    if (best === undefined) break
    chosen.push(best.candidate)
    for (const need of best.candidate.scores.keys()) open.delete(need)
  }
  return chosen
}

function answersOf(needs: number, chosen: readonly CoverCandidate[]): Map<number, string> {
  const answers = new Map<number, string>()
  for (let need = 0; need < needs; need++) {
    let best: CoverCandidate | undefined
    for (const candidate of [...chosen].toSorted((a, b) => byText(a.id, b.id))) {
      const score = candidate.scores.get(need)
      if (score !== undefined && score > (best?.scores.get(need) ?? 0)) best = candidate
    }
    if (best !== undefined) answers.set(need, best.id)
  }
  return answers
}
