// Training output -> a signed, probed release that this node announces and seeds.
import { copyFile, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { makeProbe } from '../assembler/index.ts'
import type { Probe } from '../assembler/index.ts'
import { convertPeft, openFileSource, sha256File, validateAdapter } from '../model-files/index.ts'
import type { AdapterInfo } from '../model-files/index.ts'
import {
  MeshError,
  checkAs,
  encodeManifest,
  fromHex,
  identityToText,
  limits,
  manifestSchema,
  signManifest,
  toHex,
} from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { errorCode, moveSynced } from './private-file.ts'
import { rememberProbed } from './probe-releases.ts'
import { torrentOfRelease } from './release-pieces.ts'
import type { HeldRelease } from './release-store.ts'

const STAGING_PREFIX = 'publish-'

export interface PublishWish {
  /** A PEFT folder as training leaves it, or a LoRA GGUF. */
  readonly path: string
  readonly name: string
  readonly version: string
  readonly summary: string
  /** SPDX. */
  readonly licence: string
  /** Absent: one, with the release's own name and summary. */
  readonly capabilities: readonly { readonly name: string; readonly description: string }[]
  readonly tags: readonly string[]
  /** Strength at run time; 1: as trained. */
  readonly scale: number
  /** How weak and how strong it may be made beside others. Absent: from 0 to twice the scale. */
  readonly scaleRange?: readonly [least: number, most: number] | undefined
  /** Texts on which it shows what it does; the first eight become public. Absent: samples of what it writes. */
  readonly probe?: readonly string[] | undefined
  /** Absent: the base in use. */
  readonly base?: string | undefined
}

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
  /** `pending`: it is signed into the log, and others see it, once a peer has been asked. */
  readonly state: 'published' | 'pending'
  readonly message: string | undefined
}

export type PublishStep = 'convert' | 'check' | 'probe' | 'sign' | 'announce'

