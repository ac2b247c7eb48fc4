// Names in a plan that can be taken for others: a stranger's release called almost like a community's, a word almost like a known name.
import { indexLookAlikes } from '../protocol/index.ts'
import type { Likeness } from '../protocol/index.ts'
import type { Card } from './cards.ts'
import { byText } from './cover.ts'
import { capabilityNameOf } from './facets.ts'
import type { Facet } from './facets.ts'
import type { Selection } from './release-groups.ts'

export interface NameWarning {
  /** release: what the plan takes is called almost like something of higher standing. request: what was asked for is almost a known name. */
  readonly kind: 'release' | 'request'
  readonly name: string
  /** The known name, the most alike one where there are several. */
  readonly like: string
  readonly why: Likeness
  /** Card id, of a release. */
  readonly release?: string
}

export interface NamesOfPlan extends Pick<Selection, 'preferred'> {
  /** All that are known. */
  readonly cards: readonly Card[]
  readonly picked: readonly Card[]
  /** Facets that nothing was found for. */
  readonly missing: readonly Facet[]
}

/** Strangers' names stand below members', and those below the names that a community has a channel for. */
const standings = ['stranger', 'member', 'channel'] as const

export function nameWarnings({ cards, picked, missing, preferred }: NamesOfPlan): NameWarning[] {
  const standingOf = new Map<string, number>()
  for (const card of cards) {
    const standing = card.member ? 1 : 0
    for (const name of namesOf(card)) standingOf.set(name, Math.max(standing, standingOf.get(name) ?? 0))
  }
  for (const name of preferred?.keys() ?? []) standingOf.set(name, standings.indexOf('channel'))
  return [...releaseWarnings(picked, standingOf), ...requestWarnings(missing, standingOf)]
}

function releaseWarnings(picked: readonly Card[], standingOf: ReadonlyMap<string, number>): NameWarning[] {
  const names = new Map(picked.flatMap((card) => namesOf(card).map((name) => [name, card] as const)))
  const lowest = Math.min(...Array.from(names.keys(), (name) => standingOf.get(name)!))
  const above = [...standingOf].filter(([, standing]) => standing > lowest).map(([name]) => name)
  if (above.length === 0) return []
  const index = indexLookAlikes(above)
  return [...names]
    .toSorted(([a], [b]) => byText(a, b))
    .flatMap(([name, { id }]) => {
      const alike = index.of(name).find((other) => standingOf.get(other.name)! > standingOf.get(name)!)
      if (alike === undefined) return []
      return [{ kind: 'release' as const, name, like: alike.name, why: alike.why, release: id }]
    })
}

function requestWarnings(missing: readonly Facet[], standingOf: ReadonlyMap<string, number>): NameWarning[] {
  const names = missing.map(capabilityNameOf)
  const unknown = [...new Set(names)].filter((name) => !standingOf.has(name))
  if (unknown.length === 0) return []
  const index = indexLookAlikes(Array.from(standingOf.keys()))
  return unknown.flatMap((name) => {
    const [alike] = index.of(name)
    return alike === undefined ? [] : [{ kind: 'request' as const, name, like: alike.name, why: alike.why }]
  })
}

function namesOf(card: Card): string[] {
  return [...new Set([card.name, ...card.capabilities.map(({ name }) => name)])]
}
