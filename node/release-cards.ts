// Releases of the catalogue as the resolver sees them.
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { Card, CardRequirement } from '../resolver/index.ts'

/** Withdrawn releases are not for new plans; their cards say why, for whoever asks for one by name. */
export function cardsOf(entries: readonly CatalogueEntry[], trustOf: TrustOf = () => undefined): Card[] {
  return entries.map((entry) => cardOf(entry, trustOf(entry.releaseId)))
}

/** How far a release is trusted here, 0 to 1. */
export type TrustOf = (releaseId: Uint8Array) => number | undefined

function cardOf(
  { releaseId, manifest, publisher, outsider, withdrawn }: CatalogueEntry,
  trust: number | undefined,
): Card {
  const { name, version, summary, capabilities, tags, base, adapter, requires } = manifest
  return {
    id: toHex(releaseId),
    name,
    version,
    publisher: identityToText(publisher),
    member: !outsider,
    summary,
    capabilities,
    tags,
    base: { id: toHex(base.id), label: base.label, files: base.evaluatedOn.map(toHex) },
    bytes: adapter.bytes,
    ...(withdrawn === undefined ? {} : { withdrawn }),
    ...(trust === undefined ? {} : { trust }),
    requires: requires.map((required): CardRequirement => ({
      name: required.name,
      range: required.range,
      ...(required.publisher === undefined ? {} : { publisher: identityToText(required.publisher) }),
    })),
  }
}
