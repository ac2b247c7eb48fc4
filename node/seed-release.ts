// Gets a release by name, for its own sake: to pass it on, or to have it before it is needed.
import semver from 'semver'
import { MeshError, identityToText } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import { extractFacets } from '../resolver/index.ts'
import type { Reference } from '../resolver/index.ts'
import type { Node } from './create-node.ts'
import { fetchReleases } from './fetch-releases.ts'
import type { FetchSummary } from './fetch-releases.ts'
import type { CallContext } from './http/index.ts'
import { locateNamedReleases } from './locate-release.ts'

export interface SeedWish {
  /** `name`, `name@range`, `publisher/name` or `publisher/name@range`. */
  readonly name: string
  readonly anyPublisher: boolean
}

export interface SeededRelease {
  readonly release: string
  readonly fetch: FetchSummary
}

/** Throws `not-found`, and what fetching throws. */
export async function seedRelease(
  node: Node,
  { name, anyPublisher }: SeedWish,
  context: CallContext,
): Promise<SeededRelease> {
  await node.network.start()
  const wanted = referenceOf(name)
  const fits = (entry: CatalogueEntry): boolean => isNamed(entry, wanted)
  const strangersToo = anyPublisher || wanted.publisher !== undefined
  if (!node.registry.catalogue({ anyPublisher: strangersToo }).some(fits))
    await locateNamedReleases(node, name, context)
  const entry = node.registry
    .catalogue({ anyPublisher: strangersToo })
    .filter(fits)
    .toSorted((a, b) => semver.rcompare(a.manifest.version, b.manifest.version))[0]
  if (entry === undefined) {
    throw new MeshError('not-found', `No release ${name} is known: \`lora-mesh ls --any-publisher\` lists what is.`, {
      name,
    })
  }
  const fetch = await fetchReleases(node, [entry], undefined, context)
  return { release: `${identityToText(entry.publisher)}/${entry.manifest.name}@${entry.manifest.version}`, fetch }
}

function referenceOf(name: string): Pick<Reference, 'publisher' | 'name' | 'range'> {
  const exact = extractFacets(name, { names: new Set(), qualifiedNames: new Set() })[0]?.exact
  return exact ?? { name }
}

function isNamed(
  { manifest, publisher, withdrawn }: CatalogueEntry,
  wanted: Pick<Reference, 'publisher' | 'name' | 'range'>,
): boolean {
  const named =
    manifest.name === wanted.name && (wanted.publisher === undefined || identityToText(publisher) === wanted.publisher)
  // What was withdrawn is given to whoever says exactly which: a lockfile may name it.
  if (withdrawn !== undefined && semver.valid(wanted.range) === null) return false
  return named && (wanted.range === undefined || semver.satisfies(manifest.version, wanted.range))
}
