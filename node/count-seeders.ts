// How many of the peers that are connected now say within a moment that they serve some releases. Others may serve them too.
import { toHex } from '../protocol/index.ts'
import type { CatalogueEntry, Registry } from '../registry/index.ts'

const patienceMs = 500

/** In the order of the entries; this node doesn't count. Ends after half a second, or when the signal comes. */
export async function countSeeders(
  registry: Registry,
  entries: readonly CatalogueEntry[],
  signal: AbortSignal,
): Promise<{ readonly release: string; readonly seeders: number }[]> {
  const seeders = new Map(entries.map(({ infohash }) => [toHex(infohash), new Set<string>()]))
  const peers = registry.peers().length
  const soon = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)])
  try {
    const infohashes = entries.map(({ infohash }) => infohash)
    for await (const { infohash, transferKey } of registry.askSeeds(infohashes, soon)) {
      seeders.get(toHex(infohash))?.add(toHex(transferKey))
      if (seeders.values().every((found) => found.size >= peers)) break
    }
  } catch (error) {
    if (!soon.aborted) throw error
  }
  return entries.map(({ infohash, manifest }) => ({
    release: `${manifest.name}@${manifest.version}`,
    seeders: seeders.get(toHex(infohash))?.size ?? 0,
  }))
}
