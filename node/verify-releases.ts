// Looks at every byte this node holds again: bit rot and meddling are found before they are served or used.
import { open } from 'node:fs/promises'
import { openFileSource, sha256File, validateAdapter } from '../model-files/index.ts'
import { MeshError, bytesEqual, openManifest, toHex } from '../protocol/index.ts'
import type { MeshErrorCode } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import { errorBody } from './error-mapping.ts'
import { torrentOfRelease } from './release-pieces.ts'
import type { HeldRelease } from './release-store.ts'

export interface BrokenRelease {
  readonly release: string
  readonly releaseId: string
  readonly code: MeshErrorCode | 'internal'
  readonly message: string
}

export interface Verification {
  readonly checked: number
  readonly bytes: number
  readonly broken: readonly BrokenRelease[]
  readonly ok: boolean
}

export async function verifyReleases(
  node: Pick<Node, 'releases'>,
  signal: AbortSignal,
  onChecked: (name: string) => void,
): Promise<Verification> {
  const held = node.releases.list()
  const broken: BrokenRelease[] = node.releases.leftOut().map(({ id, code, message }) => ({
    release: id.slice(0, 12),
    releaseId: id,
    code,
    message,
  }))
  const checked = held.length + broken.length
  for (const release of held) {
    const { name, version } = release.signed.manifest
    const problem = await problemOf(release, signal)
    if (problem !== undefined) {
      broken.push({ release: `${name}@${version}`, releaseId: release.id, ...problem })
      node.releases.leaveOut(release, problem.code === 'internal' ? 'storage-failed' : problem.code, problem.message)
    }
    onChecked(`${name}@${version}`)
  }
  const bytes = held.reduce((sum, { signed }) => sum + signed.manifest.adapter.bytes, 0)
  return { checked, bytes, broken, ok: broken.length === 0 }
}

async function problemOf(
  release: HeldRelease,
  signal: AbortSignal,
): Promise<Pick<BrokenRelease, 'code' | 'message'> | undefined> {
  try {
    await checkFiles(release, signal)
    return undefined
  } catch (error) {
    if (signal.aborted) throw error
    const { code, message } = errorBody(error)
    return { code, message }
  }
}

async function checkFiles({ id, paths, infohash, signed }: HeldRelease, signal: AbortSignal): Promise<void> {
  const wrong = (what: string): Error =>
    new MeshError(
      'hash-mismatch',
      `${what} is not what it was: it is used and served no more. Get it again with \`lora-mesh seed ${signed.manifest.name}\`.`,
      { release: id },
    )
  await using file = await open(paths.manifest, 'r')
  const sealed = new Uint8Array(await file.readFile())
  if (!bytesEqual(sealed, signed.sealed) || toHex(openManifest(sealed).releaseId) !== id) throw wrong('Its manifest')
  if (!bytesEqual(await sha256File(paths.adapter, { signal }), signed.manifest.adapter.sha256))
    throw wrong('Its adapter')
  using source = openFileSource(paths.adapter)
  await validateAdapter(source, undefined, { signal })
  const torrent = await torrentOfRelease(sealed, paths.adapter, signal)
  if (!bytesEqual(torrent.infohash, infohash)) throw wrong('Its torrent')
}
