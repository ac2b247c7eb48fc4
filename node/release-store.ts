// Releases this node holds: per release a folder with the signed manifest and the torrent's metainfo, and the adapter under its own
// digest, which several releases may share. Only what came through the door, or was published here, is put in.
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, bytesEqual, openManifest, readReleaseTorrent, toHex } from '../protocol/index.ts'
import type { MeshErrorCode, SignedManifest } from '../protocol/index.ts'
import type { DataPaths } from './data-folder.ts'
import { refusalOf } from './error-mapping.ts'
import { errorCode, writePrivateFile } from './private-file.ts'

export interface HeldRelease {
  /** 64 hex digits. */
  readonly id: string
  readonly signed: SignedManifest
  /** 20 bytes. */
  readonly infohash: Uint8Array
  readonly metainfo: Uint8Array
  readonly paths: { readonly manifest: string; readonly adapter: string }
}

/** A release that lies here and is of no use. */
export interface LeftOutRelease {
  /** The name of its folder; 64 hex digits unless somebody else made it. */
  readonly id: string
  readonly code: MeshErrorCode
  readonly message: string
}

export interface ReleaseStore {
  list(): readonly HeldRelease[]
  /** What was damaged when the store was opened, and was not kept again since. */
  leftOut(): readonly LeftOutRelease[]
  ids(): ReadonlySet<string>
  get(id: string): HeldRelease | undefined
  /** Where an adapter with this SHA-256 (hex) lies or is to be put. */
  adapterPath(sha256: string): string
  /** Keeps a release whose adapter is in its place already. */
  keep(signed: SignedManifest, metainfo: Uint8Array): Promise<HeldRelease>
}

const MANIFEST = 'manifest'
const METAINFO = 'metainfo'

/** Leaves out, and tells, whatever is damaged: one broken folder must not keep a node from starting. */
export async function openReleaseStore(paths: DataPaths, tell: (line: string) => void): Promise<ReleaseStore> {
  const held = new Map<string, HeldRelease>()
  const leftOut = new Map<string, LeftOutRelease>()
  const adapterPath = (sha256: string): string => join(paths.objects, `${sha256}.gguf`)
  for (const id of await readdir(paths.releases)) {
    const release = await load(join(paths.releases, id), id, adapterPath).catch((error: unknown) => {
      const { code, message } = refusalOf(error) ?? brokenRelease(id, error)
      leftOut.set(id, { id, code, message })
      tell(`The release ${id.slice(0, 12)} is left out: ${message}`)
      return undefined
    })
    if (release !== undefined) held.set(id, release)
  }
  return {
    list: () => [...held.values()],
    leftOut: () => [...leftOut.values()],
    ids: () => new Set(held.keys()),
    get: (id) => held.get(id),
    adapterPath,
    async keep(signed, metainfo) {
      const id = toHex(signed.releaseId)
      const folder = join(paths.releases, id)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writePrivateFile(join(folder, METAINFO), metainfo)
      // Last: a folder without a manifest is one that was not finished.
      await writePrivateFile(join(folder, MANIFEST), signed.sealed)
      const release = await load(folder, id, adapterPath)
      if (release === undefined) throw new Error('a release that was just written is there')
      held.set(id, release)
      leftOut.delete(id)
      return release
    },
  }
}

async function load(
  folder: string,
  id: string,
  adapterPath: (sha256: string) => string,
): Promise<HeldRelease | undefined> {
  const manifest = join(folder, MANIFEST)
  const sealed = await readFile(manifest).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (sealed === undefined) {
    await rm(folder, { recursive: true, force: true })
    return undefined
  }
  const signed = openManifest(new Uint8Array(sealed))
  const metainfo = new Uint8Array(await readFile(join(folder, METAINFO)))
  const torrent = readReleaseTorrent(metainfo)
  const adapter = adapterPath(toHex(signed.manifest.adapter.sha256))
  const { size } = await stat(adapter).catch((cause: unknown) => {
    if (errorCode(cause) !== 'ENOENT') throw cause
    throw new MeshError(
      'not-found',
      'its adapter file is gone: get it again with `lora-mesh seed NAME`.',
      { release: id },
      { cause },
    )
  })
  const fits = torrent.layout.manifestBytes === sealed.length && torrent.layout.adapterBytes === size
  if (
    toHex(signed.releaseId) !== id ||
    !fits ||
    size !== signed.manifest.adapter.bytes ||
    !bytesEqual(signed.sealed, sealed)
  ) {
    throw new MeshError(
      'hash-mismatch',
      'its files do not belong together: delete its folder, and get it again with `lora-mesh seed NAME`.',
      { release: id },
    )
  }
  return { id, signed, infohash: torrent.infohash, metainfo, paths: { manifest, adapter } }
}

function brokenRelease(id: string, error: unknown): MeshError {
  return new MeshError('hash-mismatch', String(error), { release: id }, { cause: error })
}
