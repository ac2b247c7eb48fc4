import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultRules } from '../../protocol/index.ts'
import { countBallots, hasQuorum, lastBallots, measure, medianOf, outcomeOf, passes } from './count-ballots.ts'
import type { CastBallot, Choice, Difference, Measurement } from './count-ballots.ts'

const notAsked: Measurement = { kind: 'not-asked' }
const counts = fc.record({ yes: fc.nat(300), no: fc.nat(300), abstain: fc.nat(300) })

function difference(difference: number, standardError = 0): Difference {
  return { difference, standardError }
}

describe('a rule', () => {
  test('majority: more yes than no', () => {
    const passing = [
      [1, 0],
      [2, 1],
      [128, 127],
    ]
    const failing = [
      [0, 0],
      [0, 1],
      [1, 1],
      [127, 128],
    ]
    for (const [yes, no] of passing) expect(passes({ yes: yes!, no: no!, abstain: 0 }, 'majority')).toBe(true)
    for (const [yes, no] of failing) expect(passes({ yes: yes!, no: no!, abstain: 9 }, 'majority')).toBe(false)
  })

  test('supermajority: two thirds of yes and no, to the ballot', () => {
    for (const [yes, no] of [
      [1, 0],
      [2, 1],
      [4, 2],
      [67, 33],
    ]) {
      expect(passes({ yes: yes!, no: no!, abstain: 50 }, 'supermajority')).toBe(true)
    }
    for (const [yes, no] of [
      [0, 0],
      [1, 1],
      [3, 2],
      [66, 34],
    ]) {
      expect(passes({ yes: yes!, no: no!, abstain: 0 }, 'supermajority')).toBe(false)
    }
  })

  test('consensus: one yes is enough, and one no too many', () => {
    expect(passes({ yes: 1, no: 0, abstain: 99 }, 'consensus')).toBe(true)
    expect(passes({ yes: 0, no: 0, abstain: 99 }, 'consensus')).toBe(false)
    expect(passes({ yes: 99, no: 1, abstain: 0 }, 'consensus')).toBe(false)
  })

  test('each is stricter than the one before, and another yes never turns it down, another no never up', () => {
    fc.assert(
      fc.property(counts, (count) => {
        if (passes(count, 'consensus')) expect(passes(count, 'supermajority')).toBe(true)
        if (passes(count, 'supermajority')) expect(passes(count, 'majority')).toBe(true)
        for (const rule of ['majority', 'supermajority', 'consensus'] as const) {
          if (passes(count, rule)) expect(passes({ ...count, yes: count.yes + 1 }, rule)).toBe(true)
          if (passes({ ...count, no: count.no + 1 }, rule)) expect(passes(count, rule)).toBe(true)
        }
      }),
    )
  })

  test('abstentions change nothing but whether there is a quorum', () => {
    fc.assert(
      fc.property(counts, fc.nat(300), (count, more) => {
        for (const rule of ['majority', 'supermajority', 'consensus'] as const) {
          expect(passes({ ...count, abstain: count.abstain + more }, rule)).toBe(passes(count, rule))
        }
      }),
    )
    const rules = { ...defaultRules, quorum: 500_000 }
    expect(outcomeOf({ yes: 2, no: 1, abstain: 1 }, 8, rules, notAsked)).toBe('accepted')
    expect(outcomeOf({ yes: 2, no: 1, abstain: 0 }, 8, rules, notAsked)).toBe('no-quorum')
    expect(outcomeOf({ yes: 1, no: 2, abstain: 5 }, 8, rules, notAsked)).toBe('rejected')
  })
})

test('a quorum is a share of the members that the proposal names, rounded up', () => {
  const half = { ...defaultRules, quorum: 500_000 }
  expect(hasQuorum({ yes: 1, no: 1, abstain: 1 }, 5, half)).toBe(true)
  expect(hasQuorum({ yes: 1, no: 1, abstain: 0 }, 5, half)).toBe(false)
  expect(hasQuorum({ yes: 0, no: 0, abstain: 0 }, 5, { ...half, quorum: 0 })).toBe(true)
  expect(hasQuorum({ yes: 255, no: 0, abstain: 0 }, 256, { ...half, quorum: 1_000_000 })).toBe(false)
  expect(hasQuorum({ yes: 256, no: 0, abstain: 0 }, 256, { ...half, quorum: 1_000_000 })).toBe(true)
})

