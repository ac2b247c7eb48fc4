// Lockfile -> a persona that answers: base, adapters and scales together in the engine. Takes only releases that this node holds, that is,
// that came through the door or were made here.
import { dirname } from 'node:path'
import type { ScaledAdapter, StackMember } from '../assembler/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import type { LockedRelease, Lockfile } from '../resolver/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { Persona } from './persona-store.ts'
import { probeAdapter, rememberProbed, requireBase, wasProbed } from './probe-releases.ts'
import type { HeldRelease } from './release-store.ts'

export interface ReadyPersona {
  readonly id: string
  readonly base: KnownBase
  readonly adapters: readonly ScaledAdapter[]
  /** Lower-case hex: equal wherever the same adapters are put together with the same scales on the same base. */
  readonly stackHash: string
}

/**
 * Throws `base-missing`, `not-found` for a release that is not held, `probe-failed`, and what the composer and the engine throw.
 * Composing again what was composed before costs a look into the cache.
 */
export async function assemblePersona(
  node: Node,
  { id, lockfile }: Persona,
  signal: AbortSignal,
): Promise<ReadyPersona> {
  const base = baseFor(node, lockfile)
  await node.bases.info(base, signal)
  const members: StackMember[] = []
  for (const locked of lockfile.releases) {
    const release = heldRelease(node, locked)
    await node.releases.requireIntact(release, signal)
    await requireProbed(node, release, base, signal)
    const { manifest } = release.signed
    members.push({
      path: release.paths.adapter,
      sha256: locked.sha256,
      scale: locked.scale / 1e6,
      rank: manifest.adapter.rank,
    })
  }
  const stack = { base: { path: base.path, baseId: base.id }, members }
  const { adapters, stackHash } = await node.composer.compose(stack, { signal })
  await node.engine.load({ path: base.path, sha256: base.file }, { signal })
  return { id, base, adapters, stackHash }
}

/** Releases of a lockfile that this node would have to fetch first. */
export function missingReleases(node: Pick<Node, 'releases'>, lockfile: Lockfile): readonly LockedRelease[] {
  return lockfile.releases.filter(({ releaseId }) => node.releases.get(releaseId) === undefined)
}

/** Throws `base-missing` with the base that is needed. */
export function baseFor(node: Node, { base }: Lockfile): KnownBase {
  const fits = node.bases
    .list()
    .filter(({ id, file }) => id === base.id && (base.file === undefined || base.file === file))
  const current = node.bases.current()
  const found = fits.find(({ file }) => file === current?.file) ?? fits[0]
  if (found !== undefined) return found
  throw new MeshError(
    'base-missing',
    `This persona needs the base ${base.label}: add it with \`lora-mesh base add FILE\`.`,
    {
      bases: [{ id: base.id, label: base.label, files: base.file === undefined ? [] : [base.file] }],
    },
  )
}

function heldRelease(node: Node, { name, version, releaseId, sha256 }: LockedRelease): HeldRelease {
  const held = node.releases.get(releaseId)
  if (held === undefined || toHex(held.signed.manifest.adapter.sha256) !== sha256) {
    throw new MeshError(
      'not-found',
      `${name}@${version} is not on this node: fetch it with \`lora-mesh seed ${name}\`.`,
      { release: releaseId },
    )
  }
  return held
}

async function requireProbed(node: Node, release: HeldRelease, base: KnownBase, signal: AbortSignal): Promise<void> {
  const { manifest } = release.signed
  requireBase(manifest, base)
  const folder = dirname(release.paths.manifest)
  if (await wasProbed(folder, base)) return
  await probeAdapter(node.engine, manifest, release.paths.adapter, base, signal)
  await rememberProbed(folder, base)
}
