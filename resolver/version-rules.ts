// What may not be at the same time, for the search among versions: wishes and requirements as nogoods over sets of releases.
//
// A key's possible states are the bits of a number: bit 0 says that no release of it is there, bit i + 1 that it is the i-th best one. A
// nogood is a set of states per key of which not all may be true at once: "biology is one of 2.1.0 and 2.0.0, and science is absent or
// below 1" forbids what contradicts the requirement science@^1 of these two releases.
import type { Card, CardRequirement } from './cards.ts'
import { fitting } from './release-groups.ts'
import type { ReleaseGroup, ReleaseGroups, ReleaseKey } from './release-groups.ts'

export interface Wanted {
  readonly key: ReleaseKey
  /** Semver range. Without one: the channel's release, or any without a prerelease; beside a wish with a range it asks for nothing more. */
  readonly range?: string
}

/** States of one key. */
export type States = bigint

const absent = 1n

/** Something given, not derived. */
export type Fact =
  | { readonly kind: 'wish'; readonly key: ReleaseKey; readonly range: string | undefined }
  | {
      readonly kind: 'requirement'
      readonly key: ReleaseKey
      /** The releases of `key` that say so. */
      readonly by: States
      readonly needed: ReleaseKey
      readonly range: string
    }
  /** The bare name and the publisher's own name of one capability stand for one version of it. */
  | { readonly kind: 'one version'; readonly key: ReleaseKey; readonly qualified: ReleaseKey }

export interface Nogood {
  /** Never all states of a key: such a term says nothing. Without any term: a contradiction. */
  readonly terms: ReadonlyMap<ReleaseKey, States>
  /** The key that must be decided where this nogood bites. */
  readonly opens?: ReleaseKey
  /** A fact, or the two nogoods it follows from. */
  readonly origin: Fact | readonly [Nogood, Nogood]
}

export interface VersionRules {
  everything(key: ReleaseKey): States
  /** States in which the key has a release that a range allows. */
  allowed(key: ReleaseKey, range: string | undefined): States
  readonly wishes: readonly Nogood[]
  /** What follows from taking the release at an index of a key's group. The same objects each time. */
  entailed(key: ReleaseKey, index: number): readonly Nogood[]
  /** What the releases of a key require, all of them. The same objects each time, and as among `entailed`. */
  requirements(key: ReleaseKey): Iterable<Nogood>
  /** Versions compared with ranges so far: work that counts as the search's. */
  comparisons(): number
}

