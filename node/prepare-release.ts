// Training output and what its publisher says of it -> a manifest that only lacks its signature, and the adapter it names.
import { makeProbe } from '../assembler/index.ts'
import type { Probe } from '../assembler/index.ts'
import { MeshError, decodeManifest, encodeManifest, fromHex, limits, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { defineByOlder, olderRelease } from './define-by-older.ts'
import type { CallContext } from './http/index.ts'
import { measureSuites, readSuites } from './measure-suites.ts'
import type { Suite } from './measure-suites.ts'
import { requireFreeVersion } from './next-version.ts'
import { isForBase, ownManifests } from './own-releases.ts'
import { baseOf, checkedFacts, parentsOf, requireScaleInRange } from './release-wish.ts'
import type { PublishWish, ReleaseFacts } from './release-wish.ts'
import { stageAdapter } from './stage-adapter.ts'
import type { StagedAdapter, StagingFolder } from './stage-adapter.ts'

export interface PreparedRelease {
  readonly base: KnownBase
  readonly manifest: Manifest
  /** Its canonical bytes: what a signature is made of. */
  readonly payload: Uint8Array
  /** Where the adapter lies until the release is kept. */
  readonly path: string
  /** Where the patch lies that makes it of an older version, if it was defined by one. */
  readonly patchPath: string | undefined
  /** Suite digest in hex -> the file's name, for people. */
  readonly suiteLabels: ReadonlyMap<string, string>
}

/** Emits the steps `convert`, `check`, `probe` and `evaluate`, and `asked`. Throws what each of them throws. */
export async function prepareRelease(
  node: Node,
  wish: PublishWish,
  folder: StagingFolder,
  context: CallContext,
): Promise<PreparedRelease> {
  const { signal, emit } = context
  const base = baseOf(node, wish.base)
  const facts = checkedFacts(wish)
  requireScaleInRange(wish)
  const published = ownManifests(node, facts.name).filter((manifest) => isForBase(manifest, base.id))
  requireFreeVersion(
    published.map(({ version }) => version),
    facts.name,
    facts.version,
    base.label,
  )
  const parents = parentsOf(node, wish.parents ?? [])
  const suites = await readSuites(wish.suites ?? [], signal)
  const trained = await stageAdapter(node, wish.path, base, folder, context)
  const { staged, patchPath } = await asPublished(node, wish, { base, trained, suites, folder }, context)
  const adapter = { path: staged.path, sha256: staged.sha256, scale: wish.scale }
  emit({ type: 'step', step: 'probe' })
  const baseFile = { path: base.path, sha256: base.file }
  const probe = await makeProbe(node.engine, baseFile, adapter, { signal, texts: wish.probe ?? [] })
  if (suites.length > 0) emit({ type: 'step', step: 'evaluate' })
  const measured = await measureSuites(node, base, adapter, suites, context)
  const evaluations = measured.map(({ evaluation }) => evaluation)
  const made = { base, staged, probe, evaluations, parents }
  const payload = encoded(manifestOf(node, facts, wish, made))
  const suiteLabels = new Map(suites.map(({ digest, label }) => [toHex(digest), label]))
  return { base, manifest: decodeManifest(payload), payload, path: staged.path, patchPath, suiteLabels }
}

interface TrainedParts {
  readonly base: KnownBase
  readonly trained: StagedAdapter
  readonly suites: readonly Suite[]
  readonly folder: StagingFolder
}

/** As it was trained, unless the publisher wants it defined by the last version. */
async function asPublished(
  node: Node,
  { deltaBits, name, version, scale }: PublishWish,
  parts: TrainedParts,
  context: CallContext,
): Promise<{ staged: StagedAdapter; patchPath: string | undefined }> {
  if (deltaBits === undefined) return { staged: parts.trained, patchPath: undefined }
  const older = olderRelease(node, name, version, parts.base)
  return await defineByOlder(node, { ...parts, bits: deltaBits, older, scale }, context)
}

interface MadeParts {
  readonly base: KnownBase
  readonly staged: StagedAdapter
  readonly probe: Probe
  readonly evaluations: Manifest['evaluations']
  readonly parents: Manifest['lineage']['parents']
}

function manifestOf(
  node: Node,
  facts: ReleaseFacts,
  wish: Pick<PublishWish, 'scale' | 'scaleRange' | 'trigger' | 'systemPrompt'>,
  { base, staged: { info, sha256 }, probe, evaluations, parents }: MadeParts,
): Manifest {
  return {
    ...facts,
    schema: 1,
    publisher: node.options.keys.author.identity,
    base: {
      id: fromHex(base.id),
      tokenizer: fromHex(base.tokenizer),
      label: base.label,
      evaluatedOn: [fromHex(base.file)],
    },
    adapter: {
      bytes: info.bytes,
      sha256: fromHex(sha256),
      rank: info.rank,
      alpha: Math.round(info.alpha * 1e6),
      targets: [...info.targets],
      dtype: info.dtype,
    },
    use: usage(wish),
    probe,
    evaluations,
    lineage: { method: 'trained', parents },
    createdAt: node.options.clock(),
  }
}

function usage(wish: Pick<PublishWish, 'scale' | 'scaleRange' | 'trigger' | 'systemPrompt'>): Manifest['use'] {
  const { trigger, systemPrompt } = wish
  const scale = Math.round(wish.scale * 1e6)
  return {
    scale,
    scaleRange: scaleRangeOf(scale, wish.scaleRange),
    ...(trigger === undefined ? {} : { trigger }),
    ...(systemPrompt === undefined ? {} : { systemPrompt }),
  }
}

/** Millionths. From nothing to twice as strong as its publisher means it, where nobody says otherwise and the format allows that. */
function scaleRangeOf(scale: number, wished: PublishWish['scaleRange']): [number, number] {
  if (wished !== undefined) return [Math.round(wished[0] * 1e6), Math.round(wished[1] * 1e6)]
  const most = limits.scaleMaxMillionths
  return scale < 0 ? [Math.max(2 * scale, -most), 0] : [0, Math.min(2 * scale, most)]
}

/** What doesn't fit is this publisher's doing, who is the caller here. */
function encoded(manifest: Manifest): Uint8Array {
  try {
    return encodeManifest(manifest)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    throw new MeshError('bad-input', error.message, error.details, { cause: error })
  }
}
