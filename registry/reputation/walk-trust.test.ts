import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Subject } from './observations.ts'
import { bridgeKeeps, goesOn, walkTrust } from './walk-trust.ts'
import type { TrustGraph } from './walk-trust.ts'

type Edge = readonly [from: string, to: string, weight?: number]

const named = (name: string): Subject => `identity:${name}`

function aGraph(
  start: Readonly<Record<string, number>>,
  edges: readonly Edge[],
  barred: readonly string[] = [],
): TrustGraph {
  const table = new Map<Subject, Map<Subject, number>>()
  for (const [from, to, weight = 1] of edges) {
    const its = table.get(named(from)) ?? new Map<Subject, number>()
    table.set(named(from), its.set(named(to), weight))
  }
  return {
    start: new Map(Object.entries(start).map(([name, chance]) => [named(name), chance])),
    edges: table,
    barred: new Set(barred.map(named)),
  }
}

const scoreIn = (graph: TrustGraph, name: string): number => walkTrust(graph).get(named(name))?.score ?? 0

describe('the chance of arriving', () => {
  test('is the start, and half of it per further step, in proportion to the weights', () => {
    const graph = aGraph({ alice: 0.3, bob: 0.7 }, [
      ['alice', 'carol', 3],
      ['alice', 'dave', 1],
      ['bob', 'carol'],
      ['carol', 'erin'],
    ])
    expect(scoreIn(graph, 'alice')).toBe(0.3)
    // By bob comes 0.35 of 0.4625: more than three quarters, so he is a bridge.
    expect(walkTrust(graph).get(named('carol'))?.bridges).toEqual([named('bob')])
    expect(scoreIn(graph, 'carol')).toBeCloseTo((0.5 * 0.3 * 0.75 + 0.5 * 0.7) * bridgeKeeps, 12)
    // Everything comes to erin by carol, and most of it by bob.
    expect(walkTrust(graph).get(named('erin'))?.bridges).toEqual([named('carol'), named('bob')])
    expect(scoreIn(graph, 'erin')).toBeCloseTo((0.25 * 0.3 * 0.75 + 0.25 * 0.7) * bridgeKeeps ** 2, 12)
  })

  test('is not lowered for one whom several speak well of', () => {
    const graph = aGraph({ alice: 0.5, bob: 0.5 }, [
      ['alice', 'carol'],
      ['bob', 'carol'],
    ])
    expect(walkTrust(graph).get(named('carol'))).toEqual({
      score: 0.5,
      direct: 0,
      bridges: [],
      endorsers: [
        { subject: named('alice'), share: 0.5 },
        { subject: named('bob'), share: 0.5 },
      ],
    })
  })

  test('ends after three steps, and never comes to a place again', () => {
    const graph = aGraph({ alice: 1 }, [
      ['alice', 'bob'],
      ['bob', 'alice'],
      ['bob', 'carol'],
      ['carol', 'dave'],
      ['dave', 'alice'],
    ])
    expect([...walkTrust(graph).keys()]).toEqual(['alice', 'bob', 'carol'].map(named))
    expect(scoreIn(graph, 'alice')).toBe(1)
  })

  test('is none for newcomers, whatever they say of others', () => {
    const graph = aGraph({ alice: 1 }, [
      ['newcomer', 'alice'],
      ['newcomer', 'friend'],
    ])
    expect(scoreIn(graph, 'newcomer')).toBe(0)
    expect(scoreIn(graph, 'friend')).toBe(0)
  })

  test('is none for those that are barred, and for those that only they speak well of', () => {
    const edges: Edge[] = [
      ['alice', 'mallory'],
      ['alice', 'bob'],
      ['mallory', 'crony'],
    ]
    const before = aGraph({ alice: 0.5, mallory: 0.5 }, edges)
    const after = aGraph({ alice: 0.5, mallory: 0.5 }, edges, ['mallory'])
    expect(scoreIn(before, 'crony')).toBeGreaterThan(0)
    expect(scoreIn(after, 'mallory')).toBe(0)
    expect(scoreIn(after, 'crony')).toBe(0)
    // What alice gave to mallory is lost, not inherited.
    expect(scoreIn(after, 'bob')).toBe(scoreIn(before, 'bob'))
  })
})

const people = ['a', 'b', 'c', 'd', 'e', 'f']
const person = fc.constantFrom(...people)
const anyEdges = fc.uniqueArray(
  fc.tuple(person, person, fc.integer({ min: 1, max: 9 })).filter(([from, to]) => from !== to),
  { selector: ([from, to]) => `${from}${to}`, maxLength: 24 },
)
const anyStart = fc.dictionary(person, fc.integer({ min: 1, max: 100 }), { minKeys: 1 }).map((weights) => {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0)
  return Object.fromEntries(Object.entries(weights).map(([name, weight]) => [name, weight / total]))
})

describe('whatever the graph', () => {
  test("one's own praise of others changes nothing for oneself", () => {
    fc.assert(
      fc.property(anyStart, anyEdges, person, (start, edges, who) => {
        const silent = edges.filter(([from]) => from !== who)
        expect(scoreIn(aGraph(start, edges), who)).toBe(scoreIn(aGraph(start, silent), who))
      }),
    )
  })

  test('the order in which things became known changes no bit', () => {
    fc.assert(
      fc.property(anyStart, anyEdges, (start, edges) => {
        const backwards = Object.fromEntries(Object.entries(start).toReversed())
        const sorted = (graph: TrustGraph) => [...walkTrust(graph)].toSorted(([x], [y]) => (x < y ? -1 : 1))
        expect(sorted(aGraph(backwards, edges.toReversed()))).toEqual(sorted(aGraph(start, edges)))
      }),
    )
  })

  test('scores lie between 0 and 1', () => {
    fc.assert(
      fc.property(anyStart, anyEdges, (start, edges) => {
        for (const { score } of walkTrust(aGraph(start, edges)).values()) {
          expect(score).toBeGreaterThan(0)
          expect(score).toBeLessThanOrEqual(1 + 1e-12)
        }
      }),
    )
  })
})