export function createRules(wanted: readonly Wanted[], groups: ReleaseGroups): VersionRules {
  const requirementsOf = new Map<ReleaseKey, Requirements>()
  const entailedOf = new Map<string, readonly Nogood[]>()
  const allowedOf = new Map<string, States>()
  let compared = 0
  const wishes = wishesOf(wanted).map(wishNogood)
  return { everything, allowed, wishes, entailed, requirements, comparisons: () => compared }

  function everything(key: ReleaseKey): States {
    return (1n << BigInt((groups.get(key)?.cards.length ?? 0) + 1)) - 1n
  }

  function allowed(key: ReleaseKey, range: string | undefined): States {
    const id = range === undefined ? key : `${key}\n${range}`
    const known = allowedOf.get(id)
    if (known !== undefined) return known
    const group = groups.get(key)
    const states = group === undefined ? 0n : statesWhere(group, fitting(group, range))
    compared += group?.cards.length ?? 0
    allowedOf.set(id, states)
    return states
  }

  function wishNogood(fact: Fact & { kind: 'wish' }): Nogood {
    return { terms: termsOf([fact.key, refused(fact)]), opens: fact.key, origin: fact }
  }

  function refused({ key, range }: { key: ReleaseKey; range: string | undefined }): States {
    return everything(key) ^ allowed(key, range)
  }

  function termsOf(...terms: readonly [ReleaseKey, States][]): Map<ReleaseKey, States> {
    return new Map(terms.filter(([key, states]) => states !== everything(key)))
  }

  function entailed(key: ReleaseKey, index: number): readonly Nogood[] {
    const id = `${key}\n${index}`
    const known = entailedOf.get(id)
    if (known !== undefined) return known
    const its = requirementsOfKey(key)
    const requirements = its.needs[index]!.map((need) => requirementNogood(its, need))
    const nogoods = [...requirements, ...oneVersion(groups.get(key)!, index)]
    entailedOf.set(id, nogoods)
    return nogoods
  }

  function* requirements(key: ReleaseKey): Iterable<Nogood> {
    const its = requirementsOfKey(key)
    for (const need of its.needs.flat()) yield requirementNogood(its, need)
  }

  function requirementsOfKey(key: ReleaseKey): Requirements {
    const known = requirementsOf.get(key)
    if (known !== undefined) return known
    const needs = groups.get(key)?.cards.map((card) => needsOf(card, groups)) ?? []
    const by = new Map<string, States>()
    for (const [index, its] of needs.entries())
      for (const { id } of its) by.set(id, (by.get(id) ?? 0n) | (2n << BigInt(index)))
    const found: Requirements = { key, needs, by, nogoods: new Map() }
    requirementsOf.set(key, found)
    return found
  }

  /** Releases with the same requirement share one nogood: what refutes it for one refutes it for all. */
  function requirementNogood({ key, by, nogoods }: Requirements, { id, needed, range }: Need): Nogood {
    const known = nogoods.get(id)
    if (known !== undefined) return known
    const those = by.get(id)!
    // A release that requires itself in a version that it isn't can't be had.
    const terms =
      needed === key
        ? termsOf([key, those & refused({ key, range })])
        : termsOf([key, those], [needed, refused({ key: needed, range })])
    const fact: Fact = { kind: 'requirement', key, by: those, needed, range }
    const nogood: Nogood = { terms, opens: needed, origin: fact }
    nogoods.set(id, nogood)
    return nogood
  }

  function oneVersion(group: ReleaseGroup, index: number): Nogood[] {
    const card = group.cards[index]!
    const qualified = `${card.publisher}/${card.name}`
    const others = group.key === qualified ? undefined : groups.get(qualified)
    if (card.publisher === undefined || others === undefined || others.cards.length < 2) return []
    const same = 2n << BigInt(others.cards.findIndex(({ id }) => id === card.id))
    const terms = termsOf([group.key, 2n << BigInt(index)], [qualified, everything(qualified) ^ absent ^ same])
    return [{ terms, origin: { kind: 'one version', key: group.key, qualified } }]
  }
}

/** What the releases of one key require, and what has been made of it. */
interface Requirements {
  readonly key: ReleaseKey
  /** Per release. */
  readonly needs: readonly (readonly Need[])[]
  /** Need id -> the releases that have it. */
  readonly by: ReadonlyMap<string, States>
  readonly nogoods: Map<string, Nogood>
}

interface Need {
  readonly id: string
  readonly needed: ReleaseKey
  readonly range: string
}

function needsOf(card: Card, groups: ReleaseGroups): Need[] {
  return card.requires.map((required) => {
    const needed = requiredKey(required, card, groups)
    return { id: `${needed}\n${required.range}`, needed, range: required.range }
  })
}

/** A bare name means the community's release, or else one of the same publisher. */
export function requiredKey(required: CardRequirement, card: Card, groups: ReleaseGroups): ReleaseKey {
  if (required.publisher !== undefined) return `${required.publisher}/${required.name}`
  if (groups.has(required.name) || card.publisher === undefined) return required.name
  return `${card.publisher}/${required.name}`
}

/** Each key's ranges, in the order of the wishes; a wish without one only where the key has no other. */
function wishesOf(wanted: readonly Wanted[]): (Fact & { kind: 'wish' })[] {
  const ranges = new Map<ReleaseKey, Set<string>>()
  for (const { key, range } of wanted) {
    const its = ranges.get(key) ?? new Set()
    ranges.set(key, range === undefined ? its : its.add(range))
  }
  return [...ranges].flatMap(([key, its]) =>
    (its.size === 0 ? [undefined] : [...its]).map((range) => ({ kind: 'wish' as const, key, range })),
  )
}

function statesWhere(group: ReleaseGroup, holds: (index: number) => boolean): States {
  let bits = ''
  for (let index = group.cards.length - 1; index >= 0; index--) bits += holds(index) ? '1' : '0'
  return BigInt(`0b${bits}0`)
}
