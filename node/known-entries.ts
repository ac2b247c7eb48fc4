// Every release this node can speak of: what its catalogue lists, and what it holds although no log tells of it any more.
import { bytesEqual, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { Node } from './create-node.ts'
import type { HeldRelease } from './release-store.ts'

/** The latter count as an outsider's. */
export function knownEntries(node: Pick<Node, 'registry' | 'releases' | 'options'>): CatalogueEntry[] {
  const listed = node.registry.catalogue({ anyPublisher: true })
  const ids = new Set(listed.map(({ releaseId }) => toHex(releaseId)))
  const unlisted = node.releases.list().filter(({ id }) => !ids.has(id))
  return [...listed, ...unlisted.map((held) => entryOf(held, node.options.keys.author.identity))]
}

function entryOf({ signed, infohash }: HeldRelease, self: Uint8Array): CatalogueEntry {
  const { releaseId, manifest, sealed } = signed
  const own = bytesEqual(manifest.publisher, self)
  return {
    releaseId,
    manifest,
    infohash,
    publisher: manifest.publisher,
    communities: [],
    member: false,
    own,
    outsider: !own,
    sealed,
    withdrawn: undefined,
  }
}
