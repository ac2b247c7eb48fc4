// Releases of the catalogue as the resolver sees them.
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { Card, CardRequirement } from '../resolver/index.ts'

/** Withdrawn releases have no card: they are not for new plans. */
export function cardsOf(entries: readonly CatalogueEntry[]): Card[] {
  return entries.filter(({ withdrawn }) => withdrawn === undefined).map(cardOf)
}

function cardOf({ releaseId, manifest, publisher, outsider }: CatalogueEntry): Card {
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
    requires: requires.map((required): CardRequirement => ({
      name: required.name,
      range: required.range,
      ...(required.publisher === undefined ? {} : { publisher: identityToText(required.publisher) }),
    })),
  }
}
