// Training output -> a signed, probed release that this node announces and seeds.
import { dirname } from 'node:path'
import { identityToText, isMeshError, signManifest, toHex } from '../protocol/index.ts'
import type { LookAlike } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { namesLike } from './look-alike-names.ts'
import type { PatchOffer } from './make-patch.ts'
import { modelCard } from './model-card.ts'
import { offerUpgrade } from './offer-upgrade.ts'
import { prepareRelease } from './prepare-release.ts'
import type { PreparedRelease } from './prepare-release.ts'
import { moveSynced } from './private-file.ts'
import { rememberProbed } from './probe-releases.ts'
import { torrentOfRelease } from './release-pieces.ts'
import type { HeldRelease } from './release-store.ts'
import type { PublishWish } from './release-wish.ts'
import { stagingFolder } from './stage-adapter.ts'

export { removeLeftPublications } from './stage-adapter.ts'

export interface PublishedRelease {
  /** `publisher/name@version`. */
  readonly release: string
  readonly releaseId: string
  readonly infohash: string
  readonly sha256: string
  readonly bytes: number
  readonly rank: number
  readonly targets: readonly string[]
  readonly base: { readonly id: string; readonly label: string }
  readonly evaluations: readonly PublishedEvaluation[]
  /** What an upgrade costs whoever holds the release that it leads from. */
  readonly upgrade: { readonly from: string; readonly bytes: number; readonly codec: string } | undefined
  /** Names of others that this one could be taken for. */
  readonly lookAlikes: readonly LookAlike[]
  /** Markdown. */
  readonly card: string
  /** `pending`: it is signed into the log, and others see it, once a peer has been asked. */
  readonly state: 'published' | 'pending'
  readonly message: string | undefined
}

/** As in the manifest: shares in millionths. */
export interface PublishedEvaluation {
  readonly suite: string
  readonly metric: string
  readonly value: number
  readonly baseValue: number
  readonly n: number
  readonly standardError: number
}

/** Throws what each step throws; nothing is announced unless all of them passed. */
export async function publishRelease(node: Node, wish: PublishWish, context: CallContext): Promise<PublishedRelease> {
  await using folder = await stagingFolder(node)
  const prepared = await prepareRelease(node, wish, folder, context)
  return await signAndAnnounce(node, prepared, context)
}

/** Emits the steps `sign` and `announce`. */
export async function signAndAnnounce(
  node: Node,
  prepared: PreparedRelease,
  context: CallContext,
): Promise<PublishedRelease> {
  const { base, suiteLabels, patchPath } = prepared
  const lookAlikes = namesLike(node, prepared.manifest.name)
  const held = await signAndKeep(node, prepared, context)
  // Before anybody hears of the release: who holds the last version shall not fetch the whole file for want of a patch.
  const patch = await offerUpgrade(node, held, patchPath, context).catch(async (error: unknown) => {
    await node.releases.remove(held)
    throw error
  })
  context.emit({ type: 'step', step: 'announce' })
  const announced = await announceOrForget(node, held, patch)
  // Without a running network it is seeded when there is one.
  await node.network.swarm?.seed(held.infohash, { metainfo: held.metainfo, paths: held.paths })
  // Of a release that waits for its signature the log can't say yet that a patch leads to it.
  const isOffered = patch !== undefined && announced.state === 'published' && announcePatch(node, patch, context)
  const upgrade = isOffered ? { from: toHex(patch.from), bytes: patch.bytes, codec: patch.codec } : undefined
  return { ...describe(held, base), ...announced, upgrade, lookAlikes, card: modelCard(held.signed, suiteLabels) }
}

async function signAndKeep(
  node: Node,
  { base, manifest, path }: PreparedRelease,
  { signal, emit }: CallContext,
): Promise<HeldRelease> {
  emit({ type: 'step', step: 'sign' })
  const signed = signManifest(manifest, node.options.keys.author)
  const torrent = await torrentOfRelease(signed.sealed, path, signal)
  await moveSynced(path, node.releases.adapterPath(toHex(manifest.adapter.sha256)))
  const held = await node.releases.keep(signed, torrent.metainfo)
  await rememberProbed(dirname(held.paths.manifest), base)
  return held
}

type Announced = Pick<PublishedRelease, 'state' | 'message'>

/** What could not be announced, because its name was taken meanwhile or the disk is full, is not kept and never seeded. */
async function announceOrForget(node: Node, held: HeldRelease, patch: PatchOffer | undefined): Promise<Announced> {
  try {
    const result = node.registry.publishRelease(held.signed, held.infohash)
    return result.kind === 'appended'
      ? { state: 'published', message: result.warning }
      : { state: 'pending', message: result.message }
  } catch (error) {
    if (patch !== undefined) await node.network.swarm?.drop(patch.infohash)
    await node.releases.remove(held)
    throw error
  }
}

/** Whether it was: the release is out by now, and good without it. */
function announcePatch(node: Node, patch: PatchOffer, { emit }: CallContext): boolean {
  try {
    node.registry.publishPatch(patch)
    return true
  } catch (error) {
    if (!isMeshError(error)) throw error
    emit({ type: 'note', text: `The patch from the last version is not offered: ${error.message}` })
    return false
  }
}

function describe({ id, signed, infohash }: HeldRelease, base: KnownBase) {
  const { publisher, name, version, adapter, evaluations } = signed.manifest
  return {
    release: `${identityToText(publisher)}/${name}@${version}`,
    releaseId: id,
    infohash: toHex(infohash),
    sha256: toHex(adapter.sha256),
    bytes: adapter.bytes,
    rank: adapter.rank,
    targets: adapter.targets,
    base: { id: base.id, label: base.label },
    evaluations: evaluations.map((evaluation) => ({ ...evaluation, suite: toHex(evaluation.suite) })),
  }
}
