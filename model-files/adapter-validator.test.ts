import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MeshError } from '../protocol/index.ts'
import { adapterProblems, validateAdapter } from './adapter-validator.ts'
import type { AdapterBase, AdapterInfo } from './adapter-validator.ts'
import { inspectBaseSource } from './base-info.ts'
import { memorySource } from './byte-source.ts'
import { ggmlTypes } from './gguf-format.ts'
import type { GgufValue } from './gguf-format.ts'
import { readGguf } from './gguf-reader.ts'
import { randomAdapterBytes, randomBaseBytes } from './random-model.ts'
import { loraBytes, loraPair, loraTensor } from './testing/lora-bytes.ts'
import type { LoraTensor } from './testing/lora-bytes.ts'

const base = await inspectBaseSource(memorySource(randomBaseBytes({ kvHeads: 2 })))
const tiedBase = await inspectBaseSource(memorySource(randomBaseBytes({ kvHeads: 2, tied: true })))

const validate = (bytes: Uint8Array, against: AdapterBase | undefined = base): Promise<AdapterInfo> =>
  validateAdapter(memorySource(bytes), against)

/** Without a base, so that any shapes will do. */
const validateAlone = (bytes: Uint8Array): Promise<AdapterInfo> => validateAdapter(memorySource(bytes))

const string = (value: string): GgufValue => ({ type: 'string', value })

describe('a valid adapter', () => {
  test('is described', async () => {
    const bytes = loraBytes({
      tensors: [
        ...loraPair('blk.1.ffn_down.weight', 2, 128, 64),
        ...loraPair('blk.0.attn_k.weight', 8, 64, 32),
        ...loraPair('blk.0.ffn_down.weight', 4, 128, 64),
      ],
    })
    const info = await validate(bytes)
    expect({ ...info, pairs: info.pairs.map(({ target, module, rank }) => [target, module, rank]) }).toEqual({
      architecture: 'llama',
      rank: 8,
      alpha: 8,
      targets: ['attn_k', 'ffn_down'],
      dtype: 'F32',
      tensors: 6,
      bytes: bytes.length,
      pairs: [
        ['blk.1.ffn_down.weight', 'ffn_down', 2],
        ['blk.0.attn_k.weight', 'attn_k', 8],
        ['blk.0.ffn_down.weight', 'ffn_down', 4],
      ],
    })
    expect(info.pairs[1]?.a.shape).toEqual([64, 8])
  })

  test('may have its tensors in any order, and be checked without a base', async () => {
    const tensors = [...loraPair(), ...loraPair('blk.1.attn_q.weight')].toReversed()
    const info = await validateAdapter(memorySource(loraBytes({ tensors })))
    expect(info.pairs.map(({ target }) => target)).toEqual(['blk.1.attn_q.weight', 'blk.0.attn_q.weight'])
  })

  test.each(['F32', 'F16', 'BF16', 'Q8_0'] as const)('may be stored as %s', async (dtype) => {
    const info = await validate(randomAdapterBytes(base, { rank: 32, dtype }))
    expect(info).toMatchObject({ dtype, rank: 32 })
  })

  test.each<[string, Record<string, GgufValue>]>([
    ['alpha 0, which means a scale of 1', { 'adapter.lora.alpha': { type: 'float32', value: 0 } }],
    ['a stated alignment', { 'general.alignment': { type: 'uint32', value: 32 } }],
    [
      'keys of its own',
      { 'x.y': { type: 'array', itemType: 'string', value: ['a'] }, z: { type: 'int64', value: -1n } },
    ],
  ])('may have %s', async (_, metadata) => {
    await expect(validate(loraBytes({ metadata }))).resolves.toMatchObject({ rank: 4 })
  })

  test('may have lora_b all zero, rank 1, and a rank above the width of its matrix', async () => {
    const [a, b] = loraPair() as [LoraTensor, LoraTensor]
    const zero = { ...b, data: new Uint8Array(b.data.length) }
    await expect(validate(loraBytes({ tensors: [a, zero] }))).resolves.toMatchObject({ rank: 4 })
    await expect(validate(loraBytes({ tensors: loraPair(undefined, 1) }))).resolves.toMatchObject({ rank: 1 })
    const high = loraBytes({ tensors: loraPair('blk.0.attn_k.weight', 512, 64, 32) })
    await expect(validate(high)).resolves.toMatchObject({ rank: 512 })
  })

  test('may change the embeddings of a base that does not share them', async () => {
    const a = loraTensor('token_embd.weight.lora_a', [4, 320])
    const b = loraTensor('token_embd.weight.lora_b', [4, 64])
    const embeddings = loraBytes({ tensors: [a, b] })
    const output = loraBytes({ tensors: loraPair('output.weight', 4, 64, 320) })
    await expect(validate(embeddings)).resolves.toMatchObject({ targets: ['token_embd'], rank: 4 })
    await expect(validate(output)).resolves.toMatchObject({ targets: ['output'] })
    for (const bytes of [embeddings, output]) {
      await expect(validate(bytes, tiedBase)).rejects.toMatchObject({
        code: 'gguf-refused',
        message: expect.stringContaining('one matrix for input and output embeddings'),
      })
    }
  })
})

