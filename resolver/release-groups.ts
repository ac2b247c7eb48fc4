// Releases by the key they are chosen under, each key's in the one order of preference. A group is sorted when it is first looked at:
// of a large catalogue a request reaches a small part.
import semver from 'semver'
import type { Card } from './cards.ts'
import { byText } from './cover.ts'

/** A capability's releases are chosen among under one key: the bare name for members', `publisher/name` for others'. */
export type ReleaseKey = string

/** What decisions and lockfiles change about the choice. */
export interface Selection {
  /** Ids of withdrawn releases that may be chosen all the same, because a lockfile names them. */
  readonly pinned?: ReadonlySet<string>
  /**
   * Key -> id of the release that the community's channel names. A wish without a range means that release and no other, also when it
   * is not among the cards; where there is a range, any release in it will do and the channel's is tried first.
   */
  readonly preferred?: ReadonlyMap<ReleaseKey, string>
}

export interface ReleaseGroup {
  readonly key: ReleaseKey
  /** Those that may be chosen, best first: the channel's, then the highest version, then the smallest id. */
  readonly cards: readonly Card[]
  /** The versions of `cards`, in the same order. */
  readonly versions: readonly semver.SemVer[]
  /** Those that may not be chosen, in the same order of preference. */
  readonly withdrawn: readonly Card[]
  /** Id of the channel's release. */
  readonly preferred: string | undefined
}

export interface ReleaseGroups {
  has(key: ReleaseKey): boolean
  get(key: ReleaseKey): ReleaseGroup | undefined
}

export function releaseKeyOf(card: Pick<Card, 'member' | 'publisher' | 'name'>): ReleaseKey {
  return card.member || card.publisher === undefined ? card.name : `${card.publisher}/${card.name}`
}

/** Members' cards are found under the bare name and as `publisher/name`, others' as the latter only. Repeats of an id count once. */
export function groupReleases(cards: readonly Card[], selection: Selection = {}): ReleaseGroups {
  const unsorted = new Map<ReleaseKey, Card[]>()
  const put = (key: ReleaseKey, card: Card): void => {
    const group = unsorted.get(key)
    if (group === undefined) unsorted.set(key, [card])
    else group.push(card)
  }
  for (const card of cards) {
    const { publisher, name, member } = card
    if (member || publisher === undefined) put(name, card)
    if (publisher !== undefined) put(`${publisher}/${name}`, card)
  }
  const sorted = new Map<ReleaseKey, ReleaseGroup>()
  return {
    has: (key) => unsorted.has(key),
    get(key) {
      const found = sorted.get(key)
      const its = unsorted.get(key)
      if (found !== undefined || its === undefined) return found
      const group = sortedGroup(key, its, selection)
      sorted.set(key, group)
      return group
    },
  }
}

/** Releases of one key that are looked at, best first, and those that a lockfile names: nobody needs so many, and each costs time. */
const mostPerKey = 1_024

function sortedGroup(key: ReleaseKey, cards: readonly Card[], { pinned, preferred }: Selection): ReleaseGroup {
  const first = preferred?.get(key)
  const byId = new Map(cards.map((card) => [card.id, card]))
  const entries = Array.from(byId.values(), (card) => ({ card, version: new semver.SemVer(card.version) }))
  entries.sort(
    (a, b) =>
      Number(b.card.id === first) - Number(a.card.id === first) ||
      b.version.compare(a.version) ||
      byText(a.card.id, b.card.id),
  )
  const isPinned = ({ card }: { card: Card }): boolean => pinned?.has(card.id) === true
  const open = entries
    .filter((entry) => entry.card.withdrawn === undefined || isPinned(entry))
    .filter((entry, place) => place < mostPerKey || isPinned(entry))
  const closed = entries.filter((entry) => entry.card.withdrawn !== undefined && !isPinned(entry)).slice(0, mostPerKey)
  return {
    key,
    cards: open.map(({ card }) => card),
    versions: open.map(({ version }) => version),
    withdrawn: closed.map(({ card }) => card),
    preferred: first,
  }
}

/**
 * Whether the release at an index of the group may be chosen for a range. Prereleases only where the range names one. Without a range:
 * the channel's, or where there is none every release without a prerelease.
 */
export function fitting(group: ReleaseGroup, range: string | undefined): (index: number) => boolean {
  if (range !== undefined) {
    const parsed = new semver.Range(range)
    return (index) => parsed.test(group.versions[index]!)
  }
  if (group.preferred !== undefined) return (index) => group.cards[index]!.id === group.preferred
  return (index) => group.versions[index]!.prerelease.length === 0
}

/** The release that a wish takes where nothing else has a say. */
export function bestRelease(group: ReleaseGroup | undefined, range: string | undefined): Card | undefined {
  if (group === undefined) return undefined
  const fits = fitting(group, range)
  return group.cards.find((_, index) => fits(index))
}

/** The best withdrawn release that each of the parties would take, which is content with any of its ranges. */
export function withdrawnRelease(
  group: ReleaseGroup | undefined,
  parties: readonly (readonly (string | undefined)[])[],
): Card | undefined {
  if (group === undefined) return undefined
  const { withdrawn: cards } = group
  const closed = { ...group, cards, versions: cards.map(({ version }) => new semver.SemVer(version)) }
  const content = parties.map((ranges) => ranges.map((range) => fitting(closed, range)))
  return cards.find((_, index) => content.every((ranges) => ranges.some((allows) => allows(index))))
}
