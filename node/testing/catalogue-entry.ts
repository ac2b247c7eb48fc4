// For tests: releases as a catalogue lists them, without logs or files.
import { signManifest } from '../../protocol/index.ts'
import type { Author, Manifest } from '../../protocol/index.ts'
import type { CatalogueEntry } from '../../registry/index.ts'
import { aManifest, anAuthor } from '../../testing/objects.ts'

export interface EntryFacts extends Partial<
  Pick<Manifest, 'name' | 'version' | 'requires' | 'capabilities' | 'base' | 'use' | 'evaluations' | 'summary'>
> {
  readonly author?: Author
  /** Default: a member's. */
  readonly outsider?: boolean
  readonly withdrawn?: string
}

export function anEntry({ author = anAuthor(), outsider = false, withdrawn, ...facts }: EntryFacts): CatalogueEntry {
  const name = facts.name ?? 'biology'
  const capabilities = [{ name, description: `what there is to know of ${name}` }]
  const signed = signManifest(aManifest({ capabilities, ...facts }, author), author)
  return {
    releaseId: signed.releaseId,
    manifest: signed.manifest,
    infohash: signed.releaseId.slice(0, 20),
    publisher: author.identity,
    communities: outsider ? [] : [new Uint8Array(32)],
    member: !outsider,
    own: false,
    outsider,
    sealed: signed.sealed,
    withdrawn,
  }
}
