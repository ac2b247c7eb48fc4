import { readFileSync } from 'node:fs'
import { gguf } from '@huggingface/gguf'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MeshError } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import type { ByteSource } from './byte-source.ts'
import { ggmlTypes } from './gguf-format.ts'
import type { GgufFile } from './gguf-format.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { writeGguf } from './gguf-writer.ts'
import { randomBaseBytes } from './random-model.ts'
import { loraBytes, loraPair, loraTensor } from './testing/lora-bytes.ts'

const read = (bytes: Uint8Array, profile: 'base' | 'adapter' = 'adapter') => readGguf(memorySource(bytes), profile)

/** Where in a LoRA file something stands: found by its text. */
function indexOf(bytes: Uint8Array, text: string): number {
  const index = Buffer.from(bytes).indexOf(text)
  if (index < 0) throw new Error(`no ${text} in the file`)
  return index
}

function changed(bytes: Uint8Array, offset: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice()
  copy.set(values, offset)
  return copy
}

const u64 = (value: bigint): number[] => [...new Uint8Array(BigUint64Array.of(value).buffer)]
const u32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)]

/** Either a file or a MeshError; anything else fails the test. */
function outcome(bytes: Uint8Array, profile: 'base' | 'adapter'): GgufFile | MeshError {
  try {
    return read(bytes, profile)
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  }
}

