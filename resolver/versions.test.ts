import { describe, expect, it } from 'vitest'
import type { Card } from './cards.ts'
import { aCard } from './card.fixture.ts'
import { groupReleases } from './release-groups.ts'
import type { Selection } from './release-groups.ts'
import type { Wanted } from './version-rules.ts'
import { solveReleases } from './versions.ts'

const requires = (...pairs: string[]) =>
  pairs.map((pair) => ({ name: pair.split('@')[0]!, range: pair.split('@')[1]! }))

/** `name@version` and what it requires, as `name@range`. */
const release = (id: string, ...needs: string[]): Card => {
  const [name, version] = id.split('@') as [string, string]
  return aCard({ name, version, requires: requires(...needs) })
}

const wish = (text: string): Wanted => {
  const [key, range] = text.split('@') as [string, string?]
  return range === undefined ? { key } : { key, range }
}

/** Ids of the releases, or why there are none. */
function solve(cards: readonly Card[], wishes: readonly string[], selection?: Selection): string[] | string {
  const solution = solveReleases(wishes.map(wish), groupReleases(cards, selection))
  if (solution.kind === 'too-hard') return 'too hard'
  if (solution.kind === 'unsatisfiable') return solution.reason
  return [...new Set(Array.from(solution.releases.values(), ({ id }) => id))].toSorted()
}

describe('releases', () => {
  it('are the highest by semantic version, not by text, and no prereleases', () => {
    const cards = ['1.9.0', '1.10.0', '2.0.0-rc.1', '0.9.9'].map((version) => release(`biology@${version}`))
    expect(solve(cards, ['biology'])).toEqual(['biology@1.10.0'])
    expect(solve(cards, ['biology@<1'])).toEqual(['biology@0.9.9'])
    expect(solve(cards, ['biology@2.0.0-rc.1'])).toEqual(['biology@2.0.0-rc.1'])
    expect(solve(cards, ['biology', 'biology@2.0.0-rc.1'])).toEqual(['biology@2.0.0-rc.1'])
  })

  it('of equal versions are the one with the smaller id', () => {
    const twins = ['f', 'a', 'c'].map((id) => aCard({ name: 'biology', version: '1.0.0', id }))
    expect(solve(twins, ['biology'])).toEqual(['a'])
    expect(solve(twins.toReversed(), ['biology'])).toEqual(['a'])
  })

  it('bring what they require, and what that requires, in circles too', () => {
    const cards = [
      release('biology@1.0.0', 'chemistry@^2'),
      release('chemistry@2.1.0', 'units@1'),
      release('chemistry@3.0.0'),
      release('units@1.4.0', 'biology@*', 'units@^1'),
    ]
    expect(solve(cards, ['biology'])).toEqual(['biology@1.0.0', 'chemistry@2.1.0', 'units@1.4.0'])
    const solution = solveReleases([{ key: 'biology' }], groupReleases(cards))
    expect(solution).toMatchObject({
      requiredBy: new Map([
        ['chemistry', ['biology']],
        ['units', ['chemistry', 'units']],
        ['biology', ['units']],
      ]),
    })
  })

  it('give way to older ones where only those go together', () => {
    const cards = [
      release('a@2.0.0', 'c@^2'),
      release('a@1.0.0', 'c@^1'),
      release('b@1.0.0', 'c@^1'),
      release('c@1.0.0'),
      release('c@2.0.0'),
    ]
    expect(solve(cards, ['a', 'b'])).toEqual(['a@1.0.0', 'b@1.0.0', 'c@1.0.0'])
    expect(solve(cards, ['b', 'a'])).toEqual(['a@1.0.0', 'b@1.0.0', 'c@1.0.0'])
  })

  it('are as good for the first wish as they can be, then for the next', () => {
    const cards = [
      release('a@2.0.0', 'c@^1'),
      release('a@1.0.0', 'c@^2'),
      release('b@2.0.0', 'c@^2'),
      release('b@1.0.0', 'c@^1'),
      release('c@1.0.0'),
      release('c@2.0.0'),
    ]
    expect(solve(cards, ['a', 'b'])).toEqual(['a@2.0.0', 'b@1.0.0', 'c@1.0.0'])
    expect(solve(cards, ['b', 'a'])).toEqual(['a@1.0.0', 'b@2.0.0', 'c@2.0.0'])
  })

  it('of strangers are found by publisher, and their bare requirements there too when the community has none', () => {
    const stranger = { member: false, publisher: 'eve' }
    const cards = [
      aCard({ ...stranger, name: 'biology', id: 'eve-biology', requires: requires('units@*') }),
      aCard({ ...stranger, name: 'units', id: 'eve-units' }),
      aCard({ name: 'law', publisher: 'ann', id: 'ann-law' }),
    ]
    expect(solve(cards, ['eve/biology'])).toEqual(['eve-biology', 'eve-units'])
    expect(solve([...cards, aCard({ name: 'units', id: 'our-units' })], ['eve/biology'])).toEqual([
      'eve-biology',
      'our-units',
    ])
    expect(solve(cards, ['biology'])).toBe('biology is asked for, and no release of it is known for this base.')
    expect(solve(cards, ['ann/law', 'law'])).toEqual(['ann-law'])
  })

  it('of one publisher and name are had in one version, whichever of its names is asked for', () => {
    const ann = { name: 'law', publisher: 'ann' }
    const cards = [
      aCard({ ...ann, version: '2.0.0', id: 'ann-2' }),
      aCard({ ...ann, version: '1.0.0', id: 'ann-1' }),
      aCard({ name: 'law', publisher: 'bob', version: '1.5.0', id: 'bob' }),
    ]
    expect(solve(cards, ['ann/law', 'law'])).toEqual(['ann-2'])
    expect(solve(cards, ['ann/law@^1', 'law'])).toEqual(['ann-1', 'bob'])
    expect(solve(cards.slice(0, 2), ['ann/law@^1', 'law@^2'])).toBe(
      "ann/law@^1 is asked for; law@^2 is asked for; law and ann/law are one capability, of which one version is had at a time. So ann/law and law can't be had together.",
    )
  })

  it('that are withdrawn are left out, unless a lockfile names them', () => {
    const cards = [{ ...release('law@2.0.0'), withdrawn: 'cites courts that never were' }, release('law@1.0.0')]
    expect(solve(cards, ['law'])).toEqual(['law@1.0.0'])
    expect(solve(cards, ['law'], { pinned: new Set(['law@2.0.0']) })).toEqual(['law@2.0.0'])
    expect(solve(cards, ['law@^2'])).toBe(
      'law@^2 is asked for, and law@2.0.0 is withdrawn: "cites courts that never were".',
    )
    expect(solve(cards.slice(0, 1), ['law'])).toBe(
      'law is asked for, and law@2.0.0 is withdrawn: "cites courts that never were".',
    )
  })

  it('of the channel are the only ones that a bare wish means, and the first that a range does', () => {
    const cards = ['3.0.0', '2.0.0', '1.0.0'].map((version) => release(`law@${version}`))
    const channel = (id: string) => ({ preferred: new Map([['law', id]]) })
    const needy = release('tax@1.0.0', 'law@>=3')
    expect(solve(cards, ['law'], channel('law@2.0.0'))).toEqual(['law@2.0.0'])
    expect(solve(cards, ['law@*'], channel('law@2.0.0'))).toEqual(['law@2.0.0'])
    expect(solve(cards, ['law@>=3'], channel('law@2.0.0'))).toEqual(['law@3.0.0'])
    expect(solve([...cards, needy], ['law', 'tax'], channel('law@2.0.0'))).toBe(
      "law is asked for, for which the community's channel names law@2.0.0, but tax@1.0.0 needs law@>=3. So law and tax can't be had together.",
    )
    expect(solve(cards, ['law'], channel('law@9.0.0'))).toMatch(
      /channel names another release, and only 3.0.0, 2.0.0, 1.0.0 are known/,
    )
  })
})

