// For tests: a data folder, and releases of random numbers kept in it as the door keeps those of peers.
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectBase, randomAdapter, randomBase, validateAdapter, openFileSource } from '../../model-files/index.ts'
import { signManifest, toHex } from '../../protocol/index.ts'
import type { Author } from '../../protocol/index.ts'
import { aManifest, anAuthor } from '../../testing/objects.ts'
import { dataPaths } from '../data-folder.ts'
import type { DataPaths } from '../data-folder.ts'
import { torrentOfRelease } from '../release-pieces.ts'
import type { HeldRelease, ReleaseStore } from '../release-store.ts'

export async function emptyDataFolder(root: string): Promise<DataPaths> {
  const paths = dataPaths(root)
  for (const path of [paths.keys, paths.objects, paths.releases, paths.staging, paths.cache, paths.personas])
    await mkdir(path, { recursive: true })
  return paths
}

export interface ReleaseFacts {
  readonly name?: string
  readonly version?: string
  readonly author?: Author
}

/** A valid one: its manifest says what its adapter is. */
export async function keepRelease(
  store: ReleaseStore,
  paths: DataPaths,
  { name = 'biology', version = '1.0.0', author = anAuthor() }: ReleaseFacts = {},
): Promise<HeldRelease> {
  const base = join(paths.staging, 'base.gguf')
  const staged = join(paths.staging, 'adapter.gguf')
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32 }, base)
  const baseInfo = await inspectBase(base)
  const { sha256 } = await randomAdapter(baseInfo, { rank: 2 }, staged)
  const signed = signManifest(
    aManifest({ name, version, adapter: { ...(await adapterFacts(staged)), sha256 } }, author),
    author,
  )
  const { metainfo } = await torrentOfRelease(signed.sealed, staged, new AbortController().signal)
  await rename(staged, store.adapterPath(toHex(sha256)))
  return store.keep(signed, metainfo)
}

async function adapterFacts(path: string) {
  using source = openFileSource(path)
  const { bytes, rank, alpha, targets, dtype } = await validateAdapter(source)
  return { bytes, rank, alpha: Math.round(alpha * 1e6), targets: [...targets], dtype }
}
