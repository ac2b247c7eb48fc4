import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { memorySource } from './byte-source.ts'
import { ggmlTypes, tensorBytes } from './gguf-format.ts'
import type { GgufValue } from './gguf-format.ts'
import { readGguf, readTensor, tensorChunks } from './gguf-reader.ts'
import { writeGguf, writeGgufFile } from './gguf-writer.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-writer-'))
afterAll(() => rmSync(folder, { recursive: true }))

const text = fc.string({ unit: 'binary', maxLength: 20 }).filter((candidate) => candidate.isWellFormed())
const f32 = fc.float({ noNaN: true })
const f64 = fc.double({ noNaN: true })
const numbers = {
  uint8: fc.nat(255),
  int8: fc.integer({ min: -128, max: 127 }),
  uint16: fc.nat(65_535),
  int16: fc.integer({ min: -32_768, max: 32_767 }),
  uint32: fc.nat(0xffff_ffff),
  int32: fc.integer(),
  float32: f32,
  float64: f64,
  bool: fc.boolean(),
  string: text,
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
}
const scalar = fc.oneof(
  ...Object.entries(numbers).map(([type, value]) => fc.record({ type: fc.constant(type), value })),
) as fc.Arbitrary<GgufValue>
const array = fc.oneof(
  ...Object.entries(numbers).map(([itemType, value]) =>
    fc.record({
      type: fc.constant('array'),
      itemType: fc.constant(itemType),
      value: fc.array<number | boolean | string | bigint>(value, { maxLength: 5 }),
    }),
  ),
) as fc.Arbitrary<GgufValue>
const metadata = fc.uniqueArray(
  fc
    .tuple(fc.stringMatching(/^[a-z0-9_.-]{1,64}$/), fc.oneof(scalar, array))
    .filter(([key]) => key !== 'general.alignment'),
  { selector: ([key]) => key, maxLength: 8 },
)
const tensor = fc
  .record({
    name: fc.stringMatching(/^[a-z0-9_.]{1,63}$/),
    type: fc.constantFrom(...Object.values(ggmlTypes)),
    rows: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 3 }),
    blocksPerRow: fc.integer({ min: 1, max: 3 }),
    fill: fc.nat(255),
  })
  .map(({ name, type, rows, blocksPerRow, fill }) => {
    const shape = [blocksPerRow * type.blockElements, ...rows]
    return { name, type, shape, data: new Uint8Array(tensorBytes(type, shape)!).fill(fill) }
  })
const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 5 })

describe('writing GGUF', () => {
  test('whatever is written is read back, and written again gives the same bytes', () => {
    fc.assert(
      fc.property(metadata, tensors, (metadata, tensors) => {
        const bytes = writeGguf({ metadata, tensors })
        for (const profile of ['base', 'adapter'] as const) {
          const file = readGguf(memorySource(bytes), profile)
          expect([...file.metadata]).toEqual(metadata)
          expect(file.tensors.map(({ name, type, shape }) => ({ name, type, shape }))).toEqual(
            tensors.map(({ name, type, shape }) => ({ name, type, shape })),
          )
          const data = file.tensors.map((info) => ({ ...info, data: readTensor(file, info) }))
          expect(data.map((info) => [...info.data])).toEqual(tensors.map((given) => [...given.data]))
          expect(Buffer.compare(writeGguf({ metadata: file.metadata, tensors: data }), bytes)).toBe(0)
        }
      }),
    )
  })

  test('text keeps a byte order mark and characters outside the basic plane', () => {
    const value = '\ufeff\u0000\ud83d\ude00 \u2581'
    const bytes = writeGguf({ metadata: [['text', { type: 'string', value }]], tensors: [] })
    expect(readGguf(memorySource(bytes), 'adapter').metadata.get('text')).toEqual({ type: 'string', value })
  })

  test('a file written piece by piece is the file written at once', async () => {
    const data = Uint8Array.from({ length: 4 * 1_000 }, (_, i) => i % 241)
    const rest = Uint8Array.from({ length: 34 * 3 }, (_, i) => i)
    const shapes = [
      { name: 'a', type: ggmlTypes.F32, shape: [10, 100] },
      { name: 'b', type: ggmlTypes.Q8_0, shape: [32, 3] },
    ] as const
    const metadata = [['general.name', { type: 'string', value: 'a name' }]] as const
    const whole = writeGguf({
      metadata,
      tensors: [
        { ...shapes[0], data },
        { ...shapes[1], data: rest },
      ],
    })
    const path = join(folder, 'pieces.gguf')
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < data.length; at += 333) yield data.subarray(at, at + 333)
    }
    const written = await writeGgufFile(path, {
      metadata,
      tensors: [
        { ...shapes[0], data: pieces() },
        { ...shapes[1], data: [rest.subarray(0, 1), rest.subarray(1)] },
      ],
    })
    expect(readFileSync(path)).toEqual(Buffer.from(whole))
    expect(written.bytes).toBe(whole.length)
    expect(Buffer.from(written.sha256)).toEqual(createHash('sha256').update(whole).digest())
  })

  test('chunks of a tensor are whole blocks and make up the tensor', () => {
    const data = Uint8Array.from({ length: 34 * 10 }, (_, i) => i % 256)
    const bytes = writeGguf({ metadata: [], tensors: [{ name: 'x', type: ggmlTypes.Q8_0, shape: [320], data }] })
    const file = readGguf(memorySource(bytes), 'base')
    for (const chunkBytes of [1, 34, 100, 1_000]) {
      const chunks = [...tensorChunks(file, file.tensors[0]!, chunkBytes)]
      expect(chunks.every((chunk) => chunk.length % 34 === 0)).toBe(true)
      expect(Buffer.concat(chunks)).toEqual(Buffer.from(data))
    }
  })

  test.each([
    ['too few bytes', [new Uint8Array(3)]],
    ['too many bytes', [new Uint8Array(4), new Uint8Array(1)]],
  ])('%s for a tensor are a bug of the caller, and nothing is left behind', async (_, data) => {
    const path = join(folder, 'failed.gguf')
    const tensors = [{ name: 'x', type: ggmlTypes.F32, shape: [1], data }]
    await expect(writeGgufFile(path, { metadata: [], tensors })).rejects.toThrow('needs 4 bytes')
    expect(readdirSync(folder).filter((name) => name.startsWith('failed'))).toEqual([])
  })

  test('a cancelled write leaves nothing behind', async () => {
    const path = join(folder, 'cancelled.gguf')
    const controller = new AbortController()
    function* data(): Generator<Uint8Array> {
      yield new Uint8Array(4)
      controller.abort()
      yield new Uint8Array(4)
    }
    const tensors = [{ name: 'x', type: ggmlTypes.F32, shape: [2], data: data() }]
    await expect(writeGgufFile(path, { metadata: [], tensors }, controller)).rejects.toThrow('aborted')
    expect(readdirSync(folder).filter((name) => name.startsWith('cancelled'))).toEqual([])
  })

  test('names that ggml cannot hold and rows that are no whole blocks are bugs of the caller', () => {
    const one = (name: string, shape: number[]) => () =>
      writeGguf({ metadata: [], tensors: [{ name, type: ggmlTypes.Q8_0, shape, data: new Uint8Array(34) }] })
    expect(one('x'.repeat(63), [32])).not.toThrow()
    expect(one('x'.repeat(64), [32])).toThrow('has 64 bytes')
    expect(one('', [32])).toThrow('has 0 bytes')
    expect(one('x', [33])).toThrow('not whole blocks')
  })
})
