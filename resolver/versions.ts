// Which release of each capability: the best that satisfy what is asked and what the others require, all at once.
import type { Card } from './cards.ts'
import { conflictCore } from './conflict-core.ts'
import { conflictText } from './conflict-text.ts'
import type { ReleaseGroups, ReleaseKey } from './release-groups.ts'
import { searchVersions } from './search-versions.ts'
import { createRules, requiredKey } from './version-rules.ts'
import type { Fact, Wanted } from './version-rules.ts'

export type Solution =
  | {
      readonly kind: 'solved'
      /** In the order in which they were decided. */
      readonly releases: ReadonlyMap<ReleaseKey, Card>
      readonly requiredBy: ReadonlyMap<ReleaseKey, readonly ReleaseKey[]>
      readonly steps: number
    }
  | {
      readonly kind: 'unsatisfiable'
      /** One paragraph. */
      readonly reason: string
      /** The wishes that it is about: at least one of them must be given up. */
      readonly wishes: readonly ReleaseKey[]
      readonly steps: number
    }
  | { readonly kind: 'too-hard'; readonly steps: number }

/** Steps of the search before a tangle of ranges is given up: hostile releases must not cost more. A few tenths of a second. */
export const defaultMaxSteps = 500_000
/** Most releases of one persona, required ones included. */
const maxReleases = 64

/**
 * One release per key for all of `wanted` and, transitively, what those releases require. Complete: finds a solution where there is one,
 * unless `maxSteps` end before. Of all solutions it is the one that comes first in this order: the first wish has its best release that
 * is part of any solution; given that one, so has the second, and so on through the wishes and then, breadth first, through what
 * the chosen releases require, in the order in which they name it. Releases of one key, at most 1,024 of them, are ordered as
 * `ReleaseGroup.cards` says. A solution of more than 64 releases is none; others with fewer are not looked for.
 */
export function solveReleases(
  wanted: readonly Wanted[],
  groups: ReleaseGroups,
  maxSteps: number = defaultMaxSteps,
): Solution {
  const rules = createRules(wanted, groups)
  const result = searchVersions(rules, maxSteps)
  if (result.kind === 'too-hard') return result
  const { steps } = result
  if (result.kind === 'contradiction') {
    const core = conflictCore(result.nogood, rules)
    return { kind: 'unsatisfiable', reason: conflictText(core, rules, groups), wishes: wishesAmong(core), steps }
  }
  const releases = new Map<ReleaseKey, Card>()
  for (const [key, index] of result.indexes) releases.set(key, groups.get(key)!.cards[index]!)
  const count = new Set(Array.from(releases.values(), ({ id }) => id)).size
  if (count > maxReleases) {
    const reason = `What is asked for and what it requires come to ${count} releases; at most ${maxReleases} go together.`
    return {
      kind: 'unsatisfiable',
      reason,
      wishes: wishesAmong(rules.wishes.map(({ origin }) => origin as Fact)),
      steps,
    }
  }
  return { kind: 'solved', releases, requiredBy: requiredByOf(releases, groups), steps }
}

function wishesAmong(facts: readonly Fact[]): ReleaseKey[] {
  return [...new Set(facts.flatMap((fact) => (fact.kind === 'wish' ? [fact.key] : [])))]
}

function requiredByOf(releases: ReadonlyMap<ReleaseKey, Card>, groups: ReleaseGroups): Map<ReleaseKey, ReleaseKey[]> {
  const requiredBy = new Map<ReleaseKey, ReleaseKey[]>()
  for (const [key, card] of releases) {
    for (const needed of new Set(card.requires.map((required) => requiredKey(required, card, groups)))) {
      const dependents = requiredBy.get(needed)
      if (dependents === undefined) requiredBy.set(needed, [key])
      else dependents.push(key)
    }
  }
  return requiredBy
}
