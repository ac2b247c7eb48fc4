// How far each other is trusted from here: the chance that a short random walk from this node arrives at it. Pure.
import type { Subject } from './observations.ts'

export interface TrustGraph {
  /** The walk's first step: chances, together at most 1. What is missing to 1 is walks that end at once. */
  readonly start: ReadonlyMap<Subject, number>
  /** Who speaks well of whom, with weights above 0. Only one's own proportions count. Nobody of itself. */
  readonly edges: ReadonlyMap<Subject, ReadonlyMap<Subject, number>>
  /** A walk never steps on these. */
  readonly barred: ReadonlySet<Subject>
}

export interface Share {
  readonly subject: Subject
  readonly share: number
}

export interface Trust {
  /** From 0 to 1. */
  readonly score: number
  /** The part of it, before any decay of connectivity, that came by no one else. */
  readonly direct: number
  /** Who spoke well of it, as shares of all arrivals, the largest first. */
  readonly endorsers: readonly Share[]
  /** Those that almost everything came through, at most one per step in between. The score was lowered for each. */
  readonly bridges: readonly Subject[]
}

/** Transitivity decay: a walk goes on with this chance after each step. */
export const goesOn = 0.5
/** Connectivity decay: for each other one through which more than this share arrived, only `bridgeKeeps` of the score is left. */
export const bridgeShare = 0.75
export const bridgeKeeps = 0.25

interface Arrivals {
  direct: number
  all: number
  /** By whoever was passed: a walk of three steps counts for both in between. */
  readonly through: Map<Subject, number>
  /** By the last one passed. */
  readonly last: Map<Subject, number>
}

/**
 * MeritRank (B. Nasrulin, G. Ishmaev, J. Pouwelse, "MeritRank: Sybil Tolerant Reputation for Merit-based Tokenomics", 2022,
 * arXiv:2207.09950): personalised random walks with transitivity and connectivity decay; its third, epoch decay, is the half-life of the
 * observations behind `start`. Walks have at most three steps and end where they would come to a place again, so that the chance of
 * arriving at j is a finite sum, computed exactly and not drawn. With p(i, k) an edge's share of what i says, s the start and g `goesOn`:
 *
 *     arrivals(j) = s(j) + g sum_a s(a) p(a, j) + g^2 sum_(a, b) s(a) p(a, b) p(b, j)       a, b, j all different
 *     score(j)    = arrivals(j), times `bridgeKeeps` for each v by which more than `bridgeShare` of arrivals(j) went
 *
 * What follows, and walk-trust.test.ts tests: j's own edges are in no term of arrivals(j), so self-praise changes nothing. All that is
 * reached by v alone, however many they are, score together at most (g + g^2) bridgeKeeps arrivals(v): less than a fifth of what v has, or,
 * where v's own score was lowered for a bridge, three quarters of that. Behind several v, none of them a bridge, it is at most (g + g^2)
 * times what those have.
 */
export function walkTrust({ start, edges, barred }: TrustGraph): Map<Subject, Trust> {
  const arrivals = new Map<Subject, Arrivals>()
  const step = stepsOf(edges, barred)
  for (const [a, chanceA] of sorted(start)) {
    if (barred.has(a)) continue
    arrive(arrivals, a, chanceA, [])
    for (const [b, toB] of step(a)) {
      const chanceB = chanceA * goesOn * toB
      arrive(arrivals, b, chanceB, [a])
      for (const [c, toC] of step(b)) {
        if (c !== a && c !== b) arrive(arrivals, c, chanceB * goesOn * toC, [a, b])
      }
    }
  }
  return new Map([...arrivals].map(([subject, its]) => [subject, trustIn(its)]))
}

/** Each one's edges as chances, worked out when a walk first comes by. */
function stepsOf(edges: TrustGraph['edges'], barred: TrustGraph['barred']) {
  const known = new Map<Subject, readonly (readonly [Subject, number])[]>()
  return (from: Subject) => {
    const before = known.get(from)
    if (before !== undefined) return before
    const all = sorted(edges.get(from) ?? new Map<Subject, number>())
    const total = all.reduce((sum, [, weight]) => sum + weight, 0)
    // Walks to who is barred end there: the others don't inherit them.
    const open = all.filter(([to]) => !barred.has(to)).map(([to, weight]) => [to, weight / total] as const)
    known.set(from, open)
    return open
  }
}

function arrive(arrivals: Map<Subject, Arrivals>, at: Subject, chance: number, by: readonly Subject[]): void {
  let its = arrivals.get(at)
  if (its === undefined) arrivals.set(at, (its = { direct: 0, all: 0, through: new Map(), last: new Map() }))
  its.all += chance
  const last = by.at(-1)
  if (last === undefined) its.direct += chance
  else its.last.set(last, (its.last.get(last) ?? 0) + chance)
  for (const one of by) its.through.set(one, (its.through.get(one) ?? 0) + chance)
}

function trustIn({ direct, all, through, last }: Arrivals): Trust {
  const bridges = largestFirst(through, all).filter(({ share }) => share > bridgeShare)
  const score = all * bridgeKeeps ** bridges.length
  return { score, direct, endorsers: largestFirst(last, all), bridges: bridges.map(({ subject }) => subject) }
}

function largestFirst(chances: ReadonlyMap<Subject, number>, all: number): Share[] {
  return sorted(chances)
    .map(([subject, chance]) => ({ subject, share: chance / all }))
    .toSorted((a, b) => b.share - a.share)
}

/** By name, so that sums of fractions come out the same to the last bit whatever the order of arrival. */
function sorted(chances: ReadonlyMap<Subject, number>): (readonly [Subject, number])[] {
  return [...chances].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}