const sybil = fc.constantFrom('s1', 's2', 's3', 's4')
const crowdEdges = fc.array(fc.tuple(fc.oneof(fc.constant('v'), sybil), sybil, fc.integer({ min: 1, max: 9 })))
const edgesToV = fc.array(fc.tuple(person, fc.constant('v'), fc.integer({ min: 1, max: 9 })), { maxLength: 6 })

test('whatever the graph, those behind one other only score together less than it does', () => {
  fc.assert(
    fc.property(anyStart, anyEdges, edgesToV, crowdEdges, fc.double({ min: 0, max: 1, noNaN: true }), (...drawn) => {
      const [start, honest, toV, crowd, share] = drawn
      const edges = [...honest, ...toV, ...crowd].filter(([from, to]) => from !== to)
      const parts = Object.entries(start).map(([name, chance]) => [name, chance * (1 - share)])
      const trust = walkTrust(aGraph({ ...Object.fromEntries(parts), v: share }, edges))
      const crowded = ['s1', 's2', 's3', 's4'].map((name) => trust.get(named(name))?.score ?? 0)
      const together = crowded.reduce((sum, score) => sum + score, 0)
      const v = trust.get(named('v')) ?? { score: 0, bridges: [] }
      const arrivals = v.score / bridgeKeeps ** v.bridges.length
      expect(together).toBeLessThanOrEqual((goesOn + goesOn ** 2) * bridgeKeeps * arrivals + 1e-12)
      expect(together).toBeLessThanOrEqual(0.75 * v.score + 1e-12)
    }),
    { numRuns: 1_000 },
  )
})

/** Sybils of mallory's who praise each other and him; he is trusted as much as whom alice and bob speak well of. */
function besieged(sybils: number, mallory: number): TrustGraph {
  const names = Array.from({ length: sybils }, (_, i) => `sybil ${i}`)
  const ring = names.flatMap((name, i): Edge[] => [
    ['mallory', name],
    [name, 'mallory'],
    [name, names[(i + 1) % sybils]!],
    [name, names[(i * 7 + 3) % sybils]!],
  ])
  const honest: Edge[] = [
    ['alice', 'carol'],
    ['bob', 'carol'],
    ['alice', 'mallory', 0.1],
  ]
  const edges = [...honest, ...ring].filter(([from, to]) => from !== to)
  return aGraph({ alice: 0.4, bob: 0.4, mallory }, edges)
}

describe('Sybils behind one who is trusted', () => {
  test.each([10, 100, 1_000, 10_000])('score less than a fifth of him, all %i of them together', (sybils) => {
    const trust = walkTrust(besieged(sybils, 0.2))
    const alone = scoreIn(besieged(0, 0.2), 'mallory')
    const gained = [...trust].filter(([name]) => name.startsWith('identity:sybil')).map(([, { score }]) => score)
    const together = gained.reduce((sum, score) => sum + score, 0)
    expect(gained).toHaveLength(sybils)
    expect(together).toBeGreaterThan(0)
    expect(together).toBeLessThanOrEqual((goesOn + goesOn ** 2) * bridgeKeeps * alone + 1e-12)
    expect(Math.max(...gained)).toBeLessThan(trust.get(named('carol'))!.score)
    // Nor does he gain anything by them, or take anything from the honest.
    expect(trust.get(named('mallory'))!.score).toBe(alone)
    expect(trust.get(named('carol'))!.score).toBe(scoreIn(besieged(0, 0.2), 'carol'))
  })

  test.each([10, 10_000])(
    'score less than a fifth of him also where he himself is known by one other only: %i',
    (sybils) => {
      const names = Array.from({ length: sybils }, (_, i) => `sybil ${i}`)
      const trust = walkTrust(
        aGraph({ alice: 0.5 }, [['alice', 'mallory'], ...names.map((name): Edge => ['mallory', name])]),
      )
      const together = names.reduce((sum, name) => sum + trust.get(named(name))!.score, 0)
      expect(trust.get(named('mallory'))!.score).toBe(0.0625)
      expect(together).toBeGreaterThan(0)
      expect(together).toBeLessThanOrEqual((goesOn + goesOn ** 2) * bridgeKeeps * 0.0625)
    },
  )

  test('score no more than he does where he has several doors, so that no single one is a bridge', () => {
    const sybils = Array.from({ length: 1_000 }, (_, i) => `sybil ${i}`)
    const doors = ['door 1', 'door 2']
    const trust = walkTrust(
      aGraph(
        { 'door 1': 0.1, 'door 2': 0.1 },
        doors.flatMap((door) => sybils.map((sybil): Edge => [door, sybil])),
      ),
    )
    const together = sybils.reduce((sum, sybil) => sum + trust.get(named(sybil))!.score, 0)
    expect(together).toBeGreaterThan(0)
    expect(together).toBeLessThanOrEqual((goesOn + goesOn ** 2) * 0.2)
  })

  test('score nothing while nobody trusts him', () => {
    const graph = besieged(100, 0)
    const cut = { ...graph, edges: new Map([...graph.edges].filter(([from]) => from !== named('alice'))) }
    const sybils = [...walkTrust(cut)].filter(([name, { score }]) => name.startsWith('identity:sybil') && score > 0)
    expect(sybils).toEqual([])
  })
})
