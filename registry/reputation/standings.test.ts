import { describe, expect, test } from 'vitest'
import type { Observation, Seen, Subject } from './observations.ts'
import { releaseScore, standings, whyStanding } from './standings.ts'
import type { Standings } from './standings.ts'
import type { Endorsement, TrustInputs } from './trust-graph.ts'

const MiB = 2 ** 20
const [self, alice, bob, carol, mallory] = ['self', 'alice', 'bob', 'carol', 'mallory'].map(
  (name): Subject => `identity:${name}`,
) as [Subject, Subject, Subject, Subject, Subject]

const observation = (subject: Subject, seen: Partial<Seen>): Observation => ({
  subject,
  day: 0,
  goodBytes: 0,
  badBytes: 0,
  transfers: 0,
  seconds: 0,
  confirmed: 0,
  refuted: 0,
  ...seen,
})
const endorses = (by: Subject, of: Subject, release = `${by} on ${of}`): Endorsement => ({ by, of, release })
const viewOf = (inputs: Partial<TrustInputs>): Standings =>
  standings({ self, chosen: new Set(), observed: [], endorsements: [], ...inputs })
const name = (subject: Subject): string => subject.slice(subject.indexOf(':') + 1)
const why = (view: Standings, subject: Subject): string => whyStanding(view.of(subject), name)

describe('trust', () => {
  test('starts at those chosen, in equal parts, and at those who did something for this node', () => {
    const view = viewOf({
      chosen: new Set([alice, bob]),
      observed: [observation('noise:01', { goodBytes: 64 * MiB })],
    })
    expect(view.of(alice).score).toBe(0.25)
    expect(view.of('noise:01').score).toBe(0.25)
    expect(view.of(carol).score).toBe(0)
  })

  test('is hardly earned by the first kilobyte', () => {
    const view = viewOf({ observed: [observation('noise:01', { goodBytes: 1_024 })] })
    expect(view.of('noise:01').score).toBeLessThan(0.000_01)
  })

  test('is the same for work done under one name as under a thousand together', () => {
    const names = Array.from({ length: 1_000 }, (_, i): Subject => `noise:${i}`)
    const many = viewOf({ observed: names.map((one) => observation(one, { goodBytes: MiB })) })
    const one = viewOf({ observed: [observation('noise:0', { goodBytes: 1_000 * MiB })] })
    expect(names.reduce((sum, each) => sum + many.of(each).score, 0)).toBeCloseTo(one.of('noise:0').score, 9)
  })

  test('is lowered by bad bytes, down to being asked last', () => {
    const scores = [0, 1, 10, 100].map((bad) => {
      const seen = { goodBytes: 64 * MiB, badBytes: bad * MiB }
      return viewOf({ observed: [observation('noise:01', seen)] }).of('noise:01').score
    })
    expect(scores).toEqual([0.25, expect.closeTo((0.5 * 48) / 112), -1, -1])
  })

  test('does not come from releases of oneself, of this node, or from one measurement said twice', () => {
    const chosen = new Set([alice])
    const once = viewOf({ chosen, endorsements: [endorses(alice, bob, 'r1'), endorses(alice, carol, 'r2')] })
    const more = [
      endorses(alice, bob, 'r1'),
      endorses(alice, bob, 'r1'),
      endorses(alice, carol, 'r2'),
      endorses(alice, alice),
      endorses(alice, self),
      endorses(self, mallory),
    ]
    const twice = viewOf({ chosen: new Set([alice, self]), endorsements: more })
    expect(twice.all()).toEqual(once.all())
  })
})

describe('a release', () => {
  const view = viewOf({ chosen: new Set([alice, bob]) })

  test('is worth what its publisher is, and what the trusted measured of it', () => {
    expect(releaseScore(view, carol, [{ by: alice, verdict: 1 }])).toBe(0.25)
    expect(releaseScore(view, alice, [{ by: bob, verdict: -1 }])).toBe(0)
    expect(releaseScore(view, alice, [{ by: alice, verdict: 1 }])).toBe(0.25)
  })

  test('gains nothing from strangers, or from one who says it often', () => {
    const strangers = Array.from({ length: 1_000 }, (_, i) => ({ by: `identity:${i}` as Subject, verdict: 1 as const }))
    expect(releaseScore(view, carol, strangers)).toBe(0)
    expect(
      releaseScore(
        view,
        carol,
        [alice, alice, alice].map((by) => ({ by, verdict: 1 as const })),
      ),
    ).toBe(0.25)
  })
})

describe('the reason', () => {
  test('names what was seen, chosen and heard', () => {
    const view = viewOf({
      chosen: new Set([alice, bob]),
      observed: [
        observation(alice, { confirmed: 1 }),
        observation('noise:01', { goodBytes: MiB }),
        observation('noise:02', { badBytes: 9 * MiB }),
        observation('noise:03', { badBytes: MiB }),
        observation(mallory, { refuted: 3 }),
      ],
      endorsements: [endorses(alice, carol, 'r1'), endorses(bob, carol, 'r1'), endorses(bob, 'identity:dave', 'r2')],
    })
    expect(why(view, alice)).toBe('You chose to trust it; this node repeated what it had measured.')
    expect(why(view, 'noise:01')).toBe('It sent this node bytes that were right.')
    expect(why(view, 'noise:02')).toBe('Asked last: it sent bytes that were wrong.')
    expect(why(view, 'noise:03')).toBe('No better than a stranger: it sent bytes that were wrong.')
    expect(why(view, mallory)).toBe('Asked last: this node could not repeat what it had measured.')
    expect(why(view, carol)).toBe('Releases of it did well where alice and bob measured them.')
    expect(why(view, 'identity:dave')).toBe(
      'Releases of it did well where bob measured them, which counts a quarter: nearly all of it comes by bob.',
    )
    expect(why(view, 'identity:newcomer')).toBe('Nothing is known of it yet.')
  })

  test('stands beside everybody something is known of, the most trusted first', () => {
    const view = viewOf({ chosen: new Set([bob]), observed: [observation(alice, { refuted: 3 })] })
    expect(view.all().map(({ subject, score }) => [subject, score])).toEqual([
      [bob, 0.5],
      [alice, -1],
    ])
  })
})
