import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { packBytes, packedMaxBytes, unpackBytes } from './packed-bytes.ts'

const MiB = 2 ** 20

/** One frame of zeros (RFC 8878): window of 1 MiB, then blocks that repeat a byte 128 Ki times and take four bytes each. */
function zeros(mebibytes: number): Uint8Array {
  const blocks = mebibytes * 8
  const frame = Buffer.alloc(6 + 4 * blocks)
  frame.writeUInt32LE(0xfd2f_b528, 0)
  frame[5] = (20 - 10) << 3
  for (let i = 0; i < blocks; i++)
    frame.writeUIntLE(((2 ** 17) << 3) | (1 << 1) | Number(i === blocks - 1), 6 + 4 * i, 3)
  return frame
}

it('whatever is packed is unpacked, and takes no more than is promised', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3_000 }), (bytes) => {
      const packed = packBytes(bytes)
      expect(packed.length).toBeLessThanOrEqual(packedMaxBytes(bytes.length))
      expect(unpackBytes(packed, bytes.length)).toEqual(Buffer.from(bytes))
    }),
  )
})

it('what would unpack to a gigabyte takes no memory for it', () => {
  expect(unpackBytes(zeros(2), 2 * MiB)).toHaveLength(2 * MiB)
  const bomb = zeros(1_024)
  const before = process.resourceUsage().maxRSS
  expect(unpackBytes(bomb, 4_096)).toBeUndefined()
  // Kilobytes.
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(64 * 1_024)
})

it.each<[string, Uint8Array]>([
  ['too little', zstdCompressSync(new Uint8Array(9))],
  ['too much', zstdCompressSync(new Uint8Array(11))],
  ['cut', zstdCompressSync(new Uint8Array(10)).subarray(0, -1)],
  ['not packed', new Uint8Array(10)],
  ['empty', new Uint8Array(0)],
])('%s is nothing', (_, packed) => {
  expect(unpackBytes(packed, 10)).toBeUndefined()
})