describe('reading GGUF', () => {
  const good = loraBytes()
  const afterKey = (key: string) => indexOf(good, key) + key.length
  const firstTensor = indexOf(good, 'blk.0.attn_q.weight.lora_a') + 'blk.0.attn_q.weight.lora_a'.length

  test('a valid file is read in full', () => {
    const file = read(good)
    expect(file.metadata.get('adapter.lora.alpha')).toEqual({ type: 'float32', value: 8 })
    expect(file.tensors.map(({ name, shape, offset, bytes }) => ({ name, shape, offset, bytes }))).toEqual([
      { name: 'blk.0.attn_q.weight.lora_a', shape: [64, 4], offset: 0, bytes: 1024 },
      { name: 'blk.0.attn_q.weight.lora_b', shape: [4, 64], offset: 1024, bytes: 1024 },
    ])
    expect(readTensor(file, file.tensors[1]!)).toEqual(loraPair()[1]!.data)
  })

  test.each([
    ['another magic', changed(good, 0, 0x67), 'does not begin with "GGUF"'],
    ['version 2', changed(good, 4, 2), 'its version is 2'],
    ['a big-endian version', changed(good, 4, 0, 0, 0, 3), 'big-endian'],
    ['too many tensors', changed(good, 8, ...u64(4_097n)), 'claims 4097 tensors, at most 4096'],
    ['too many pairs', changed(good, 16, ...u64(257n)), 'claims 257 metadata pairs, at most 256'],
    ['more tensors than fit the file', changed(good, 8, ...u64(4_000n)), 'the file ends inside'],
    ['a key without end', changed(good, 24, ...u64(2n ** 63n)), 'a metadata key claims the size'],
    ['a key of 65 bytes', changed(good, 24, ...u64(65n)), 'a metadata key has 65 bytes'],
    ['an unknown value type', changed(good, afterKey('general.type'), ...u32(13)), 'unknown type 13'],
    ['a string beyond the limit', changed(good, afterKey('general.type') + 4, ...u64(65_537n)), 'has 65537 bytes'],
    ['a string beyond the file', changed(good, afterKey('general.type') + 4, ...u64(60_000n)), 'the file ends inside'],
    ['a string that is not UTF-8', changed(good, afterKey('general.type') + 12, 0xff), 'is not UTF-8'],
    ['an empty tensor name', changed(good, firstTensor - 26 - 8, ...u64(0n)), 'has the name ""'],
    ['no dimensions', changed(good, firstTensor, ...u32(0)), 'has 0 dimensions'],
    ['five dimensions', changed(good, firstTensor, ...u32(5)), 'has 5 dimensions'],
    ['a dimension of zero', changed(good, firstTensor + 4, ...u64(0n)), 'impossible shape 0 x 4'],
    ['a dimension of 2^52', changed(good, firstTensor + 4, ...u64(2n ** 52n)), 'impossible shape'],
    ['a dimension of 2^64 - 1', changed(good, firstTensor + 4, ...u64(2n ** 64n - 1n)), 'claims the size'],
    ['a removed tensor type', changed(good, firstTensor + 20, ...u32(4)), 'unknown tensor type 4'],
    ['rows that are no whole blocks', changed(good, firstTensor + 20, ...u32(12)), 'not a multiple of Q4_K'],
    [
      'a gap before the data',
      changed(good, firstTensor + 24, ...u64(32n)),
      'begins at offset 32 of the data instead of 0',
    ],
    ['a missing byte', good.subarray(0, -1), 'its tensors need'],
    ['a byte too many', Buffer.concat([good, Buffer.alloc(1)]), 'and their padding end at'],
  ])('%s is refused with a sentence', (_, bytes, sentence) => {
    const found = outcome(bytes, 'adapter')
    expect(found).toMatchObject({ code: 'gguf-malformed', message: expect.stringContaining(sentence) })
  })

  test('twice the same key or tensor name is refused', () => {
    const twice = writeGguf({
      metadata: [
        ['a', { type: 'bool', value: true }],
        ['a', { type: 'bool', value: true }],
      ],
      tensors: [],
    })
    expect(() => read(twice)).toThrow('the metadata key "a" is given twice')
    const tensor = loraTensor('x', [1])
    expect(() => read(writeGguf({ metadata: [], tensors: [tensor, tensor] }))).toThrow('the tensor "x" is given twice')
  })

  test('a boolean that is neither 0 nor 1 is refused: it would not be written like that again', () => {
    const bytes = writeGguf({ metadata: [['a', { type: 'bool', value: true }]], tensors: [] })
    expect(() => read(changed(bytes, 24 + 8 + 1 + 4, 2))).toThrow('a boolean with the value 2')
  })

  test("adapters' keys are plain; bases may have others", () => {
    const bytes = writeGguf({ metadata: [['General.Name', { type: 'bool', value: true }]], tensors: [] })
    expect(() => read(bytes)).toThrow('has characters other than')
    expect(read(bytes, 'base').metadata.has('General.Name')).toBe(true)
  })

  test.each([
    [{ type: 'uint32', value: 64 }, 'adapter', 'aligned to 32'],
    [{ type: 'uint32', value: 4 }, 'base', 'power of two from 8'],
    [{ type: 'uint32', value: 48 }, 'base', 'power of two from 8'],
    [{ type: 'uint64', value: 32n }, 'base', 'it must be uint32'],
  ] as const)('alignment %o of a %s is refused', (value, profile, sentence) => {
    expect(() => read(writeGguf({ metadata: [['general.alignment', value]], tensors: [] }), profile)).toThrow(sentence)
  })

  test('lists of lists and lists longer than the file are refused before they are read', () => {
    const list = writeGguf({ metadata: [['a', { type: 'array', itemType: 'string', value: ['x'] }]], tensors: [] })
    const itemType = 24 + 8 + 1 + 4
    expect(() => read(changed(list, itemType, ...u32(9)))).toThrow('an array of arrays')
    expect(() => read(changed(list, itemType + 4, ...u64(65_537n)))).toThrow('claims 65537 items, at most 65536')
    expect(() => read(changed(list, itemType + 4, ...u64(60_000n)))).toThrow('the file ends inside')
  })

  test('a header beyond its limit is refused without being read', () => {
    const huge = { type: 'string', value: 'x'.repeat(64 * 1024) } as const
    const bytes = writeGguf({ metadata: Array.from({ length: 130 }, (_, i) => [`k${i}`, huge] as const), tensors: [] })
    expect(() => read(bytes)).toThrow('take more than 8388608 bytes')
    expect(read(bytes, 'base').metadata.size).toBe(130)
  })

  test('a file cut off at any byte is malformed, as an adapter and as a base', () => {
    const source = Buffer.from(
      loraBytes({ metadata: { 'general.tags': { type: 'array', itemType: 'string', value: ['a', 'b'] } } }),
    )
    for (let length = 0; length < source.length; length++) {
      for (const profile of ['adapter', 'base'] as const) {
        expect(outcome(source.subarray(0, length), profile), `${length}`).toMatchObject({ code: 'gguf-malformed' })
      }
    }
  })

  test('whatever bytes are changed, the reader answers with a file or a MeshError, and never reads outside the file', () => {
    const original = loraBytes({ metadata: { list: { type: 'array', itemType: 'float32', value: [1, 2] } } })
    const header = read(original).dataOffset
    const edit = fc.record({
      at: fc.nat(header - 1),
      values: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 64n - 1n).map(u64),
      ),
    })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(original.length), (edits, length) => {
        const bytes = original.slice()
        for (const { at, values } of edits) bytes.set([...values].slice(0, bytes.length - at), at)
        for (const profile of ['adapter', 'base'] as const) {
          for (const candidate of [bytes, bytes.subarray(0, length)]) {
            const found = outcome(candidate, profile)
            if (found instanceof MeshError) expect(found.code).toBe('gguf-malformed')
            else for (const tensor of found.tensors) expect(readTensor(found, tensor)).toHaveLength(tensor.bytes)
          }
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('of a large file only the header is read', () => {
    const bytes = randomBaseBytes({ width: 256, layers: 4, heads: 8 })
    let touched = 0
    const source: ByteSource = {
      size: bytes.length,
      read: (offset, length) => {
        touched += length
        return bytes.subarray(offset, offset + length)
      },
    }
    const file = readGguf(source, 'base')
    expect(touched).toBeLessThan(file.dataOffset + 2 * 65_536)
    expect(bytes.length).toBeGreaterThan(10 * touched)
  })

  test('a base may use an alignment of its own and end without padding', () => {
    const bytes = writeGguf({
      metadata: [['general.alignment', { type: 'uint32', value: 32 }]],
      tensors: [{ name: 'x', type: ggmlTypes.F32, shape: [1], data: new Uint8Array(4).fill(7) }],
    })
    const file = read(bytes.subarray(0, -28), 'base')
    expect([...readTensor(file, file.tensors[0]!)]).toEqual([7, 7, 7, 7])
    expect(() => read(bytes.subarray(0, -28), 'adapter')).toThrow('and their padding end at')
  })
})

describe.skipIf(!kit.present)('another reader agrees (needs the kit)', () => {
  test.each(['stories260K', 'tiny-mistral', 'tiny-qwen2', 'tiny-gemma3', 'tiny-phi3'])('about %s', async (name) => {
    const path = kit.path('models', `${name}.gguf`)
    const theirs = await gguf(path, { allowLocalFile: true })
    using source = openFileSource(path)
    const ours = readGguf(source, 'base')
    expect(Number(theirs.tensorDataOffset)).toBe(ours.dataOffset)
    expect(ours.tensors.map((tensor) => [tensor.name, tensor.shape, tensor.type.id, tensor.offset])).toEqual(
      theirs.tensorInfos.map((tensor) => [tensor.name, tensor.shape.map(Number), tensor.dtype, Number(tensor.offset)]),
    )
    const { version, tensor_count, kv_count, ...metadata } = theirs.metadata as Record<string, unknown>
    expect([version, tensor_count, kv_count]).toEqual([3, BigInt(ours.tensors.length), BigInt(ours.metadata.size)])
    expect(Object.fromEntries([...ours.metadata].map(([key, entry]) => [key, entry.value]))).toEqual(metadata)
  })

  test.each(['stories260K', 'tiny-gemma3'])('reading %s and writing it again gives the same bytes', (name) => {
    const bytes = readFileSync(kit.path('models', `${name}.gguf`))
    const file = read(bytes, 'base')
    const tensors = file.tensors.map((tensor) => ({ ...tensor, data: readTensor(file, tensor) }))
    expect(Buffer.compare(writeGguf({ metadata: file.metadata, tensors }), bytes)).toBe(0)
  })
})
