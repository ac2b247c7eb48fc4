// Gets releases from peers into this node, several at a time; what is held already costs nothing.
import { toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import type { FetchedRelease, WantedRelease } from './release-fetcher.ts'

export interface FetchSummary {
  /** Size of everything that was fetched now, manifests included, and patches instead of what they made; 0 when all was held. */
  readonly bytes: number
  readonly seconds: number
  /** Who sent how much of it. */
  readonly sources: readonly FetchSource[]
}

export interface FetchSource {
  /** What its BitTorrent client calls itself, whatever it is connected by. */
  readonly client: string
  readonly peer: string
  /** Over plain TCP, or over an encrypted stream. */
  readonly kind: 'tcp' | 'noise'
  readonly bytes: number
}

export const nothingFetched: FetchSummary = { bytes: 0, seconds: 0, sources: [] }

/** With the size of its adapter, for the progress. */
export interface SizedRelease extends WantedRelease {
  readonly bytes: number
}

/** Throws what the fetch of the first one that fails throws; the others are then stopped. */
export async function fetchReleases(
  node: Node,
  entries: readonly CatalogueEntry[],
  base: KnownBase | undefined,
  context: CallContext,
): Promise<FetchSummary> {
  return fetchWanted(node, entries.map(wantedOf), base, context)
}

/** The same for releases that no catalogue need know. */
export async function fetchWanted(
  node: Node,
  releases: readonly SizedRelease[],
  base: KnownBase | undefined,
  { signal, emit }: CallContext,
): Promise<FetchSummary> {
  const missing = releases.filter(({ releaseId }) => node.releases.get(toHex(releaseId)) === undefined)
  if (missing.length === 0) return nothingFetched
  const since = performance.now()
  const failed = new AbortController()
  const context: CallContext = { signal: AbortSignal.any([signal, failed.signal]), emit }
  // The rate counts from here, where looking for seeders begins: a small file comes all at once.
  for (const { label, bytes } of missing) {
    emit({ type: 'progress', label, doneBytes: 0, totalBytes: bytes, peers: 0 })
  }
  const work = missing.map((wanted) => node.fetcher.fetch(wanted, base, context))
  try {
    return fetchSummary(await Promise.all(work), performance.now() - since)
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(work)
    throw error
  }
}

export function fetchSummary(fetched: readonly FetchedRelease[], durationMs: number): FetchSummary {
  return {
    bytes: fetched.reduce((sum, { bytes }) => sum + bytes, 0),
    seconds: Math.round(durationMs) / 1_000,
    sources: merged(fetched.flatMap(({ sources }) => sources)),
  }
}

/** What was fetched before and after. */
export function bothFetches(before: FetchSummary, after: FetchSummary): FetchSummary {
  return {
    bytes: before.bytes + after.bytes,
    seconds: before.seconds + after.seconds,
    sources: merged([...before.sources, ...after.sources]),
  }
}

function wantedOf({ releaseId, infohash, manifest, sealed }: CatalogueEntry): SizedRelease {
  return { releaseId, infohash, label: `${manifest.name}@${manifest.version}`, sealed, bytes: manifest.adapter.bytes }
}

/** One entry per peer, the one that sent most first. */
function merged(sources: readonly FetchSource[]): FetchSource[] {
  const byPeer = Map.groupBy(sources, ({ client }) => client)
  return [...byPeer.values()]
    .map((ofPeer) => ({ ...ofPeer[0]!, bytes: ofPeer.reduce((sum, { bytes }) => sum + bytes, 0) }))
    .toSorted((a, b) => b.bytes - a.bytes)
}
