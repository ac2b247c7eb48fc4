import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { halfLifeMs, isBarred, Observations, workOf } from './observations.ts'
import type { Seen, Subject } from './observations.ts'

const MiB = 2 ** 20
const bob: Subject = 'identity:bob'
const seenWith = (seen: Partial<Seen>): Seen => ({
  goodBytes: 0,
  badBytes: 0,
  transfers: 0,
  seconds: 0,
  confirmed: 0,
  refuted: 0,
  ...seen,
})

describe('what was seen', () => {
  test('adds up', () => {
    const observed = new Observations()
    observed.add(bob, { goodBytes: 5, transfers: 1, seconds: 2 }, 0)
    observed.add(bob, { goodBytes: 7, confirmed: 1 }, 0)
    expect(observed.of(bob, 0)).toMatchObject({ goodBytes: 12, transfers: 1, seconds: 2, confirmed: 1, badBytes: 0 })
  })

  test('counts half after the half-life, however often it was looked at and added to in between', () => {
    const observed = new Observations()
    observed.add(bob, { goodBytes: 8 * MiB }, 0)
    observed.add(bob, { badBytes: 0 }, halfLifeMs / 3)
    observed.add(bob, { refuted: 1 }, halfLifeMs)
    expect(observed.of(bob, halfLifeMs).goodBytes).toBeCloseTo(4 * MiB, 5)
    expect(observed.of(bob, 2 * halfLifeMs)).toMatchObject({ refuted: 0.5 })
  })

  test('does not grow when the clock is set back', () => {
    const observed = new Observations()
    observed.add(bob, { goodBytes: MiB }, halfLifeMs)
    expect(observed.of(bob, 0).goodBytes).toBe(MiB)
    observed.add(bob, { goodBytes: MiB }, 0)
    expect(observed.of(bob, halfLifeMs).goodBytes).toBeLessThanOrEqual(2 * MiB)
  })

  test('is the same after a restart', () => {
    const observed = new Observations()
    observed.add(bob, { goodBytes: 3 * MiB, badBytes: 5 }, 1_000)
    const again = new Observations(JSON.parse(JSON.stringify(observed.all(2_000))))
    expect(again.of(bob, 9_000).goodBytes).toBeCloseTo(observed.of(bob, 9_000).goodBytes, 6)
  })

  test('stays bounded, and a flood of strangers does not wash away who did much good or harm', () => {
    const observed = new Observations([], 10)
    observed.add(bob, { goodBytes: 9 * MiB }, 0)
    observed.add('identity:mallory', { badBytes: MiB }, 0)
    for (let i = 0; i < 1_000; i++) observed.add(`noise:${i}`, { goodBytes: 1_000 }, i)
    const kept = observed.all(1_000).map(({ subject }) => subject)
    expect(kept).toHaveLength(10)
    expect(kept).toEqual(expect.arrayContaining([bob, 'identity:mallory']))
  })
})

describe('work', () => {
  test('is lowered by bad bytes and by measurements that could not be repeated', () => {
    const good = workOf(seenWith({ goodBytes: 100 * MiB, confirmed: 1 }))
    expect(good).toBe(116)
    expect(workOf(seenWith({ goodBytes: 100 * MiB, confirmed: 1, badBytes: MiB }))).toBe(100)
    expect(workOf(seenWith({ goodBytes: 100 * MiB, confirmed: 1, refuted: 1 }))).toBe(68)
  })

  test('bars nobody for one mistake, and who goes on', () => {
    expect(isBarred(seenWith({ badBytes: MiB }))).toBe(false)
    expect(isBarred(seenWith({ refuted: 1 }))).toBe(false)
    expect(isBarred(seenWith({ badBytes: 4 * MiB }))).toBe(true)
    expect(isBarred(seenWith({ refuted: 2 }))).toBe(true)
    expect(isBarred(seenWith({ refuted: 2, confirmed: 6 }))).toBe(false)
  })

  test('comes to the same done under one name or under several', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 1, maxLength: 20 }), (parts) => {
        const together = workOf(seenWith({ goodBytes: parts.reduce((sum, bytes) => sum + bytes, 0) }))
        const apart = parts.reduce((sum, goodBytes) => sum + workOf(seenWith({ goodBytes })), 0)
        expect(apart).toBeCloseTo(together, 6)
      }),
    )
  })
})
