// Why releases can't be had together, in one paragraph: who needs what, key by key from the wishes to where it clashes.
import semver from 'semver'
import { withdrawnRelease } from './release-groups.ts'
import type { ReleaseGroups, ReleaseKey } from './release-groups.ts'
import type { Fact, States, VersionRules } from './version-rules.ts'

/** Who wants what is told this many times; of a longer story the rest is counted. */
const shownSides = 8
const shownRanges = 2
const shownVersions = 5
const publisherShownChars = 8
const reasonShownChars = 120

type OneVersion = Fact & { readonly kind: 'one version' }
type Demand = Exclude<Fact, OneVersion>

/** What one party wants of a key: a wish, or what the releases of another key require, each in its own range perhaps. */
interface Side {
  readonly target: ReleaseKey
  /** At least one; a release that satisfies any of them is content. */
  readonly demands: readonly [Demand, ...Demand[]]
}

/** A paragraph for a set of facts that contradict each other. The same for the same set, in whatever order. */
export function conflictText(core: readonly Fact[], rules: VersionRules, groups: ReleaseGroups): string {
  const sides = sidesOf(inOrder(core))
  const told = sides.filter(isTold)
  const clauses = [...Map.groupBy(told.slice(0, shownSides), ({ target }) => target).values()].map(clauseText)
  clauses.push(...new Set(core.filter((fact) => fact.kind === 'one version').map(sameCapabilityText)))
  if (told.length > shownSides) clauses.push(`and ${told.length - shownSides} more requirements`)
  const wishes = distinct(core.flatMap((fact) => (fact.kind === 'wish' ? [labelOf(fact.key)] : []))).toSorted()
  const direct = wishes.length === 1 && core.every(({ kind }) => kind === 'wish')
  const end = direct ? '' : ` So ${listed(wishes)} can't be had${wishes.length > 1 ? ' together' : ''}.`
  return `${clauses.join('; ')}.${end}`

  /** A wish that no range comes with only opens the story, unless it is what others clash with. */
  function isTold(side: Side): boolean {
    if (side.demands[0].range !== undefined) return true
    const others = sides.filter((other) => other.target === side.target && other !== side)
    return areClashing([side, ...others]) && (others.length === 0 || !areClashing(others))
  }

  function areClashing(some: readonly Side[]): boolean {
    return some.reduce((states, side) => states & contentOf(side), rules.everything(some[0]!.target)) === 0n
  }

  function contentOf({ demands }: Side): States {
    return demands.reduce((states, demand) => states | allowedBy(demand), 0n)
  }

  function allowedBy(demand: Demand): States {
    return rules.allowed(demand.kind === 'wish' ? demand.key : demand.needed, demand.range)
  }

  function clauseText(its: readonly Side[]): string {
    const texts = its.map(sideText)
    if (!areClashing(its)) return texts.join(', and ')
    const last = texts.pop()!
    return `${texts.length === 0 ? '' : `${texts.join(', ')}, but `}${last}${offerText(its)}`
  }

  function sideText({ demands }: Side): string {
    if (demands.length <= shownRanges) return demands.map(demandText).join(' and ')
    const requirements = demands.filter((demand) => demand.kind === 'requirement')
    const { key, needed } = requirements[0]!
    const by = requirements.reduce((states, requirement) => states | requirement.by, 0n)
    const { text, many } = releasesText(key, relevantOf(key, by))
    const ranges = requirements.slice(0, shownRanges).map(({ range }) => range)
    const rest = requirements.length - shownRanges
    return `${text} ${many ? 'need' : 'needs'} ${labelOf(needed)} (${ranges.join(', ')} or one of ${rest} more ranges)`
  }

  function demandText(demand: Demand): string {
    if (demand.kind === 'requirement') return requirementText(demand)
    const { key, range } = demand
    if (range !== undefined) return `${labelOf(key)}@${range} is asked for`
    const group = groups.get(key)
    if (group?.preferred === undefined) {
      const prereleases = group?.versions.some(({ prerelease }) => prerelease.length > 0) === true
      return `${labelOf(key)} is asked for${prereleases ? ', which allows no prerelease' : ''}`
    }
    const card = [...group.cards, ...group.withdrawn].find(({ id }) => id === group.preferred)
    const named = card === undefined ? 'another release' : `${labelOf(key)}@${card.version}`
    return `${labelOf(key)} is asked for, for which the community's channel names ${named}`
  }

  function requirementText({ key, by, needed, range }: Demand & { kind: 'requirement' }): string {
    const { text, many } = releasesText(key, relevantOf(key, by))
    return `${text} ${many ? 'need' : 'needs'} ${labelOf(needed)}@${range}`
  }

  /** Of these releases those that the wishes leave, if any. */
  function relevantOf(key: ReleaseKey, states: States): States {
    const asked = core.filter((fact): fact is Demand => fact.kind === 'wish' && fact.key === key)
    const left = asked.reduce((some, wish) => some & allowedBy(wish), states)
    return left === 0n ? states : left
  }

  function releasesText(key: ReleaseKey, states: States): { text: string; many: boolean } {
    const cards = groups.get(key)!.cards
    const versions = distinct(
      cards.filter((_, index) => (states & (2n << BigInt(index))) !== 0n).map(({ version }) => version),
    )
    const name = labelOf(key)
    if (versions.length <= 3) return { text: `${name}@${versions.join(' and ')}`, many: versions.length > 1 }
    const every = versions.length === distinct(cards.map(({ version }) => version)).length
    const text = every ? `all ${versions.length} versions of ${name}` : `${versions.length} versions of ${name}`
    return { text: every ? text : `${text} (${versions[0]} to ${versions.at(-1)})`, many: true }
  }

  /** What there is of a key, where ranges alone don't show why nothing fits. */
  function offerText(its: readonly Side[]): string {
    const key = its[0]!.target
    const group = groups.get(key)
    const withdrawn = withdrawnRelease(group, its.map(rangesOf))
    if (withdrawn !== undefined) {
      const reason = shortened(withdrawn.withdrawn ?? '', reasonShownChars)
      return `, and ${labelOf(key)}@${withdrawn.version} is withdrawn${reason === '' ? '' : `: "${reason}"`}`
    }
    if (group === undefined || group.cards.length === 0) return `, and no release of it is known for this base`
    const allMet = its.every(({ demands }) => demands.every((demand) => allowedBy(demand) !== 0n))
    if (allMet && its.length > 1 && its.some((a) => its.some((b) => areDisjoint(rangesOf(a), rangesOf(b))))) return ''
    const versions = semver.rsort(distinct(group.cards.map(({ version }) => version)))
    const shown = versions.slice(0, shownVersions).join(', ') + (versions.length > shownVersions ? ', …' : '')
    return `, and only ${shown} ${versions.length === 1 ? 'is' : 'are'} known for this base`
  }
}

