// What a name means now: what the community's channel holds where there is one, else the highest version.
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry, Registry } from '../registry/index.ts'
import { highestReleases } from './current-release.ts'
import type { CurrentRelease } from './current-release.ts'

/** Bare name -> release id in hex, for one base (hex): of several followed communities' channels the one followed first decides. */
export function channelsOn(registry: Registry, baseId: string): Map<string, string> {
  const channels = new Map<string, string>()
  for (const { id, state } of registry.communities()) {
    if (state !== 'following') continue
    for (const { capability, base, release } of registry.governance.channels(id)) {
      if (toHex(base) === baseId && !channels.has(capability)) channels.set(capability, toHex(release))
    }
  }
  return channels
}

/** As `highestReleases`, but for names that a community has a channel for. An outsider's releases follow their publisher alone. */
export function governedReleases(registry: Registry, catalogue: readonly CatalogueEntry[]): CurrentRelease {
  const highest = highestReleases(catalogue)
  const bases = new Map<string, ReadonlyMap<string, string>>()
  const insiders = new Set(
    catalogue.filter(({ outsider }) => !outsider).map((entry) => identityToText(entry.publisher)),
  )
  return (name, publisher, baseId) => {
    let channels = bases.get(baseId)
    if (channels === undefined) bases.set(baseId, (channels = channelsOn(registry, baseId)))
    const decided = insiders.has(publisher) ? channels.get(name) : undefined
    return decided ?? highest(name, publisher, baseId)
  }
}
