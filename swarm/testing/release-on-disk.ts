// A release made of random bytes, signed and laid out as the store does. Only the door's model check knows that it is no real adapter.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memorySource, randomAdapterBytes, validateAdapter } from '../../model-files/index.ts'
import type { BaseInfo, RandomAdapterOptions } from '../../model-files/index.ts'
import {
  buildReleaseTorrent,
  concatBytes,
  fromHex,
  releasePieceBytes,
  sha256,
  signManifest,
} from '../../protocol/index.ts'
import type { Author, Manifest, ReleaseTorrent, SignedManifest } from '../../protocol/index.ts'
import { aManifest, anAuthor } from '../../testing/objects.ts'

export interface ReleaseOnDisk {
  readonly signed: SignedManifest
  readonly torrent: ReleaseTorrent
  readonly adapter: Uint8Array
  readonly paths: { readonly manifest: string; readonly adapter: string }
}

export interface ReleaseWish {
  readonly bytes: number
  readonly rngSeed?: number
  readonly author?: Author
  /** What the manifest says other than the truth. */
  readonly adapterClaims?: Partial<Manifest['adapter']>
}

export async function aReleaseOnDisk(folder: string, wish: ReleaseWish): Promise<ReleaseOnDisk> {
  const author = wish.author ?? anAuthor(1)
  const adapter = deterministicBytes(wish.bytes, wish.rngSeed ?? 1)
  const facts = { ...aManifest().adapter, bytes: adapter.length, sha256: sha256(adapter), ...wish.adapterClaims }
  const signed = signManifest(aManifest({ publisher: author.identity, adapter: facts }, author), author)
  return layOut(folder, signed, adapter, signed.sealed)
}

/** A release of an adapter that is what its manifest says, in every respect but the probe. */
export async function aRealReleaseOnDisk(
  folder: string,
  base: BaseInfo,
  options: RandomAdapterOptions,
): Promise<ReleaseOnDisk> {
  const author = anAuthor(1)
  const adapter = randomAdapterBytes(base, options)
  const { rank, alpha, targets } = await validateAdapter(memorySource(adapter), base)
  const facts = {
    bytes: adapter.length,
    sha256: sha256(adapter),
    rank,
    alpha: Math.round(alpha * 1e6),
    targets: [...targets],
  }
  const about = { ...aManifest().base, id: fromHex(base.baseId), tokenizer: fromHex(base.tokenizerId) }
  const signed = signManifest(
    aManifest({ publisher: author.identity, base: about, adapter: { ...facts, dtype: 'F32' } }, author),
    author,
  )
  return layOut(folder, signed, adapter, signed.sealed)
}

/** Lays out any bytes as a release, whether they fit together or not. */
export async function layOut(
  folder: string,
  signed: SignedManifest,
  adapter: Uint8Array,
  manifestFile: Uint8Array,
): Promise<ReleaseOnDisk> {
  await mkdir(folder, { recursive: true })
  const paths = { manifest: join(folder, 'manifest'), adapter: join(folder, 'adapter.gguf') }
  await Promise.all([writeFile(paths.manifest, manifestFile), writeFile(paths.adapter, adapter)])
  const all = concatBytes(manifestFile, adapter)
  const pieceBytes = releasePieceBytes(all.length)
  const hashes: Uint8Array[] = []
  for (let at = 0; at < all.length; at += pieceBytes) {
    hashes.push(
      new Uint8Array(
        createHash('sha1')
          .update(all.subarray(at, at + pieceBytes))
          .digest(),
      ),
    )
  }
  const torrent = buildReleaseTorrent({
    manifestBytes: manifestFile.length,
    adapterBytes: adapter.length,
    pieces: concatBytes(...hashes),
  })
  return { signed, torrent, adapter, paths }
}

function deterministicBytes(length: number, rngSeed: number): Uint8Array {
  const blocks: Uint8Array[] = []
  for (let i = 0; i * 32 < length; i++) blocks.push(sha256(new TextEncoder().encode(`${rngSeed} ${i}`)))
  return Buffer.concat(blocks).subarray(0, length)
}