describe('metadata that is refused', () => {
  test.each<[string, string, string, GgufValue | undefined]>([
    ['gguf-refused', 'general.type is missing', 'general.type', undefined],
    ['gguf-refused', 'general.type is "model"', 'general.type', string('model')],
    ['gguf-refused', 'general.type is of type uint32', 'general.type', { type: 'uint32', value: 1 }],
    ['gguf-refused', 'adapter.type is missing', 'adapter.type', undefined],
    ['gguf-refused', 'adapter.type is "dora"', 'adapter.type', string('dora')],
    ['gguf-refused', 'adapter.lora.alpha is missing', 'adapter.lora.alpha', undefined],
    ['gguf-refused', 'adapter.lora.alpha is of type float64', 'adapter.lora.alpha', { type: 'float64', value: 8 }],
    [
      'gguf-refused',
      'adapter.lora.alpha is not a number',
      'adapter.lora.alpha',
      { type: 'float32', value: Number.NaN },
    ],
    ['gguf-refused', 'adapter.lora.alpha is -1', 'adapter.lora.alpha', { type: 'float32', value: -1 }],
    ['gguf-refused', 'adapter.lora.alpha is 2000000', 'adapter.lora.alpha', { type: 'float32', value: 2e6 }],
    ['gguf-refused', 'general.architecture is missing', 'general.architecture', undefined],
    ['gguf-refused', 'general.architecture is empty', 'general.architecture', string('')],
    ['gguf-refused', 'general.name is of type bool', 'general.name', { type: 'bool', value: true }],
    ['gguf-refused', 'must not bring a tokenizer', 'tokenizer.ggml.model', string('gpt2')],
    ['gguf-refused', 'must not bring a chat template', 'general.chat_template', string('{{')],
    [
      'gguf-refused',
      'activated LoRA',
      'adapter.alora.invocation_tokens',
      { type: 'array', itemType: 'uint32', value: [1] },
    ],
    [
      'architecture-mismatch',
      'made for the architecture "qwen2", the base is "llama"',
      'general.architecture',
      string('qwen2'),
    ],
  ])('%s: %s', async (code, sentence, key, value) => {
    await expect(validate(loraBytes({ metadata: { [key]: value } }))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(sentence),
    })
  })

  test('without a base, architectures that no base of the mesh can have', async () => {
    const bytes = loraBytes({ metadata: { 'general.architecture': string('gpt2') } })
    await expect(validateAdapter(memorySource(bytes))).rejects.toMatchObject({ code: 'architecture-not-supported' })
  })
})