/** Throws what each step throws; nothing is announced unless all of them passed. */
export async function publishRelease(
  node: Node,
  wish: PublishWish,
  signal: AbortSignal,
  onStep: (step: PublishStep) => void,
): Promise<PublishedRelease> {
  const base = wish.base === undefined ? node.bases.current() : node.bases.find(wish.base)
  if (base === undefined) {
    throw new MeshError(
      'base-missing',
      'A release is for one base: add the base it was trained on with `lora-mesh base add FILE`.',
      { bases: [] },
    )
  }
  const facts = checkedFacts(wish)
  requireScaleInRange(wish)
  requireNewVersion(node, wish, base)
  const folder = await mkdtemp(join(node.options.paths.staging, STAGING_PREFIX))
  try {
    const staged = await stage(node, wish, base, folder, signal, onStep)
    onStep('probe')
    const engineFile = { path: staged.path, sha256: staged.sha256, scale: wish.scale }
    const baseFile = { path: base.path, sha256: base.file }
    const probe = await makeProbe(node.engine, baseFile, engineFile, { signal, texts: wish.probe ?? [] })
    onStep('sign')
    const signed = signManifest(manifestOf(node, facts, wish, base, staged, probe), node.options.keys.author)
    const torrent = await torrentOfRelease(signed.sealed, staged.path, signal)
    await moveSynced(staged.path, node.releases.adapterPath(staged.sha256))
    const held = await node.releases.keep(signed, torrent.metainfo)
    await rememberProbed(dirname(held.paths.manifest), base)
    onStep('announce')
    const published = await announceOrForget(node, held, base)
    // Without a running network it is seeded when there is one.
    await node.network.swarm?.seed(held.infohash, { metainfo: held.metainfo, paths: held.paths })
    return published
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function requireScaleInRange({ scale, scaleRange }: PublishWish): void {
  if (scaleRange === undefined || (scaleRange[0] <= scale && scale <= scaleRange[1])) return
  const [least, most] = scaleRange
  throw new MeshError('bad-input', `The scale ${scale} is not between ${least} and ${most}, the range given for it.`, {
    scale,
    scaleRange,
  })
}

interface StagedAdapter {
  readonly info: AdapterInfo
  readonly path: string
  /** Lower-case hex. */
  readonly sha256: string
}

function requireNewVersion(node: Node, { name, version }: PublishWish, base: KnownBase): void {
  const taken = node.registry
    .catalogue()
    .find(
      ({ own, manifest }) =>
        own && manifest.name === name && manifest.version === version && toHex(manifest.base.id) === base.id,
    )
  if (taken === undefined) return
  throw new MeshError(
    'version-taken',
    `You already published ${name}@${version} for ${base.label}: choose a higher version.`,
    {
      name,
      version,
      owner: toHex(taken.releaseId),
    },
  )
}

/** Converts or copies the adapter and checks it against the base. */
async function stage(
  node: Node,
  wish: PublishWish,
  base: KnownBase,
  folder: string,
  signal: AbortSignal,
  onStep: (step: PublishStep) => void,
): Promise<StagedAdapter> {
  const baseInfo = await node.bases.info(base, signal)
  const path = join(folder, 'adapter.gguf')
  onStep('convert')
  if ((await kindOf(wish.path)) === 'folder') await convertPeft({ dir: wish.path, base: baseInfo, out: path, signal })
  else await copyFile(wish.path, path)
  onStep('check')
  using source = openFileSource(path)
  const info = await validateAdapter(source, baseInfo, { signal })
  return { info, path, sha256: toHex(await sha256File(path, { signal })) }
}

const factsSchema = manifestSchema.pick({
  name: true,
  version: true,
  summary: true,
  capabilities: true,
  tags: true,
  licence: true,
})
type ReleaseFacts = z.infer<typeof factsSchema>

/** What the publisher says of it. Throws `bad-input`: before the adapter is measured, which takes minutes for a large base. */
function checkedFacts({ name, version, summary, capabilities, tags, licence }: PublishWish): ReleaseFacts {
  return checkAs(
    'release',
    factsSchema,
    {
      name,
      version,
      summary,
      capabilities: capabilities.length > 0 ? [...capabilities] : [{ name, description: summary }],
      tags: [...new Set(tags)].toSorted(),
      licence,
    },
    'bad-input',
  )
}

/** Millionths. From nothing to twice as strong as its publisher means it, where nobody says otherwise and the format allows that. */
function scaleRangeOf(scale: number, wished: PublishWish['scaleRange']): [number, number] {
  if (wished !== undefined) return [Math.round(wished[0] * 1e6), Math.round(wished[1] * 1e6)]
  const most = limits.scaleMaxMillionths
  return scale < 0 ? [Math.max(2 * scale, -most), 0] : [0, Math.min(2 * scale, most)]
}

function manifestOf(
  node: Node,
  facts: ReleaseFacts,
  wish: Pick<PublishWish, 'scale' | 'scaleRange'>,
  base: KnownBase,
  { info, sha256 }: StagedAdapter,
  probe: Probe,
): Manifest {
  const scale = Math.round(wish.scale * 1e6)
  const manifest: Manifest = {
    ...facts,
    schema: 1,
    publisher: node.options.keys.author.identity,
    base: {
      id: fromHex(base.id),
      tokenizer: fromHex(base.tokenizer),
      label: base.label,
      evaluatedOn: [fromHex(base.file)],
    },
    requires: [],
    adapter: {
      bytes: info.bytes,
      sha256: fromHex(sha256),
      rank: info.rank,
      alpha: Math.round(info.alpha * 1e6),
      targets: [...info.targets],
      dtype: info.dtype,
    },
    use: { scale, scaleRange: scaleRangeOf(scale, wish.scaleRange) },
    probe,
    evaluations: [],
    lineage: { method: 'trained', parents: [] },
    createdAt: node.options.clock(),
  }
  try {
    encodeManifest(manifest)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    throw new MeshError('bad-input', error.message, error.details, { cause: error })
  }
  return manifest
}

/** What could not be announced, because its name was taken meanwhile or the disk is full, is not kept and never seeded. */
async function announceOrForget(node: Node, held: HeldRelease, base: KnownBase): Promise<PublishedRelease> {
  try {
    return announce(node, held, base)
  } catch (error) {
    await node.releases.remove(held)
    throw error
  }
}

function announce(node: Node, { id, signed, infohash }: HeldRelease, base: KnownBase): PublishedRelease {
  const { manifest } = signed
  const result = node.registry.publishRelease(signed, infohash)
  return {
    release: `${identityToText(manifest.publisher)}/${manifest.name}@${manifest.version}`,
    releaseId: id,
    infohash: toHex(infohash),
    sha256: toHex(manifest.adapter.sha256),
    bytes: manifest.adapter.bytes,
    rank: manifest.adapter.rank,
    targets: manifest.adapter.targets,
    base: { id: base.id, label: base.label },
    state: result.kind === 'appended' ? 'published' : 'pending',
    message: result.kind === 'appended' ? result.warning : result.message,
  }
}

/** Anything else would be waited for, such as a pipe, or have no end, such as a device. */
async function kindOf(path: string): Promise<'file' | 'folder'> {
  const facts = await stat(path).catch((cause: unknown) => {
    if (errorCode(cause) !== 'ENOENT') throw cause
    throw new MeshError('not-found', `There is no file or folder ${path}.`, { path }, { cause })
  })
  if (facts.isDirectory()) return 'folder'
  if (facts.isFile()) return 'file'
  throw new MeshError('bad-input', `${path} is neither a file nor a folder: give a PEFT folder or a LoRA GGUF.`, {
    path,
  })
}

/** What publications that were killed left behind. Call it while nothing is being published. */
export async function removeLeftPublications(staging: string): Promise<void> {
  const left = (await readdir(staging)).filter((name) => name.startsWith(STAGING_PREFIX))
  for (const name of left) await rm(join(staging, name), { recursive: true, force: true })
}
