// Which release of each capability: the highest that satisfies what is asked and what the others require, all at once.
// The function's shape is that of a complete solver; this one tries the highest first and steps back within a bounded number of tries.
import semver from 'semver'
import type { Card } from './cards.ts'
import { byText } from './cover.ts'

/** A capability's releases are chosen among under one key: the bare name for members', `publisher/name` for others'. */
export type ReleaseKey = string

export interface Wanted {
  readonly key: ReleaseKey
  /** Semver range; any release without a prerelease when absent. */
  readonly range?: string
}

export type Solution =
  | {
      readonly kind: 'solved'
      readonly releases: ReadonlyMap<ReleaseKey, Card>
      readonly requiredBy: ReadonlyMap<ReleaseKey, readonly ReleaseKey[]>
    }
  | { readonly kind: 'unsatisfiable'; readonly reason: string }

/** Tries after which a tangle of ranges is given up: hostile cards must not cost more. */
const maxTries = 5_000
/** Most releases of one persona, required ones included. */
const maxReleases = 64

export function releaseKeyOf(card: Pick<Card, 'member' | 'publisher' | 'name'>): ReleaseKey {
  return card.member || card.publisher === undefined ? card.name : `${card.publisher}/${card.name}`
}

/** Cards by key, best first: highest version, then smallest id. Members' cards are also found as `publisher/name`. */
export function groupReleases(cards: readonly Card[]): Map<ReleaseKey, Card[]> {
  const groups = new Map<ReleaseKey, Card[]>()
  for (const card of cards) {
    const keys = new Set([
      releaseKeyOf(card),
      ...(card.publisher === undefined ? [] : [`${card.publisher}/${card.name}`]),
    ])
    for (const key of keys) {
      const group = groups.get(key) ?? []
      group.push(card)
      groups.set(key, group)
    }
  }
  for (const group of groups.values()) group.sort(newestFirst)
  return groups
}

function newestFirst(a: Card, b: Card): number {
  return semver.rcompare(a.version, b.version) || byText(a.id, b.id)
}

/** Whether a release may be chosen for a range. Prereleases only where the range names one. */
export function satisfies(card: Card, range: string | undefined): boolean {
  if (range === undefined) return semver.prerelease(card.version) === null
  return semver.satisfies(card.version, range)
}

interface Demand {
  readonly key: ReleaseKey
  readonly range: string | undefined
  /** Key of the release that requires it; undefined for what was asked. */
  readonly by: ReleaseKey | undefined
}

/** Highest releases for all of `wanted` and, transitively, what they require, with one release per key. */
export function solveReleases(wanted: readonly Wanted[], groups: ReadonlyMap<ReleaseKey, readonly Card[]>): Solution {
  const chosen = new Map<ReleaseKey, Card>()
  const requiredBy = new Map<ReleaseKey, ReleaseKey[]>()
  let tries = 0
  let reason = ''

  const demands = wanted.map(({ key, range }): Demand => ({ key, range, by: undefined }))
  return solve(demands, 0) ? { kind: 'solved', releases: chosen, requiredBy } : { kind: 'unsatisfiable', reason }

  function solve(demands: readonly Demand[], from: number): boolean {
    const demand = demands[from]
    if (demand === undefined) return true
    const { key, range, by } = demand
    const already = chosen.get(key)
    if (already !== undefined) {
      // A plain wish is content with whatever a range has chosen, prereleases included.
      if (range !== undefined && !satisfies(already, range))
        return fail(`${sayDemand(demand)}, but ${already.name}@${already.version} is needed beside it`)
      return within(key, by, () => solve(demands, from + 1))
    }
    const group = groups.get(key) ?? []
    const fitting = group.filter((card) => satisfies(card, range))
    if (fitting.length === 0) return fail(`${sayDemand(demand)}, and ${sayOffer(group)}`)
    for (const card of fitting) {
      if (++tries > maxTries) return fail(`more than ${maxTries} combinations of versions were tried`)
      if (chosen.size >= maxReleases) return fail(`more than ${maxReleases} releases would be needed together`)
      chosen.set(key, card)
      const more = card.requires.map((required): Demand => ({
        key: requiredKey(required, card, groups),
        range: required.range,
        by: key,
      }))
      if (within(key, by, () => solve([...demands, ...more], from + 1))) return true
      chosen.delete(key)
    }
    return false
  }

  function within(key: ReleaseKey, by: ReleaseKey | undefined, next: () => boolean): boolean {
    if (by === undefined) return next()
    const dependents = requiredBy.get(key) ?? []
    requiredBy.set(key, [...dependents, by])
    if (next()) return true
    if (dependents.length === 0) requiredBy.delete(key)
    else requiredBy.set(key, dependents)
    return false
  }

  function fail(why: string): false {
    // The first obstacle met with the highest releases is the one that helps: later ones come from older releases.
    if (reason === '') reason = why
    return false
  }
}

/** A bare name means the community's release, or else one of the same publisher. */
function requiredKey(
  required: { readonly publisher?: string; readonly name: string },
  card: Card,
  groups: ReadonlyMap<ReleaseKey, readonly Card[]>,
): ReleaseKey {
  if (required.publisher !== undefined) return `${required.publisher}/${required.name}`
  if (groups.has(required.name) || card.publisher === undefined) return required.name
  return `${card.publisher}/${required.name}`
}

function sayDemand({ key, range, by }: Demand): string {
  const what = range === undefined ? key : `${key}@${range}`
  return by === undefined ? `${what} is asked for` : `${by} requires ${what}`
}

function sayOffer(group: readonly Card[]): string {
  if (group.length === 0) return 'no release of it is known for this base'
  return `only ${group
    .slice(0, 5)
    .map((card) => card.version)
    .join(', ')}${group.length > 5 ? ', …' : ''} is known for this base`
}
