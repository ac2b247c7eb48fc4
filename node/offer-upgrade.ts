// What a publisher offers beside a new release: the patch that leads to it from the last version that is held here.
import { openFileSource, patchCodecs, readPatchFacts, sha256File } from '../model-files/index.ts'
import type { MadePatch } from '../model-files/index.ts'
import { MeshError, bytesEqual, isMeshError } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { offerExactPatch, offerPatch } from './make-patch.ts'
import type { PatchOffer, Upgrade } from './make-patch.ts'
import { versionBelow } from './own-releases.ts'
import type { HeldRelease } from './release-store.ts'

/**
 * Keeps and seeds it; whoever calls this says so in the log. `patchPath`: where it lies already, for a release that was defined by one.
 * Undefined where no older version is held, or a patch would save next to nothing. That none could be made is told and costs nothing
 * else: the whole file is there. Throws `aborted`.
 */
export async function offerUpgrade(
  node: Node,
  to: HeldRelease,
  patchPath: string | undefined,
  { signal, emit }: CallContext,
): Promise<PatchOffer | undefined> {
  const { name, version, base } = to.signed.manifest
  const from = versionBelow(node, name, version, base.id)
  if (from === undefined) return undefined
  try {
    await node.releases.requireIntact(from, signal)
    if (patchPath === undefined) return await offerExactPatch(node, { from, to }, signal)
    return await offerPatch(node, { from, to }, await madePatch(patchPath, { from, to }, signal))
  } catch (error) {
    if (!isMeshError(error) || error.code === 'aborted') throw error
    emit({ type: 'note', text: `No patch from ${from.signed.manifest.version} is offered: ${error.message}` })
    return undefined
  }
}

async function madePatch(
  path: string,
  { from, to }: Upgrade,
  signal: AbortSignal,
): Promise<MadePatch & { readonly path: string }> {
  using source = openFileSource(path)
  const facts = readPatchFacts(source)
  for (const [side, held] of [[facts.from, from] as const, [facts.to, to] as const]) {
    if (!bytesEqual(side.sha256, held.signed.manifest.adapter.sha256))
      throw new MeshError('hash-mismatch', 'Its patch is for other files: another version was published meanwhile.')
  }
  const codec = facts.bits === 0 ? patchCodecs.exact : patchCodecs.bits
  return { path, codec, bytes: source.size, sha256: await sha256File(path, { signal }), from: facts.from, to: facts.to }
}
