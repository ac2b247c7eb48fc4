// From what a publisher signed about a patch to the patch file it is. What it makes of an older adapter is judged where it is used: here
// only size and digest are.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256File } from '../model-files/index.ts'
import { bytesEqual, MeshError, patchFile, readPatchTorrent } from '../protocol/index.ts'
import { fetchTorrent } from './fetch-torrent.ts'
import type { FetchTorrentOptions } from './fetch-torrent.ts'
import type { PeerTraffic } from './network-child/messages.ts'
import type { NetworkClient } from './network-client.ts'

export interface PatchRef {
  /** 20 bytes; a hint. */
  readonly infohash: Uint8Array
  /** Of the patch file. */
  readonly bytes: number
  /** 32 bytes. */
  readonly sha256: Uint8Array
}

export interface FetchPatchJob extends FetchTorrentOptions {
  readonly ref: PatchRef
}

export interface FetchedPatch {
  readonly metainfo: Uint8Array
  /** In the staging folder, and served from there. */
  readonly path: string
  /** Who sent how much of it. */
  readonly peers: readonly PeerTraffic[]
}

/** Throws `no-seeder`, `aborted`, `disk-full`, `piece-mismatch`, `manifest-invalid`; and `hash-mismatch`, with nothing kept. */
export async function fetchPatch(client: NetworkClient, { ref, ...options }: FetchPatchJob): Promise<FetchedPatch> {
  const path = join(options.folder, patchFile)
  const requireSize = (bytes: number): void => {
    if (bytes !== ref.bytes) throw mismatch(`It has ${bytes} bytes instead of ${ref.bytes}.`)
  }
  return fetchTorrent(client, {
    ...options,
    infohash: ref.infohash,
    request: { kind: 'patch' },
    judgeSize: requireSize,
    async passDoor({ metainfo, peers }) {
      if (!bytesEqual(readPatchTorrent(metainfo).infohash, ref.infohash)) throw mismatch('It is another torrent.')
      requireSize((await stat(path)).size)
      if (!bytesEqual(await sha256File(path, { signal: options.signal }), ref.sha256))
        throw mismatch('Its bytes differ.')
      return { metainfo, path, peers }
    },
  })
}

function mismatch(how: string): MeshError {
  return new MeshError('hash-mismatch', `The patch that was fetched is not the one its publisher signed. ${how}`)
}