function rangesOf({ demands }: Side): (string | undefined)[] {
  return demands.map(({ range }) => range)
}

/** In the order of the facts; of one key's releases the best first. */
function sidesOf(facts: readonly Fact[]): Side[] {
  const demands = facts.filter((fact) => fact.kind !== 'one version')
  const sides = Map.groupBy(demands, (demand) =>
    demand.kind === 'wish' ? `${demand.key}\n${demand.range}` : `${demand.key}\n\n${demand.needed}`,
  )
  return Array.from(sides.values(), (its) => {
    const [first, ...rest] = its.toSorted(bestReleaseFirst)
    return { target: targetOf(first!), demands: [first!, ...rest] as const }
  })
}

function bestReleaseFirst(a: Demand, b: Demand): number {
  return a.kind === 'wish' || b.kind === 'wish' || (a.by & -a.by) < (b.by & -b.by) ? -1 : 1
}

/** From the wishes on, breadth first: each key's demands when the key is first reached. */
function inOrder(core: readonly Fact[]): Fact[] {
  const facts = core.toSorted(compareFacts)
  const byTarget = Map.groupBy(facts, targetOf)
  const needing = Map.groupBy(facts, ({ key }) => key)
  const reached = new Set(facts.flatMap((fact) => (fact.kind === 'wish' ? [fact.key] : [])))
  for (const key of reached) for (const fact of needing.get(key) ?? []) reached.add(targetOf(fact))
  for (const key of byTarget.keys()) reached.add(key)
  return [...reached].flatMap((key) => byTarget.get(key) ?? [])
}

function compareFacts(a: Fact, b: Fact): number {
  return textOf(a) < textOf(b) ? -1 : 1
}

/** Wishes sort first. */
function textOf(fact: Fact): string {
  if (fact.kind === 'wish') return `0 ${fact.key}\n${fact.range ?? ''}`
  if (fact.kind === 'one version') return `2 ${fact.key}\n${fact.qualified}`
  return `1 ${fact.key}\n${fact.needed}\n${fact.range}`
}

function targetOf(fact: Fact): ReleaseKey {
  return fact.kind === 'requirement' ? fact.needed : fact.key
}

function sameCapabilityText({ key, qualified }: Fact & { kind: 'one version' }): string {
  return `${labelOf(key)} and ${labelOf(qualified)} are one capability, of which one version is had at a time`
}

/** Whether no version at all is in a range of both. A channel's release, wished for without a range, is outside the other's. */
function areDisjoint(some: readonly (string | undefined)[], others: readonly (string | undefined)[]): boolean {
  return some.every((a) =>
    others.every((b) => (a === undefined) !== (b === undefined) || (a && b ? !semver.intersects(a, b) : false)),
  )
}

/** A publisher is known by the beginning of its identity. */
function labelOf(key: ReleaseKey): string {
  const slash = key.lastIndexOf('/')
  if (slash <= publisherShownChars) return key
  return `${key.slice(0, publisherShownChars)}…${key.slice(slash)}`
}

function listed(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}

function distinct(items: readonly string[]): string[] {
  return [...new Set(items)]
}

function shortened(text: string, maxChars: number): string {
  const chars = [...text]
  return chars.length <= maxChars ? text : `${chars.slice(0, maxChars).join('')}…`
}
