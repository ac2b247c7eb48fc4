// From the derivation of a contradiction to the few facts that already contradict each other: none of them can be left out.
import { searchVersions } from './search-versions.ts'
import type { Fact, Nogood, VersionRules } from './version-rules.ts'

/** Steps for leaving facts out; what is still there then is shown as it is. */
const maxSteps = 20_000

/** The facts that a contradiction follows from, reduced to a set of which each is needed. */
export function conflictCore(contradiction: Nogood, rules: VersionRules): Fact[] {
  const core = new Set(factsBehind(contradiction))
  let left = maxSteps
  for (const fact of Array.from(core)) {
    if (left <= 0) break
    if (!core.delete(fact)) continue
    const result = searchVersions(restrictedTo(rules, core), left)
    left -= result.steps
    if (result.kind !== 'contradiction') {
      core.add(fact)
      continue
    }
    const enough = new Set(factsBehind(result.nogood))
    for (const other of core) if (!enough.has(other)) core.delete(other)
  }
  return [...core]
}

function factsBehind(contradiction: Nogood): Fact[] {
  const facts = new Set<Fact>()
  const seen = new Set<Nogood>()
  const open = [contradiction]
  for (let nogood = open.pop(); nogood !== undefined; nogood = open.pop()) {
    if (seen.has(nogood)) continue
    seen.add(nogood)
    if ('kind' in nogood.origin) facts.add(nogood.origin)
    else open.push(...nogood.origin)
  }
  return [...facts]
}

/** The rules as if only these facts were given. */
export function restrictedTo(rules: VersionRules, facts: ReadonlySet<Fact>): VersionRules {
  const isKept = ({ origin }: Nogood): boolean => 'kind' in origin && facts.has(origin)
  return {
    ...rules,
    wishes: rules.wishes.filter(isKept),
    entailed: (key, index) => rules.entailed(key, index).filter(isKept),
    requirements: (key) => Array.from(rules.requirements(key)).filter(isKept),
  }
}