describe('tensors that are refused', () => {
  const [a, b] = loraPair() as [LoraTensor, LoraTensor]
  const extra = (name: string): LoraTensor[] => [a, b, loraTensor(name, [64])]

  test.each<[string, string, LoraTensor[]]>([
    ['gguf-refused', 'it has no tensors', []],
    ['gguf-refused', 'has no lora_b', [a]],
    ['gguf-refused', 'has no lora_a', [b]],
    ['gguf-refused', 'ignored by llama.cpp', extra('blk.0.attn_norm.weight')],
    ['gguf-refused', 'changes a norm vector', loraPair('blk.0.attn_norm.weight', 1, 64, 1)],
    ['gguf-refused', 'DoRA', extra('blk.0.attn_q.weight.lora_magnitude_vector')],
    ['gguf-refused', 'Import the folder instead', extra('base_model.model.lm_head.lora_A.weight')],
    ['gguf-refused', 'only pairs named after a matrix', extra('blk.0.attn_q.bias')],
    ['gguf-refused', 'only pairs named after a matrix', loraPair('blk.00.attn_q.weight')],
    ['gguf-refused', 'only pairs named after a matrix', loraPair('attn_q.weight')],
    ['gguf-refused', 'only pairs named after a matrix', extra('blk.0.attn_q.weight.lora_a.lora_a')],
    ['gguf-refused', 'has 1 dimensions', [loraTensor(a.name, [64]), b]],
    ['gguf-refused', 'has 3 dimensions', [loraTensor(a.name, [64, 4, 2]), b]],
    ['gguf-refused', 'is stored as I8', [{ ...a, type: ggmlTypes.I8, data: new Uint8Array(256) }, b]],
    ['gguf-refused', 'rank 513, at most 512', loraPair(undefined, 513)],
    [
      'shape-mismatch',
      'the ranks of the pair for blk.0.attn_q.weight differ: 4 in lora_a, 6',
      [a, loraTensor(b.name, [6, 64])],
    ],
    ['shape-mismatch', 'the base has no tensor blk.2.attn_q.weight', loraPair('blk.2.attn_q.weight')],
    ['shape-mismatch', 'the base has no tensor blk.0.attn_qkv.weight', loraPair('blk.0.attn_qkv.weight')],
    ['shape-mismatch', "the base's matrix is 64 x 32", loraPair('blk.0.attn_k.weight')],
    ['shape-mismatch', "the base's matrix is 64 x 64", loraPair('blk.0.attn_q.weight', 4, 32, 64)],
    [
      'shape-mismatch',
      "the base's matrix is 64 x 320",
      [loraTensor('token_embd.weight.lora_a', [4, 319]), loraTensor('token_embd.weight.lora_b', [4, 64])],
    ],
  ])('%s: %s', async (code, sentence, tensors) => {
    await expect(validate(loraBytes({ tensors }))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(sentence),
    })
  })
})

