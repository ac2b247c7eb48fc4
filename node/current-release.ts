// What a name means now, where no community has decided it by a certificate: the highest version, withdrawn ones and prereleases left out.
import semver from 'semver'
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'

/** Id (hex) of the release that a name means now for those who have it from this publisher, on this base; undefined: none. */
export type CurrentRelease = (name: string, publisher: string, baseId: string) => string | undefined

/**
 * Of a member's or own release the highest of all members and of this node, which is what a request for the bare name gets; of an
 * outsider's the highest of that publisher.
 */
export function highestReleases(catalogue: readonly CatalogueEntry[]): CurrentRelease {
  const byName = Map.groupBy(catalogue, ({ manifest: { name, base } }) => `${name} ${toHex(base.id)}`)
  return (name, publisher, baseId) => {
    const named = byName.get(`${name} ${baseId}`) ?? []
    const theirs = named.filter((entry) => identityToText(entry.publisher) === publisher)
    const rivals = theirs.some(({ outsider }) => !outsider) ? named.filter(({ outsider }) => !outsider) : theirs
    const highest = highestOf(rivals, undefined)
    return highest && toHex(highest.releaseId)
  }
}

/** The highest that is not withdrawn and lies in the range; without one, no prerelease. Of equals the one with the smallest id. */
export function highestOf(entries: readonly CatalogueEntry[], range: string | undefined): CatalogueEntry | undefined {
  return entries
    .filter(({ withdrawn, manifest: { version } }) => withdrawn === undefined && isWithin(version, range))
    .toSorted(newestFirst)[0]
}

export function isWithin(version: string, range: string | undefined): boolean {
  return range === undefined ? semver.prerelease(version) === null : semver.satisfies(version, range)
}

function newestFirst(a: CatalogueEntry, b: CatalogueEntry): number {
  const byVersion = semver.rcompare(a.manifest.version, b.manifest.version)
  return byVersion || (toHex(a.releaseId) < toHex(b.releaseId) ? -1 : 1)
}
