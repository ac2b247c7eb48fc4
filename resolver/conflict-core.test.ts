import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aCard } from './card.fixture.ts'
import type { Card } from './cards.ts'
import { conflictCore, restrictedTo } from './conflict-core.ts'
import { groupReleases } from './release-groups.ts'
import { searchVersions } from './search-versions.ts'
import type { Fact } from './version-rules.ts'
import { createRules } from './version-rules.ts'

const names = ['a', 'b', 'c', 'd', 'e']
const majors = ['1', '2', '3']
const enough = 100_000

const requirements = fc.array(
  fc.record({ name: fc.constantFrom(...names), range: fc.constantFrom('^1', '^2', '^3', '>=2', '<3') }),
  { minLength: 1, maxLength: 3 },
)

/** Every name in every version, each with requirements: where these clash, the search has seldom been the shortest way to see it. */
const aTangle: fc.Arbitrary<Card[]> = fc
  .array(requirements, { minLength: names.length * majors.length, maxLength: names.length * majors.length })
  .map((all) =>
    all.map((requires, i) =>
      aCard({ name: names[i % names.length]!, version: `${majors[Math.floor(i / names.length)]}.0.0`, requires }),
    ),
  )

describe('the core of a conflict', () => {
  it('is contradictory by itself, and no longer so without any one of its facts', () => {
    fc.assert(
      fc.property(aTangle, (cards) => {
        const rules = createRules([{ key: 'a' }, { key: 'b' }, { key: 'c' }], groupReleases(cards))
        const result = searchVersions(rules, enough)
        fc.pre(result.kind === 'contradiction')
        const core = conflictCore(result.nogood, rules)
        const kindOf = (facts: readonly Fact[]): string =>
          searchVersions(restrictedTo(rules, new Set(facts)), enough).kind
        expect(kindOf(core)).toBe('contradiction')
        for (const fact of core) expect(kindOf(core.filter((other) => other !== fact))).toBe('solved')
      }),
      { numRuns: 400 },
    )
  })
})