describe('numbers that are refused', () => {
  const pairOf = (dtype: 'F32' | 'F16' | 'BF16' | 'Q8_0', rank = 32): LoraTensor[] => [
    loraTensor('blk.0.attn_q.weight.lora_a', [64, rank], dtype),
    loraTensor('blk.0.attn_q.weight.lora_b', [rank, 64], dtype),
  ]

  test.each([
    ['F32', 4, [0, 0, 0xc0, 0x7f]],
    ['F32', 4, [0, 0, 0x80, 0xff]],
    ['F16', 2, [0x00, 0x7c]],
    ['F16', 2, [0x01, 0xfe]],
    ['BF16', 2, [0x80, 0x7f]],
    ['BF16', 2, [0xc0, 0xff]],
  ] as const)('one %s number that is not finite, wherever it stands (%d bytes: %j)', async (dtype, width, bits) => {
    for (const side of [0, 1]) {
      const count = 64 * 32
      for (const index of [0, 1, count - 1]) {
        const tensors = pairOf(dtype)
        tensors[side]!.data.set(bits, index * width)
        await expect(validate(loraBytes({ tensors }))).rejects.toMatchObject({
          code: 'not-finite',
          details: { tensor: tensors[side]!.name, index },
        })
      }
    }
  })

  test('a Q8_0 block whose scale is not finite', async () => {
    const tensors = pairOf('Q8_0')
    tensors[1]!.data.set([0x00, 0x7c], 34 * 3)
    await expect(validate(loraBytes({ tensors }))).rejects.toMatchObject({ code: 'not-finite', details: { index: 96 } })
  })

  test.each(['F32', 'BF16'] as const)('finite %s numbers whose product overflows', async (dtype) => {
    const a = loraTensor('blk.0.attn_q.weight.lora_a', [64, 4], dtype)
    const b = loraTensor('blk.0.attn_q.weight.lora_b', [4, 64], dtype, () => 1e30)
    await expect(validate(loraBytes({ tensors: [a, b] }))).rejects.toThrow('has a strength of up to')
    const tiny = loraTensor('blk.0.attn_q.weight.lora_a', [64, 4], dtype, () => 1e-30)
    await expect(validate(loraBytes({ tensors: [tiny, b] }))).resolves.toMatchObject({ rank: 4 })
  })

  test('a lora_a whose products with activations llama.cpp cannot hold in F16', async () => {
    const large = loraTensor('blk.0.attn_q.weight.lora_a', [64, 4], 'F16', (index) => (index === 7 ? 55_456 : 0.1))
    const zero = loraTensor('blk.0.attn_q.weight.lora_b', [4, 64], 'F16', () => 0)
    await expect(validate(loraBytes({ tensors: [large, zero] }))).rejects.toThrow(
      'the norm of "blk.0.attn_q.weight.lora_a" is 5.5e+4',
    )
  })

  test('an alpha that makes ordinary numbers overflow', async () => {
    const metadata: Record<string, GgufValue> = { 'adapter.lora.alpha': { type: 'float32', value: 1e6 } }
    const tensors = loraPair().map(({ name, shape }) => loraTensor(name, shape, 'F32', () => 1))
    await expect(validate(loraBytes({ tensors }))).resolves.toMatchObject({ alpha: 8 })
    await expect(validate(loraBytes({ metadata, tensors }))).rejects.toThrow('has a strength of up to')
  })

  test('a row of lora_b that is too strong, also where it lies across two pieces that are read', async () => {
    // A piece of 2^20 bytes ends inside row 5461; either part of that row alone would be within the bound.
    const [rank, rows, strong] = [48, 6_000, 5_461]
    const a = loraTensor('blk.0.attn_q.weight.lora_a', [64, rank], 'F32', (index) => (index === 0 ? 1 : 0))
    const withRow = (value: number): Uint8Array =>
      loraBytes({
        metadata: { 'adapter.lora.alpha': { type: 'float32', value: rank } },
        tensors: [
          a,
          loraTensor('blk.0.attn_q.weight.lora_b', [rank, rows], 'F32', (index) =>
            Math.floor(index / rank) === strong ? value : 1,
          ),
        ],
      })
    await expect(validateAlone(withRow(1_600))).rejects.toThrow('has a strength of up to 1.1e+4')
    await expect(validateAlone(withRow(1_400))).resolves.toMatchObject({ rank })
  })

  test('are found beyond the first piece that is read', async () => {
    const large = await inspectBaseSource(
      memorySource(randomBaseBytes({ width: 1_024, heads: 8, layers: 1, tied: true })),
    )
    const bytes = randomAdapterBytes(large, { rank: 512, targets: ['attn_q'], dtype: 'F16' })
    bytes.set([0x00, 0x7c], bytes.length - 2)
    await expect(validate(bytes, large)).rejects.toMatchObject({
      code: 'not-finite',
      details: { tensor: 'blk.0.attn_q.weight.lora_b', index: 512 * 1_024 - 1 },
    })
  })
})

describe('strong adapters of real models', () => {
  // Rank 64, alpha 128 with rsLoRA: llama.cpp's alpha / rank is 16.
  const metadata: Record<string, GgufValue> = { 'adapter.lora.alpha': { type: 'float32', value: 1_024 } }

  test('are accepted however many rows a matrix has: each row counts for itself', async () => {
    const a = loraTensor('blk.0.attn_q.weight.lora_a', [64, 64], 'F32', () => 1 / 8)
    const b = loraTensor('blk.0.attn_q.weight.lora_b', [64, 8_192], 'F32', () => 0.3)
    await expect(validateAlone(loraBytes({ metadata, tensors: [a, b] }))).resolves.toMatchObject({ rank: 64 })
  })

  test.each(['F32', 'F16'] as const)(
    'are accepted on an embedding whose %s lora_b starts at N(0, 1)',
    async (dtype) => {
      const a = loraTensor('token_embd.weight.lora_a', [64, 32_000], dtype, () => 0.5)
      const b = loraTensor('token_embd.weight.lora_b', [64, 4_096], dtype, () => 1)
      await expect(validateAlone(loraBytes({ metadata, tensors: [a, b] }))).resolves.toMatchObject({ rank: 64 })
    },
  )
})

