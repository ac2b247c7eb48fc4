// One stream of bytes, packed with zstd (RFC 8878). Streams are pieces of at most a few megabytes, so a window of one megabyte bounds what
// unpacking takes, whatever a frame claims.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

const windowLog = 20

/** Level 3; matches shorter than 7 are chance in such data, and cost more than they save. */
const packing = {
  params: {
    [constants.ZSTD_c_compressionLevel]: 3,
    [constants.ZSTD_c_minMatch]: 7,
    [constants.ZSTD_c_windowLog]: windowLog,
  },
}

export function packBytes(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, packing)
}

/** More than zstd ever makes of so many bytes. */
export function packedMaxBytes(bytes: number): number {
  return bytes + (bytes >>> 7) + 64
}

/** Exactly `bytes` bytes; undefined if that is not what was packed. */
export function unpackBytes(packed: Uint8Array, bytes: number): Uint8Array | undefined {
  try {
    const unpacked = zstdDecompressSync(packed, {
      // Zero is no limit that can be given.
      maxOutputLength: Math.max(1, bytes),
      params: { [constants.ZSTD_d_windowLogMax]: windowLog },
    })
    return unpacked.length === bytes ? unpacked : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}
