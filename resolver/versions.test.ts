import fc from 'fast-check'
import semver from 'semver'
import { describe, expect, it } from 'vitest'
import type { Card } from './cards.ts'
import { aCard } from './card.fixture.ts'
import { groupReleases, solveReleases } from './versions.ts'
import type { Wanted } from './versions.ts'

const requires = (...pairs: string[]) =>
  pairs.map((pair) => ({ name: pair.split('@')[0]!, range: pair.split('@')[1]! }))

function solve(cards: readonly Card[], ...wanted: (string | Wanted)[]): string[] | string {
  const solution = solveReleases(
    wanted.map((want) => (typeof want === 'string' ? { key: want } : want)),
    groupReleases(cards),
  )
  if (solution.kind === 'unsatisfiable') return solution.reason
  return [...solution.releases.values()].map(({ id }) => id).toSorted()
}

describe('releases', () => {
  it('are the highest by semantic version, not by text, and no prereleases', () => {
    const cards = ['1.9.0', '1.10.0', '2.0.0-rc.1', '0.9.9'].map((version) => aCard({ name: 'biology', version }))
    expect(solve(cards, 'biology')).toEqual(['biology@1.10.0'])
    expect(solve(cards, { key: 'biology', range: '<1' })).toEqual(['biology@0.9.9'])
    expect(solve(cards, { key: 'biology', range: '2.0.0-rc.1' })).toEqual(['biology@2.0.0-rc.1'])
    expect(solve(cards, { key: 'biology', range: '2.0.0-rc.1' }, 'biology')).toEqual(['biology@2.0.0-rc.1'])
  })

  it('of equal versions are the one with the smaller id', () => {
    const twins = ['f', 'a', 'c'].map((id) => aCard({ name: 'biology', version: '1.0.0', id }))
    expect(solve(twins, 'biology')).toEqual(['a'])
    expect(solve(twins.toReversed(), 'biology')).toEqual(['a'])
  })

  it('bring what they require, and what that requires', () => {
    const cards = [
      aCard({ name: 'biology', requires: requires('chemistry@^2') }),
      aCard({ name: 'chemistry', version: '2.1.0', requires: requires('units@1') }),
      aCard({ name: 'chemistry', version: '3.0.0' }),
      aCard({ name: 'units', version: '1.4.0', requires: requires('biology@*') }),
    ]
    expect(solve(cards, 'biology')).toEqual(['biology@1.0.0', 'chemistry@2.1.0', 'units@1.4.0'])
  })

  it('give way to older ones where only those go together', () => {
    const cards = [
      aCard({ name: 'a', version: '2.0.0', requires: requires('c@^2') }),
      aCard({ name: 'a', version: '1.0.0', requires: requires('c@^1') }),
      aCard({ name: 'b', requires: requires('c@^1') }),
      aCard({ name: 'c', version: '1.0.0' }),
      aCard({ name: 'c', version: '2.0.0' }),
    ]
    expect(solve(cards, 'a', 'b')).toEqual(['a@1.0.0', 'b@1.0.0', 'c@1.0.0'])
    expect(solve(cards, 'b', 'a')).toEqual(['a@1.0.0', 'b@1.0.0', 'c@1.0.0'])
  })

  it('that cannot be had together are refused with who wants what', () => {
    const cards = [
      aCard({ name: 'a', requires: requires('c@^2') }),
      aCard({ name: 'b', requires: requires('c@^1') }),
      aCard({ name: 'c', version: '1.0.0' }),
      aCard({ name: 'c', version: '2.0.0' }),
    ]
    expect(solve(cards, 'a', 'b')).toBe('b requires c@^1, but c@2.0.0 is needed beside it')
    expect(solve([aCard({ name: 'a', requires: requires('d@^2') })], 'a')).toBe(
      'a requires d@^2, and no release of it is known for this base',
    )
    expect(solve(cards, { key: 'c', range: '^3' })).toBe(
      'c@^3 is asked for, and only 2.0.0, 1.0.0 is known for this base',
    )
  })

  it('of strangers are found by publisher, and their bare requirements at the same publisher when the community has none', () => {
    const stranger = { member: false, publisher: 'eve' }
    const cards = [
      aCard({ ...stranger, name: 'biology', id: 'eve-biology', requires: requires('units@*') }),
      aCard({ ...stranger, name: 'units', id: 'eve-units' }),
      aCard({ name: 'law', publisher: 'ann', id: 'ann-law' }),
    ]
    expect(solve(cards, 'eve/biology')).toEqual(['eve-biology', 'eve-units'])
    expect(solve([...cards, aCard({ name: 'units', id: 'our-units' })], 'eve/biology')).toEqual([
      'eve-biology',
      'our-units',
    ])
    expect(solve(cards, 'biology')).toMatch(/no release of it is known/)
    expect(solve(cards, 'ann/law', 'law')).toEqual(['ann-law', 'ann-law'])
  })

  it('that require each other without end are bounded', () => {
    const chain = Array.from({ length: 200 }, (_, i) => aCard({ name: `n${i}`, requires: requires(`n${i + 1}@*`) }))
    expect(solve(chain, 'n0')).toMatch(/more than 64 releases/)
    // Every choice fails only at the last name: 12^8 combinations.
    const tangle = Array.from({ length: 8 }, (_, i) =>
      Array.from({ length: 12 }, (_, minor) =>
        aCard({ name: `m${i}`, version: `1.${minor}.0`, requires: requires(i < 7 ? `m${i + 1}@*` : 'nobody@*') }),
      ),
    ).flat()
    expect(solve(tangle, 'm0')).toMatch(/nobody|combinations/)
  })

  it('satisfy every range that led to them', () => {
    const names = ['a', 'b', 'c', 'd']
    const card = fc.record({
      name: fc.constantFrom(...names),
      major: fc.integer({ min: 1, max: 3 }),
      needs: fc.array(
        fc.record({ name: fc.constantFrom(...names), range: fc.constantFrom('*', '^1', '^2', '>=2', '<3') }),
        { maxLength: 2 },
      ),
    })
    fc.assert(
      fc.property(fc.array(card, { maxLength: 12 }), fc.subarray(names, { minLength: 1 }), (specs, wanted) => {
        const cards = new Map(
          specs.map(({ name, major, needs }) => [
            `${name}@${major}`,
            aCard({ name, version: `${major}.0.0`, requires: needs }),
          ]),
        )
        const groups = groupReleases([...cards.values()])
        const solution = solveReleases(
          wanted.map((key) => ({ key })),
          groups,
        )
        if (solution.kind === 'unsatisfiable') {
          expect(existsSolution(wanted, groups)).toBe(false)
          return
        }
        for (const name of wanted) expect(solution.releases.has(name)).toBe(true)
        for (const chosen of solution.releases.values()) {
          for (const { name, range } of chosen.requires)
            expect(semver.satisfies(solution.releases.get(name)!.version, range)).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** Every choice of one release or none per name, checked against the definition. */
function existsSolution(wanted: readonly string[], groups: ReadonlyMap<string, readonly Card[]>): boolean {
  let choices: Map<string, Card>[] = [new Map()]
  for (const [name, group] of groups)
    choices = choices.flatMap((some) => [some, ...group.map((card) => new Map([...some, [name, card]]))])
  return choices.some(
    (some) =>
      wanted.every((name) => some.has(name)) &&
      [...some.values()].every(({ requires }) =>
        requires.every(({ name, range }) => some.has(name) && semver.satisfies(some.get(name)!.version, range)),
      ),
  )
}
