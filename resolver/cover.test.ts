import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coverNeeds, exactNeedsMax } from './cover.ts'
import type { CoverCandidate } from './cover.ts'

const candidate = (id: string, scores: Record<number, number>): CoverCandidate => ({
  id,
  scores: new Map(Object.entries(scores).map(([need, score]) => [Number(need), score])),
})

/** Every subset, smallest first: the definition itself. */
function bruteForce(needs: number, candidates: readonly CoverCandidate[]): { size: number; score: number } {
  const coverable = Array.from({ length: needs }, (_, need) => need).filter((need) =>
    candidates.some(({ scores }) => scores.has(need)),
  )
  let best = { size: Number.POSITIVE_INFINITY, score: 0 }
  for (let mask = 0; mask < 1 << candidates.length; mask++) {
    const subset = candidates.filter((_, i) => mask & (1 << i))
    if (!coverable.every((need) => subset.some(({ scores }) => scores.has(need)))) continue
    const score = coverable.reduce(
      (sum, need) => sum + Math.max(...subset.map(({ scores }) => scores.get(need) ?? 0)),
      0,
    )
    if (subset.length < best.size || (subset.length === best.size && score > best.score + 1e-9))
      best = { size: subset.length, score }
  }
  return best
}

const candidatesOf = (needs: number, maxScore = 20) =>
  fc
    .array(fc.dictionary(fc.nat(needs - 1).map(String), fc.integer({ min: 1, max: maxScore }), { maxKeys: needs }), {
      maxLength: 9,
    })
    .map((all) => all.map((scores, i) => candidate(`c${i}`, scores)))

describe('the smallest cover', () => {
  it('takes one candidate that answers everything before two that answer better', () => {
    const cover = coverNeeds(2, [
      candidate('a', { 0: 0.9 }),
      candidate('b', { 1: 0.9 }),
      candidate('both', { 0: 0.7, 1: 0.7 }),
    ])
    expect(cover.chosen).toEqual(['both'])
  })

  it('takes the better score among equally few, then the first id', () => {
    expect(coverNeeds(1, [candidate('a', { 0: 0.7 }), candidate('b', { 0: 0.9 })]).chosen).toEqual(['b'])
    expect(coverNeeds(1, [candidate('b', { 0: 0.9 }), candidate('a', { 0: 0.9 })]).chosen).toEqual(['a'])
  })

  it('leaves a need that nothing answers without an answer', () => {
    const { chosen, answers } = coverNeeds(2, [candidate('a', { 1: 1 })])
    expect(chosen).toEqual(['a'])
    expect([...answers]).toEqual([[1, 'a']])
    expect(coverNeeds(0, []).chosen).toEqual([])
  })

  it('is what trying every subset finds', () => {
    const cases = fc.integer({ min: 1, max: 5 }).chain((needs) => fc.tuple(fc.constant(needs), candidatesOf(needs)))
    fc.assert(
      fc.property(cases, ([needs, candidates]) => {
        const { chosen, answers } = coverNeeds(needs, candidates)
        const expected = bruteForce(needs, candidates)
        expect(chosen.length).toBe(expected.size)
        const byId = new Map(candidates.map((one) => [one.id, one]))
        const score = [...answers].reduce((sum, [need, id]) => sum + byId.get(id)!.scores.get(need)!, 0)
        expect(score).toBeCloseTo(expected.score, 6)
      }),
      { numRuns: 500 },
    )
  })

  it('does not depend on the order of the candidates', () => {
    fc.assert(
      fc.property(candidatesOf(4, 1), fc.infiniteStream(fc.nat()), (candidates, keys) => {
        const shuffled = candidates.map((one) => ({ one, key: keys.next().value })).toSorted((a, b) => a.key - b.key)
        expect(
          coverNeeds(
            4,
            shuffled.map(({ one }) => one),
          ),
        ).toEqual(coverNeeds(4, candidates))
      }),
      { numRuns: 1000 },
    )
  })

  it('answers every need that can be answered when there are too many for the exact search', () => {
    const needs = exactNeedsMax + 4
    fc.assert(
      fc.property(candidatesOf(needs), (candidates) => {
        const { answers } = coverNeeds(needs, candidates)
        const coverable = new Set(candidates.flatMap(({ scores }) => [...scores.keys()]))
        expect(new Set(answers.keys())).toEqual(coverable)
      }),
    )
  })

  it('stays quick with a thousand candidates for every need', () => {
    const crowd = Array.from({ length: 1000 }, (_, i) =>
      candidate(
        `c${i}`,
        Object.fromEntries(Array.from({ length: exactNeedsMax }, (_, need) => [need, 1 + ((i * 7 + need) % 13)])),
      ),
    )
    expect(coverNeeds(exactNeedsMax, crowd).chosen).toHaveLength(1)
  })
})
