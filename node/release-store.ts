// Releases this node holds: per release a folder with the signed manifest and the torrent's metainfo, and the adapter under its own
// digest, which several releases may share; beside them the patches that lead to it. Only what came through the door, or was published here, is put in.
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256File } from '../model-files/index.ts'
import { MeshError, bytesEqual, openManifest, readPatchTorrent, readReleaseTorrent, toHex } from '../protocol/index.ts'
import type { MeshErrorCode, SignedManifest } from '../protocol/index.ts'
import type { DataPaths } from './data-folder.ts'
import { refusalOf } from './error-mapping.ts'
import { errorCode, moveSynced, writePrivateFile } from './private-file.ts'

export interface HeldRelease {
  /** 64 hex digits. */
  readonly id: string
  readonly signed: SignedManifest
  /** 20 bytes. */
  readonly infohash: Uint8Array
  readonly metainfo: Uint8Array
  readonly paths: { readonly manifest: string; readonly adapter: string }
  /** What leads to it from other releases; served like the release itself. */
  readonly patches: readonly HeldPatch[]
}

export interface HeldPatch {
  /** 20 bytes. */
  readonly infohash: Uint8Array
  readonly metainfo: Uint8Array
  readonly path: string
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
  /** What was found damaged and was not kept again since. */
  leftOut(): readonly LeftOutRelease[]
  ids(): ReadonlySet<string>
  get(id: string): HeldRelease | undefined
  /** Where an adapter with this SHA-256 (hex) lies or is to be put. */
  adapterPath(sha256: string): string
  /** Keeps a release whose adapter is in its place already. */
  keep(signed: SignedManifest, metainfo: Uint8Array): Promise<HeldRelease>
  /** Moves a patch beside the release it leads to. Throws `disk-full` or `storage-failed`. */
  keepPatch(release: HeldRelease, patch: HeldPatch): Promise<HeldPatch>
  /** Counts a release as not held, because it is damaged: it is used and served no more, and can be got again. */
  leaveOut(release: HeldRelease, code: MeshErrorCode, message: string): void
  /** Reads the adapter again unless it was read since it last changed. Throws `hash-mismatch`, and leaves the release out. */
  requireIntact(release: HeldRelease, signal: AbortSignal): Promise<void>
  /** Takes a release off the disk; its adapter stays while another release has the same. */
  remove(release: HeldRelease): Promise<void>
}

const MANIFEST = 'manifest'
const METAINFO = 'metainfo'
/** A patch is named by its infohash; its metainfo has an ending. */
const PATCH = /^patch-[0-9a-f]{40}$/
const PATCH_METAINFO = '.metainfo'

/**
 * Leaves out, and tells, whatever is damaged: one broken folder must not keep a node from starting. `onLost` hears of releases that were
 * held and are no more.
 */
export async function openReleaseStore(
  paths: DataPaths,
  tell: (line: string) => void,
  onLost: (release: HeldRelease) => void = () => {},
): Promise<ReleaseStore> {
  const held = new Map<string, HeldRelease>()
  const leftOut = new Map<string, LeftOutRelease>()
  /** Release id -> what the adapter's file looked like when its digest was right. */
  const intact = new Map<string, string>()
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
  const store: ReleaseStore = {
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
    async keepPatch(release, { infohash, metainfo, path }) {
      const kept = { infohash, metainfo, path: join(dirname(release.paths.manifest), `patch-${toHex(infohash)}`) }
      await moveSynced(path, kept.path)
      // Last: a patch without metainfo is one that was not finished.
      await writePrivateFile(kept.path + PATCH_METAINFO, metainfo)
      const now = held.get(release.id) ?? release
      const others = now.patches.filter((patch) => patch.path !== kept.path)
      if (held.has(release.id)) held.set(release.id, { ...now, patches: [...others, kept] })
      return kept
    },
    leaveOut(release, code, message) {
      if (!held.delete(release.id)) return
      leftOut.set(release.id, { id: release.id, code, message })
      onLost(release)
    },
    async requireIntact(release, signal) {
      const { id, paths: files, signed } = release
      const { name, adapter } = signed.manifest
      const facts = await stat(files.adapter).catch(() => undefined)
      const look = facts && `${facts.ino} ${facts.size} ${facts.mtimeMs}`
      if (look !== undefined && intact.get(id) === look) return
      if (look !== undefined && bytesEqual(await sha256File(files.adapter, { signal }), adapter.sha256)) {
        intact.set(id, look)
        return
      }
      const message = `The adapter of ${name}@${signed.manifest.version} is gone or not what it was: get it again with \`lora-mesh seed ${name}\`.`
      store.leaveOut(release, 'hash-mismatch', message)
      throw new MeshError('hash-mismatch', message, { release: id })
    },
    async remove(release) {
      const { id, paths: files } = release
      held.delete(id)
      onLost(release)
      await rm(dirname(files.manifest), { recursive: true, force: true })
      if (![...held.values()].some((other) => other.paths.adapter === files.adapter))
        await rm(files.adapter, { force: true })
    },
  }
  return store
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
  const patches = await loadPatches(folder)
  return { id, signed, infohash: torrent.infohash, metainfo, paths: { manifest, adapter }, patches }
}

/** One that is unfinished or damaged is removed: whoever wants it takes it from others, or the whole file. */
async function loadPatches(folder: string): Promise<HeldPatch[]> {
  const patches: HeldPatch[] = []
  for (const name of (await readdir(folder)).filter((file) => PATCH.test(file))) {
    const path = join(folder, name)
    try {
      const metainfo = new Uint8Array(await readFile(path + PATCH_METAINFO))
      const { infohash, files } = readPatchTorrent(metainfo)
      if (`patch-${toHex(infohash)}` !== name || files[0]?.bytes !== (await stat(path)).size) throw new Error('damaged')
      patches.push({ infohash, metainfo, path })
    } catch {
      await Promise.all([path, path + PATCH_METAINFO].map((file) => rm(file, { force: true })))
    }
  }
  return patches
}

function brokenRelease(id: string, error: unknown): MeshError {
  return new MeshError('hash-mismatch', String(error), { release: id }, { cause: error })
}
