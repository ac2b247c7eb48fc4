import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../../protocol/index.ts'
import { frameBytes, FrameReader } from './frame-reader.ts'

const header = (length: number): Uint8Array => new Uint8Array(Uint32Array.of(length).buffer).toReversed()

test('frames come out as they went in, however the stream is cut', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 })
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(frameBytes))
      const reader = new FrameReader()
      const read: Uint8Array[] = []
      for (let at = 0, i = 0; at < stream.length; at += cuts[i++ % cuts.length]!) {
        read.push(...reader.push(stream.subarray(at, at + cuts[i % cuts.length]!)))
      }
      expect(read).toEqual(sent)
      expect(reader.pendingBytes).toBe(0)
    }),
  )
})

test('a header that claims too much is refused before anything of the frame arrives', () => {
  expect(() => new FrameReader().push(header(limits.frameMaxBytes + 1))).toThrow(/announced a frame/)
  expect(() => new FrameReader().push(header(0xffff_ffff))).toThrow(/announced a frame/)
  expect(new FrameReader().push(header(limits.frameMaxBytes))).toEqual([])
})

test('a frame does not keep the chunk that it came in, nor change with it', () => {
  const chunk = Buffer.from([...frameBytes(Uint8Array.of(1, 2)), ...new Uint8Array(50)])
  const [frame] = new FrameReader().push(chunk)
  chunk.fill(9)
  expect(frame).toEqual(Uint8Array.of(1, 2))
  expect(frame!.buffer.byteLength).toBeLessThan(chunk.length)
})
