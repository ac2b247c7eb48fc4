// The torrent of a release that lies on this disk: its pieces are hashed in one pass over manifest and adapter.
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { buildReleaseTorrent, concatBytes, releasePieceBytes } from '../protocol/index.ts'
import type { ReleaseTorrent } from '../protocol/index.ts'

/** `manifest` is the sealed manifest. */
export async function torrentOfRelease(
  manifest: Uint8Array,
  adapterPath: string,
  signal: AbortSignal,
): Promise<ReleaseTorrent> {
  await using file = await open(adapterPath, 'r')
  const adapterBytes = (await file.stat()).size
  const pieceBytes = releasePieceBytes(manifest.length + adapterBytes)
  const hashes: Uint8Array[] = []
  // The manifest is smaller than a piece or two, so it simply stands in front of the first ones.
  let pending = manifest
  for (let at = 0; at < adapterBytes || pending.length > 0;) {
    signal.throwIfAborted()
    while (pending.length < pieceBytes && at < adapterBytes) {
      const { bytesRead, buffer } = await file.read({ buffer: new Uint8Array(pieceBytes), position: at })
      if (bytesRead === 0) throw new Error('the adapter became shorter while it was read')
      pending = concatBytes(pending, buffer.subarray(0, bytesRead))
      at += bytesRead
    }
    hashes.push(new Uint8Array(createHash('sha1').update(pending.subarray(0, pieceBytes)).digest()))
    pending = pending.subarray(pieceBytes)
  }
  return buildReleaseTorrent({ manifestBytes: manifest.length, adapterBytes, pieces: concatBytes(...hashes) })
}