describe('a failure', () => {
  const cs = [release('c@1.0.0'), release('c@2.0.0')]

  it('says who needs what of the thing that it clashes over', () => {
    expect(solve([release('a@1.0.0', 'c@^2'), release('b@1.0.0', 'c@^1'), ...cs], ['a', 'b'])).toBe(
      "a@1.0.0 needs c@^2, but b@1.0.0 needs c@^1. So a and b can't be had together.",
    )
  })

  it('says what is not there', () => {
    expect(solve([release('a@1.0.0', 'd@^2')], ['a'])).toBe(
      "a@1.0.0 needs d@^2, and no release of it is known for this base. So a can't be had.",
    )
    expect(solve(cs, ['c@^3'])).toBe('c@^3 is asked for, and only 2.0.0, 1.0.0 are known for this base.')
    expect(solve([release('c@1.0.0-rc.1')], ['c'])).toBe(
      'c is asked for, which allows no prerelease, and only 1.0.0-rc.1 is known for this base.',
    )
    const between = [release('a@1.0.0', 'c@>1.0.0'), release('b@1.0.0', 'c@<2.0.0'), ...cs]
    expect(solve(between, ['a', 'b'])).toBe(
      "a@1.0.0 needs c@>1.0.0, but b@1.0.0 needs c@<2.0.0, and only 2.0.0, 1.0.0 are known for this base. So a and b can't be had together.",
    )
  })

  it('follows the chain from the wishes to the clash, and names versions together', () => {
    const cards = [
      release('a@2.0.0', 'x@*'),
      release('a@1.0.0', 'x@*'),
      release('x@1.0.0', 'c@^2'),
      release('b@1.0.0', 'c@^1'),
      ...['1', '2', '3', '4'].map((major) => release(`z@${major}.0.0`, 'nowhere@1')),
      ...cs,
    ]
    expect(solve(cards, ['b', 'a'])).toBe(
      "a@2.0.0 and 1.0.0 need x@*; b@1.0.0 needs c@^1, but x@1.0.0 needs c@^2. So a and b can't be had together.",
    )
    expect(solve(cards, ['z', 'a'])).toBe(
      "all 4 versions of z need nowhere@1, and no release of it is known for this base. So z can't be had.",
    )
  })

  it('tells apart what releases of one key want instead of each other', () => {
    const cards = [
      release('a@2.0.0', 'c@^2'),
      release('a@1.0.0', 'c@^3'),
      release('b@1.0.0', 'c@^1'),
      ...['1', '2', '3', '4'].map((major) => release(`d@${major}.0.0`, `e@^${major}`)),
      release('f@1.0.0', 'e@>4'),
      ...['1', '2', '3', '4', '5'].map((major) => release(`e@${major}.0.0`)),
      ...cs,
    ]
    expect(solve(cards, ['a', 'b'])).toBe(
      "a@2.0.0 needs c@^2 and a@1.0.0 needs c@^3, but b@1.0.0 needs c@^1, and only 2.0.0, 1.0.0 are known for this base. So a and b can't be had together.",
    )
    expect(solve(cards, ['d', 'f'])).toBe(
      "all 4 versions of d need e (^4, ^3 or one of 2 more ranges), but f@1.0.0 needs e@>4. So d and f can't be had together.",
    )
    expect(solve(cards, ['d@>=3', 'f'])).toBe(
      "d@>=3 is asked for; d@4.0.0 needs e@^4 and d@3.0.0 needs e@^3, but f@1.0.0 needs e@>4. So d and f can't be had together.",
    )
    const alike = ['1', '2', '3'].map((major) => release(`g@${major}.0.0`, 'e@^1'))
    expect(solve([...cards, ...alike], ['g@^2', 'f'])).toBe(
      "g@^2 is asked for; f@1.0.0 needs e@>4, but g@2.0.0 needs e@^1. So f and g can't be had together.",
    )
  })

  it('names the withdrawn release that would have done', () => {
    const cards = [
      release('a@1.0.0', 'c@>=1'),
      release('b@1.0.0', 'c@<2'),
      { ...release('c@1.5.0'), withdrawn: 'w'.repeat(500) },
      release('c@2.0.0'),
      release('c@0.9.0'),
    ]
    expect(solve(cards, ['a', 'b'])).toBe(
      `a@1.0.0 needs c@>=1, but b@1.0.0 needs c@<2, and c@1.5.0 is withdrawn: "${'w'.repeat(120)}…". So a and b can't be had together.`,
    )
  })

  it('shows the beginning of a publisher only', () => {
    const publisher = 'e'.repeat(52)
    const cards = [aCard({ name: 'law', publisher, member: false, requires: requires('latin@^2') })]
    expect(solve(cards, [`${publisher}/law`])).toBe(
      "eeeeeeee…/law@1.0.0 needs eeeeeeee…/latin@^2, and no release of it is known for this base. So eeeeeeee…/law can't be had.",
    )
  })

  it('leaves out what has no part in it', () => {
    const cards = [
      release('wine@2.0.0', 'grape@^2'),
      release('wine@1.0.0', 'grape@^1'),
      release('grape@2.0.0', 'c@1.0.0'),
      release('grape@1.0.0', 'c@2.0.0'),
      release('a@1.0.0', 'c@^2'),
      release('b@1.0.0', 'c@^1'),
      ...cs,
    ]
    const solution = solveReleases(['wine', 'a', 'b'].map(wish), groupReleases(cards))
    expect(solution).toMatchObject({ kind: 'unsatisfiable', wishes: ['a', 'b'] })
  })

  it('over many things tells eight of them and counts the rest', () => {
    const chain = Array.from({ length: 20 }, (_, i) => release(`n${i}@1.0.0`, `n${i + 1}@^1`))
    const text = solve(chain, ['n0']) as string
    expect(text.split('; ')).toHaveLength(9)
    expect(text).toMatch(/; and 12 more requirements\. So n0 can't be had\.$/)
  })

  it('says with how many releases a persona would have too many', () => {
    const chain = Array.from({ length: 200 }, (_, i) => release(`n${i}@1.0.0`, `n${(i + 1) % 200}@*`))
    expect(solve(chain, ['n0'])).toBe(
      'What is asked for and what it requires come to 200 releases; at most 64 go together.',
    )
  })
})

/** One hole too few: each pigeon's versions are the holes, and a hole's versions the pigeons that it is for. */
function pigeonholes(holes: number): { cards: Card[]; wishes: string[] } {
  const pigeons = Array.from({ length: holes + 1 }, (_, i) => i + 1)
  const places = pigeons.slice(0, holes)
  return {
    cards: [
      ...pigeons.flatMap((pigeon) =>
        places.map((hole) => release(`pigeon${pigeon}@${hole}.0.0`, `hole${hole}@${pigeon}.0.0`)),
      ),
      ...places.flatMap((hole) => pigeons.map((pigeon) => release(`hole${hole}@${pigeon}.0.0`))),
    ],
    wishes: pigeons.map((pigeon) => `pigeon${pigeon}`),
  }
}

describe('graphs made to be hard', () => {
  it('are solved while they are small', () => {
    const { cards, wishes } = pigeonholes(4)
    expect(solve(cards, wishes)).toMatch(/So pigeon1, pigeon2, pigeon3, pigeon4 and pigeon5 can't be had together\.$/)
    expect(solve(cards, wishes.slice(1))).toHaveLength(8)
  })

  it.each([9, 15, 30])('are given up after the steps allowed: a pigeon more than %i holes', (holes) => {
    const { cards, wishes } = pigeonholes(holes)
    const solution = solveReleases(wishes.map(wish), groupReleases(cards), 20_000)
    // A conflict is followed to its end: in steps, at most the keys of what was learnt for each choice that is undone.
    expect(solution).toEqual({ kind: 'too-hard', steps: expect.any(Number) as number })
    expect(solution.steps).toBeGreaterThan(20_000)
    expect(solution.steps).toBeLessThan(40_000)
  })

  it('do not make a search of every combination where one look back is enough', () => {
    // 12 to the power of 8 combinations, all failing at the last name.
    const tangle = Array.from({ length: 8 }, (_, i) =>
      Array.from({ length: 12 }, (_, minor) => release(`m${i}@1.${minor}.0`, i < 7 ? `m${i + 1}@*` : 'nobody@*')),
    ).flat()
    const solution = solveReleases([{ key: 'm0' }], groupReleases(tangle))
    expect(solution).toMatchObject({ kind: 'unsatisfiable', reason: expect.stringContaining('nobody@*') as string })
    expect(solution.steps).toBeLessThan(200)
  })

  it('cost no more where ranges are many than where choices are', () => {
    const majors = Array.from({ length: 1_000 }, (_, i) => i + 1)
    const cards = [
      release('a@1.0.0', 'c@^1001'),
      ...majors.map((major) =>
        release(`b@${major}.0.0`, ...Array.from({ length: 8 }, (_, i) => `c@^${major} || 0.${i}.0`)),
      ),
      ...majors.map((major) => release(`c@${major}.0.0`)),
      release('c@1001.0.0'),
    ]
    const solution = solveReleases(['a', 'b'].map(wish), groupReleases(cards), 50_000)
    expect(solution.kind).toBe('too-hard')
    expect(solution.steps).toBeLessThan(60_000)
  })

  it('are looked at up to 1,024 releases of a key, and what lockfiles name beyond', () => {
    const cards = Array.from({ length: 1_100 }, (_, i) => release(`a@${i + 1}.0.0`))
    expect(solve(cards, ['a@<=77'])).toEqual(['a@77.0.0'])
    expect(solve(cards, ['a@<=76'])).toMatch(/and only 1100\.0\.0, .* are known/)
    expect(solve(cards, ['a@<=76'], { pinned: new Set(['a@5.0.0']) })).toEqual(['a@5.0.0'])
  })

  it('with many ways that do not matter between a choice and its conflict go back to the choice', () => {
    // Eight wishes of ten versions each, decided between x and what contradicts x's newest version.
    const filler = Array.from({ length: 8 }, (_, i) =>
      Array.from({ length: 10 }, (_, major) => release(`f${i}@${major}.0.0`, `g${i}@*`)),
    ).flat()
    const cards = [
      ...filler,
      ...Array.from({ length: 8 }, (_, i) => ['1.0.0', '2.0.0'].map((version) => release(`g${i}@${version}`))).flat(),
      release('x@2.0.0', 'late@*'),
      release('x@1.0.0'),
      release('late@1.0.0', 'later@*'),
      release('later@1.0.0', 'f0@0.0.0', 'f0@1.0.0'),
    ]
    const solution = solveReleases(
      ['x', ...Array.from({ length: 8 }, (_, i) => `f${i}`)].map(wish),
      groupReleases(cards),
    )
    expect(solution.kind === 'solved' && solution.releases.get('x')?.version).toBe('1.0.0')
    expect(solution.kind === 'solved' && solution.releases.get('f0')?.version).toBe('9.0.0')
    expect(solution.steps).toBeLessThan(500)
  })
})
