// Training output -> a checked LoRA GGUF in a folder of its own, beside the downloads, on the disk where releases are kept.
import { copyFile, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { convertPeft, openFileSource, sha256File, validateAdapter } from '../model-files/index.ts'
import type { AdapterInfo } from '../model-files/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { errorCode } from './private-file.ts'

const STAGING_PREFIX = 'publish-'
const UPGRADE_PATCH = 'upgrade.patch'

export interface StagedAdapter {
  readonly info: AdapterInfo
  /** Named by its content: llama.cpp goes by the path, and would answer from another file that lay there before. */
  readonly path: string
  /** Lower-case hex. */
  readonly sha256: string
}

export interface StagingFolder extends AsyncDisposable {
  readonly path: string
}

/** Gone once it is disposed of, and when the node starts again. */
export async function stagingFolder(node: Node): Promise<StagingFolder> {
  const path = await mkdtemp(join(node.options.paths.staging, STAGING_PREFIX))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Of a release that waits for its publisher's yes. */
export function draftFolder(node: Node, releaseId: string): string {
  return join(node.options.paths.staging, `${STAGING_PREFIX}${releaseId}`)
}

/** `sha256`: lower-case hex. */
export function stagedPath(folder: string, sha256: string): string {
  return join(folder, `${sha256}.gguf`)
}

/** Where a patch that leads to the staged adapter lies, if there is one. */
export function stagedPatchPath(folder: string): string {
  return join(folder, UPGRADE_PATCH)
}

/** Converts or copies the adapter and checks it against the base. Emits the steps `convert` and `check`. */
export async function stageAdapter(
  node: Node,
  path: string,
  base: KnownBase,
  folder: StagingFolder,
  { signal, emit }: CallContext,
): Promise<StagedAdapter> {
  const baseInfo = await node.bases.info(base, signal)
  const out = join(folder.path, 'converted.gguf')
  emit({ type: 'step', step: 'convert' })
  if ((await kindOf(path)) === 'folder') await convertPeft({ dir: path, base: baseInfo, out, signal })
  else await copyFile(path, out)
  emit({ type: 'step', step: 'check' })
  const checked = await checkAdapter(node, out, base, signal)
  const named = stagedPath(folder.path, checked.sha256)
  await rename(out, named)
  return { ...checked, path: named }
}

/** Throws what a file throws that isn't an adapter for this base. */
export async function checkAdapter(
  node: Node,
  path: string,
  base: KnownBase,
  signal: AbortSignal,
): Promise<StagedAdapter> {
  const baseInfo = await node.bases.info(base, signal)
  using source = openFileSource(path)
  const info = await validateAdapter(source, baseInfo, { signal })
  return { info, path, sha256: toHex(await sha256File(path, { signal })) }
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

/** What publications that were killed, and drafts that nobody answered, left behind. Call it while nothing is being published. */
export async function removeLeftPublications(staging: string): Promise<void> {
  const left = (await readdir(staging)).filter((name) => name.startsWith(STAGING_PREFIX))
  for (const name of left) await rm(join(staging, name), { recursive: true, force: true })
}
