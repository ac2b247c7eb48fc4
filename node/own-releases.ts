// What this node's identity has published, or waits to: the past that a new version has to fit.
import semver from 'semver'
import { bytesEqual, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import type { HeldRelease } from './release-store.ts'

/** The highest version comes first. What is signed but not announced yet is held, and so counts. */
export function ownManifests(node: Node, name: string): Manifest[] {
  const self = node.options.keys.author.identity
  const announced = node.registry.catalogue().flatMap((entry) => (entry.own ? [entry] : []))
  const held = node.releases.list().map(({ signed }) => signed)
  const byId = new Map([...held, ...announced].map(({ releaseId, manifest }) => [toHex(releaseId), manifest]))
  return [...byId.values()]
    .filter((manifest) => manifest.name === name && bytesEqual(manifest.publisher, self))
    .toSorted((a, b) => semver.rcompare(a.version, b.version))
}

/** The highest version below this one that this node published and holds. */
export function versionBelow(node: Node, name: string, version: string, baseId: Uint8Array): HeldRelease | undefined {
  const self = node.options.keys.author.identity
  const isOlder = ({ signed: { manifest } }: HeldRelease): boolean =>
    manifest.name === name &&
    bytesEqual(manifest.publisher, self) &&
    bytesEqual(manifest.base.id, baseId) &&
    semver.lt(manifest.version, version)
  const [highest] = node.releases
    .list()
    .filter(isOlder)
    .toSorted((a, b) => semver.rcompare(a.signed.manifest.version, b.signed.manifest.version))
  return highest
}

export function isForBase(manifest: Manifest, baseId: string): boolean {
  return toHex(manifest.base.id) === baseId
}