describe('the one form of an adapter file', () => {
  test('has zero padding after the header and after every tensor', async () => {
    const bytes = loraBytes({
      tensors: loraPair('blk.0.attn_k.weight', 1, 64, 32).map((tensor, i) =>
        i === 0 ? tensor : loraTensor(tensor.name, [1, 32], 'F16'),
      ),
    })
    const { dataOffset } = readGguf(memorySource(bytes), 'adapter')
    await expect(validate(bytes)).resolves.toMatchObject({ rank: 1 })
    const header = bytes.slice()
    header[dataOffset - 1] = 1
    await expect(validate(header)).rejects.toThrow('bytes that mean nothing')
    const odd = loraBytes({
      tensors: [
        loraTensor('blk.0.attn_k.weight.lora_a', [64, 1], 'F16'),
        loraTensor('blk.0.attn_k.weight.lora_b', [1, 32], 'F16'),
      ],
    })
    expect((await validate(odd)).dtype).toBe('F16')
  })

  test('has padding after the last tensor too, and that is zero', async () => {
    const narrow = await inspectBaseSource(
      memorySource(randomBaseBytes({ width: 4, heads: 1, layers: 1, feedForward: 8 })),
    )
    const bytes = randomAdapterBytes(narrow, { rank: 1, targets: ['attn_q'] })
    await expect(validate(bytes, narrow)).resolves.toMatchObject({ rank: 1 })
    bytes[bytes.length - 1] = 1
    await expect(validate(bytes, narrow)).rejects.toMatchObject({ code: 'gguf-malformed' })
  })

  test('has no NaN in its metadata, of which there are many', async () => {
    for (const value of [
      { type: 'float32', value: Number.NaN },
      { type: 'float64', value: Number.NaN },
      { type: 'array', itemType: 'float32', value: [1, Number.NaN] },
    ] as const) {
      await expect(validate(loraBytes({ metadata: { 'x.nan': value } }))).rejects.toThrow('x.nan is not a number')
    }
  })
})

describe('judging', () => {
  test('collects what is wrong for people, with what the file says of itself', async () => {
    const bytes = loraBytes({
      metadata: { 'adapter.lora.alpha': undefined, 'general.architecture': string('qwen2') },
      tensors: [...loraPair(), ...loraPair('blk.7.attn_q.weight'), loraTensor('blk.0.attn_v.weight.lora_a', [64, 4])],
    })
    const found = await adapterProblems(memorySource(bytes), base)
    expect(found.info).toBeUndefined()
    expect(found.problems.map(({ code }) => code)).toEqual([
      'architecture-mismatch',
      'gguf-refused',
      'shape-mismatch',
      'gguf-refused',
    ])
    expect(found.stated).toMatchObject({ architecture: 'qwen2', rank: 4, targets: ['attn_q'], tensors: 5 })
    const fine = await adapterProblems(memorySource(loraBytes()), base)
    expect(fine.problems).toEqual([])
    expect(fine.info).toEqual(await validate(loraBytes()))
  })

  test('names a bounded number of problems, however many there are', async () => {
    const tensors = Array.from({ length: 100 }, (_, i) => loraTensor(`wrong.${i}`, [1]))
    expect((await adapterProblems(memorySource(loraBytes({ tensors })))).problems).toHaveLength(32)
  })

  test('can be cancelled', async () => {
    const source = memorySource(loraBytes())
    const options = { signal: AbortSignal.abort() }
    await expect(validateAdapter(source, base, options)).rejects.toMatchObject({ code: 'aborted' })
    await expect(adapterProblems(source, base, options)).rejects.toMatchObject({ code: 'aborted' })
  })

  test('of any mutant ends in an info or a MeshError, and says the same as the collected problems', async () => {
    const original = loraBytes({ tensors: [...loraPair(), ...loraPair('blk.1.attn_k.weight', 2, 64, 32)] })
    const interesting = fc.constantFrom(0, 1, 8, 30, 31, 32, 64, 127, 128, 255)
    const edit = fc.record({ at: fc.nat(original.length - 1), value: fc.oneof(interesting, fc.nat(255)) })
    const early = fc.record({ at: fc.nat(500), value: fc.oneof(interesting, fc.nat(255)) })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(early, edit), { minLength: 1, maxLength: 6 }), async (edits) => {
        const bytes = original.slice()
        for (const { at, value } of edits) bytes[at] = value
        const { problems, info } = await adapterProblems(memorySource(bytes), base)
        const outcome = await validate(bytes).catch((error: unknown) => error)
        if (problems.length === 0) expect(outcome).toEqual(info)
        else {
          expect(outcome).toBeInstanceOf(MeshError)
          expect((outcome as MeshError).message).toBe(problems[0]!.message)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
