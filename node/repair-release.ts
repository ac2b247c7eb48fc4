// A broken release is had again: its files go aside first, so that nothing broken stays where it could be taken for whole; then it is put
// together from what is whole here, or else fetched from peers.
import { copyFile, mkdir, readFile, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { sha256File } from '../model-files/index.ts'
import {
  MeshError,
  bytesEqual,
  fromHex,
  isMeshError,
  openManifest,
  readReleaseTorrent,
  toHex,
} from '../protocol/index.ts'
import type { SignedManifest } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { errorCode } from './private-file.ts'
import { torrentOfRelease } from './release-pieces.ts'

export type RepairNode = Pick<Node, 'releases' | 'registry' | 'network' | 'fetcher' | 'options'>

/** What is still known of a broken release. */
export interface BrokenRelease {
  readonly id: string
  readonly label: string
  readonly signed: SignedManifest | undefined
  /** 20 bytes. */
  readonly infohash: Uint8Array | undefined
}

/** `rebuilt`: from what was still whole here. `unfetched`: it would have to be fetched. */
export type Repair = 'rebuilt' | 'fetched' | 'unfetched'

/** What this node knows of a release by its id alone: from its catalogue, else from what is still whole of its folder. */
export async function recallRelease(
  { registry, options }: Pick<Node, 'registry' | 'options'>,
  id: string,
): Promise<BrokenRelease> {
  const entry = /^[0-9a-f]{64}$/.test(id) ? registry.release(fromHex(id)) : undefined
  const folder = join(options.paths.releases, id)
  const signed = entry === undefined ? await readManifest(folder, id) : openManifest(entry.sealed)
  const label = signed === undefined ? id.slice(0, 12) : `${signed.manifest.name}@${signed.manifest.version}`
  return { id, label, signed, infohash: entry?.infohash ?? (await readInfohash(folder)) }
}

async function readManifest(folder: string, id: string): Promise<SignedManifest | undefined> {
  const signed = await readWhole(join(folder, 'manifest'), openManifest)
  return signed !== undefined && toHex(signed.releaseId) === id ? signed : undefined
}

/** Only a hint: what is fetched under it is judged by the release's id. */
async function readInfohash(folder: string): Promise<Uint8Array | undefined> {
  return (await readWhole(join(folder, 'metainfo'), readReleaseTorrent))?.infohash
}

/** Undefined for a file that is gone or not what it should be. */
async function readWhole<T>(path: string, read: (bytes: Uint8Array) => T): Promise<T | undefined> {
  try {
    return read(new Uint8Array(await readFile(path)))
  } catch (error) {
    if (isMeshError(error) || errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Throws what fetching throws, `not-found` for a release nobody has told of. */
export async function repairRelease(
  node: RepairNode,
  broken: BrokenRelease,
  { mayFetch }: { readonly mayFetch: boolean },
  context: CallContext,
): Promise<Repair> {
  const { id, label, signed, infohash } = broken
  await copyAside(node, id)
  if (signed !== undefined && (await hasWholeAdapter(node, signed, context.signal))) {
    await rebuild(node, signed, context.signal)
    return 'rebuilt'
  }
  if (!mayFetch) return 'unfetched'
  if (infohash === undefined)
    throw new MeshError('not-found', `Nobody this node has met tells of the release ${id.slice(0, 12)}.`, {
      release: id,
    })
  await node.fetcher.fetch({ releaseId: fromHex(id, 32), infohash, label }, undefined, context)
  return 'fetched'
}

/** Puts a file into the folder `damaged`, which nothing reads; one of the same name there is replaced. One that is gone is fine. */
export async function moveAside({ options }: Pick<Node, 'options'>, path: string): Promise<void> {
  await rename(path, join(await damagedFolder(options.paths.root), basename(path))).catch(unlessGone)
}

/** The small files stay as well: a release whose folder is empty would be forgotten before it is had again. */
async function copyAside({ options }: RepairNode, id: string): Promise<void> {
  const folder = await damagedFolder(options.paths.root)
  for (const name of ['manifest', 'metainfo'])
    await copyFile(join(options.paths.releases, id, name), join(folder, `${basename(id)}.${name}`)).catch(unlessGone)
}

async function damagedFolder(root: string): Promise<string> {
  const folder = join(root, 'damaged')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return folder
}

function unlessGone(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error
}

/** One that isn't whole goes aside. */
async function hasWholeAdapter(
  node: RepairNode,
  { manifest: { adapter } }: SignedManifest,
  signal: AbortSignal,
): Promise<boolean> {
  const path = node.releases.adapterPath(toHex(adapter.sha256))
  const digest = await sha256File(path, { signal }).catch(unlessMissing)
  if (digest === undefined) return false
  if (bytesEqual(digest, adapter.sha256)) return true
  await moveAside(node, path)
  return false
}

function unlessMissing(error: unknown): undefined {
  if (!isMeshError(error, 'not-found')) throw error
  return undefined
}

async function rebuild(node: RepairNode, signed: SignedManifest, signal: AbortSignal): Promise<void> {
  const adapter = node.releases.adapterPath(toHex(signed.manifest.adapter.sha256))
  const { metainfo } = await torrentOfRelease(signed.sealed, adapter, signal)
  const { infohash, paths } = await node.releases.keep(signed, metainfo)
  await node.network.swarm?.seed(infohash, { metainfo, paths })
}