describe('of the ballots of one member', () => {
  const voters = new Set(['alice', 'bob'])
  const cast = (voter: string, index: number, choice: Choice, device = 'laptop'): CastBallot => {
    return { voter, device, index, choice }
  }

  test('the last one in its log counts, in whatever order they are heard', () => {
    const said = [cast('alice', 3, 'yes'), cast('alice', 9, 'no'), cast('alice', 5, 'yes'), cast('bob', 1, 'yes')]
    fc.assert(
      fc.property(fc.shuffledSubarray([...said, ...said], { minLength: said.length * 2 }), (heard) => {
        const last = lastBallots(heard, voters)
        expect(countBallots(last.values())).toEqual({ yes: 1, no: 1, abstain: 0 })
      }),
    )
  })

  test('with several devices those of one count, whatever the order and the indexes', () => {
    const said = [cast('alice', 9, 'yes', 'b'), cast('alice', 3, 'no', 'a'), cast('alice', 1, 'yes', 'a')]
    for (const heard of [said, said.toReversed()]) {
      expect(countBallots(lastBallots(heard, voters).values())).toEqual({ yes: 0, no: 1, abstain: 0 })
    }
  })

  test('those of people who may not vote count nothing', () => {
    const last = lastBallots([cast('mallory', 1, 'yes'), cast('bob', 2, 'no')], voters)
    expect(countBallots(last.values())).toEqual({ yes: 0, no: 1, abstain: 0 })
  })
})

describe('a measured loser', () => {
  test('lies below the current release by more than its standard error', () => {
    const [lost, drawn] = [difference(-2, 1), difference(-2, 2)].map((one) => measure([one, one, one], 9, true))
    expect(lost).toMatchObject({ kind: 'measured', loses: true })
    expect(drawn).toMatchObject({ kind: 'measured', loses: false })
  })

  test('is not deployed, whatever the votes; without the loss the same votes do', () => {
    fc.assert(
      fc.property(counts, fc.constantFrom('majority', 'supermajority', 'consensus'), (count, decision) => {
        const rules = { ...defaultRules, decision, quorum: 0 }
        const measured = { kind: 'measured', median: difference(-9, 1), receipts: 3 } as const
        expect(outcomeOf(count, 9, rules, { ...measured, loses: true })).not.toBe('accepted')
        const expected = passes(count, decision) ? 'accepted' : 'rejected'
        expect(outcomeOf(count, 9, rules, { ...measured, loses: false })).toBe(expected)
      }),
    )
  })

  test('needs a receipt of three members, or of all in smaller communities', () => {
    const bad = difference(-9, 1)
    expect(measure([bad, bad], 9, true)).toMatchObject({ kind: 'unmeasured', why: 'too-few-receipts' })
    expect(measure([bad, bad, bad], 9, true)).toMatchObject({ kind: 'measured', loses: true })
    expect(measure([bad], 2, true)).toMatchObject({ kind: 'unmeasured' })
    expect(measure([bad, bad], 2, true)).toMatchObject({ kind: 'measured' })
    expect(measure([bad, bad, bad], 9, false)).toMatchObject({ kind: 'unmeasured', why: 'no-suite' })
    expect(measure([], 0, true)).toMatchObject({ kind: 'unmeasured' })
  })

  test('is judged by the middle receipt: fewer than half of the receipts change nothing', () => {
    const honest = [difference(10), difference(11), difference(12)]
    expect(medianOf([...honest, difference(-1_000_000), difference(-1_000_000)])?.difference).toBe(10)
    expect(medianOf([...honest, difference(1_000_000), difference(1_000_000)])?.difference).toBe(12)
    expect(medianOf([difference(1), difference(2)])?.difference).toBe(1)
    expect(medianOf([])).toBeUndefined()
  })

  test('comes out the same in whatever order the receipts are', () => {
    const receipts = fc.array(fc.record({ difference: fc.integer({ min: -3, max: 3 }), standardError: fc.nat(3) }))
    fc.assert(
      fc.property(receipts, fc.integer(), (some, seed) => {
        const [shuffled] = fc.sample(fc.shuffledSubarray(some, { minLength: some.length }), { numRuns: 1, seed })
        expect(medianOf(shuffled!)).toEqual(medianOf(some))
      }),
    )
  })
})

test('an unmeasured upgrade needs a supermajority beside the rule of the community', () => {
  const rules = { ...defaultRules, decision: 'majority' as const, quorum: 0 }
  const unmeasured = { kind: 'unmeasured', why: 'no-suite', receipts: 0 } as const
  expect(outcomeOf({ yes: 3, no: 2, abstain: 0 }, 5, rules, unmeasured)).toBe('rejected')
  expect(outcomeOf({ yes: 3, no: 2, abstain: 0 }, 5, rules, notAsked)).toBe('accepted')
  expect(outcomeOf({ yes: 4, no: 2, abstain: 0 }, 6, rules, unmeasured)).toBe('accepted')
  const consensus = { ...rules, decision: 'consensus' as const }
  expect(outcomeOf({ yes: 4, no: 2, abstain: 0 }, 6, consensus, unmeasured)).toBe('rejected')
})
