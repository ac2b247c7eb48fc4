// For tests: a lockfile, and the link that names it.
import { identityFromText, identityToText, personaLink, toHex } from '../../../protocol/index.ts'
import { lockfileDigest } from '../../../resolver/index.ts'
import type { LockedRelease, Lockfile } from '../../../resolver/index.ts'
import { aHash, anAuthor } from '../../../testing/objects.ts'

export function aLockedRelease(facts: Partial<LockedRelease> = {}): LockedRelease {
  return {
    name: 'biology',
    version: '1.0.0',
    publisher: identityToText(anAuthor(1).identity),
    releaseId: toHex(aHash(41)),
    sha256: toHex(aHash(42)),
    bytes: 1_000,
    infohash: toHex(aHash(43).slice(0, 20)),
    scale: 1_000_000,
    capability: 'biology',
    facets: ['biology'],
    requiredBy: [],
    ...facts,
  }
}

export function aLockfile(facts: Partial<Lockfile> = {}): Lockfile {
  return {
    format: 'lora-mesh-lockfile/1',
    base: { id: toHex(aHash(11)), label: 'tiny llama' },
    releases: [aLockedRelease()],
    mode: 'stack',
    gaps: [],
    ...facts,
  }
}

export function linkTo(lockfile: Lockfile): string {
  return personaLink(
    lockfileDigest(lockfile),
    lockfile.releases.map(({ publisher }) => identityFromText(publisher)),
  )
}
