// Whether the files of a release are, bit for bit, what its id names. Needs nothing but the id and the files.
import { readFile } from 'node:fs/promises'
import { openFileSource, sha256File, validateAdapter } from '../model-files/index.ts'
import { MeshError, bytesEqual, openManifest, toHex } from '../protocol/index.ts'
import { torrentOfRelease } from './release-pieces.ts'

export interface ReleaseFiles {
  readonly manifest: string
  readonly metainfo: string
  readonly adapter: string
}

/** What of a release is damaged. */
export type ReleasePart = keyof ReleaseFiles

/**
 * The id is the digest of the signed manifest, the manifest names the adapter's digest, and of both the torrent follows: so one flipped bit
 * anywhere shows. Throws `hash-mismatch` with the part in `details.part`, what reading the manifest throws, and `aborted`.
 */
export async function checkReleaseFiles(id: string, files: ReleaseFiles, signal: AbortSignal): Promise<void> {
  const sealed = await readBytes(files.manifest)
  const signed = await within('manifest', id, () => openManifest(sealed))
  if (toHex(signed.releaseId) !== id) throw mismatch('manifest', id)
  const { adapter } = signed.manifest
  if (!bytesEqual(await sha256File(files.adapter, { signal }), adapter.sha256)) throw mismatch('adapter', id)
  using source = openFileSource(files.adapter)
  await within('adapter', id, () => validateAdapter(source, undefined, { signal }))
  const torrent = await torrentOfRelease(sealed, files.adapter, signal)
  if (!bytesEqual(torrent.metainfo, await readBytes(files.metainfo))) throw mismatch('metainfo', id)
}

async function readBytes(path: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(path))
}

/** Says of a refusal which part it is about. */
async function within<T>(part: ReleasePart, id: string, check: () => T | Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    if (!(error instanceof MeshError) || error.code === 'aborted') throw error
    throw new MeshError(error.code, error.message, { ...error.details, part, release: id }, { cause: error })
  }
}

const partNames: Readonly<Record<ReleasePart, string>> = {
  manifest: 'Its manifest',
  metainfo: 'Its list of pieces',
  adapter: 'Its adapter',
}

function mismatch(part: ReleasePart, id: string): MeshError {
  return new MeshError('hash-mismatch', `${partNames[part]} is not what it was.`, { release: id, part })
}
