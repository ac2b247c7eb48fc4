import { describe, expect, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { inspectBase, inspectBaseSource } from './base-info.ts'
import type { BaseInfo } from './base-info.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import { sha256File } from './file-digest.ts'
import { ggmlTypes } from './gguf-format.ts'
import type { GgufValue } from './gguf-format.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { writeGguf } from './gguf-writer.ts'
import type { GgufTensorSource } from './gguf-writer.ts'
import { randomBaseBytes } from './random-model.ts'
import { decodeTensor, dtypeOf, encodeTensor } from './tensor-dtypes.ts'
import type { TensorDtype } from './tensor-dtypes.ts'
import { loraBytes } from './testing/lora-bytes.ts'

const inspect = (bytes: Uint8Array) => inspectBaseSource(memorySource(bytes))

interface Parts {
  metadata: Map<string, GgufValue>
  tensors: GgufTensorSource<Uint8Array>[]
}

function partsOf(bytes: Uint8Array): Parts {
  const file = readGguf(memorySource(bytes), 'base')
  return {
    metadata: new Map(file.metadata),
    tensors: file.tensors.map((tensor) => ({ ...tensor, data: readTensor(file, tensor) })),
  }
}

/** The same model with one thing changed. */
function copyOf(bytes: Uint8Array, change: (parts: Parts) => void): Uint8Array {
  const parts = partsOf(bytes)
  change(parts)
  return writeGguf(parts)
}

/** Matrices stored as another type, norms and other vectors left alone: what a quantiser does. */
function storedAs(bytes: Uint8Array, dtype: TensorDtype): Uint8Array {
  return copyOf(bytes, (parts) => {
    parts.tensors = parts.tensors.map((tensor) => {
      const from = dtypeOf(tensor.type)
      const wholeBlocks = tensor.shape[0]! % ggmlTypes[dtype].blockElements === 0
      if (tensor.shape.length < 2 || from === undefined || !wholeBlocks) return tensor
      return { ...tensor, type: ggmlTypes[dtype], data: encodeTensor(dtype, decodeTensor(from, tensor.data)) }
    })
  })
}

function withTensor(parts: Parts, name: string, change: (data: Uint8Array) => Uint8Array): void {
  parts.tensors = parts.tensors.map((tensor) => {
    return tensor.name === name ? { ...tensor, data: change(tensor.data.slice()) } : tensor
  })
}

function flipFirstBit(data: Uint8Array): Uint8Array {
  data[0]! ^= 1
  return data
}

const ids = ({ baseId, tokenizerId }: BaseInfo) => ({ baseId, tokenizerId })
const original = randomBaseBytes({ rngSeed: 3, kvHeads: 2 })

describe('the base id', () => {
  test.each(['F16', 'BF16', 'Q8_0'] as const)('is shared by a copy stored as %s', async (dtype) => {
    const copy = storedAs(original, dtype)
    expect(copy.length).toBeLessThan(original.length)
    expect(ids(await inspect(copy))).toEqual(ids(await inspect(original)))
  })

  test('is shared by copies that are renamed, re-ordered, described at greater length, or read with a longer context', async () => {
    const copies = [
      copyOf(original, ({ metadata }) => metadata.set('general.name', { type: 'string', value: 'another name' })),
      copyOf(original, (parts) => {
        parts.tensors = parts.tensors.toReversed()
        parts.metadata = new Map([...parts.metadata].toReversed())
      }),
      copyOf(original, ({ metadata }) => metadata.set('llama.context_length', { type: 'uint32', value: 4_096 })),
      copyOf(original, ({ metadata }) => metadata.set('llama.rope.scaling.factor', { type: 'float32', value: 4 })),
      copyOf(original, ({ metadata }) => metadata.set('llama.attention.key_length', { type: 'uint32', value: 16 })),
      copyOf(original, ({ metadata }) => metadata.delete('llama.rope.freq_base')),
      copyOf(original, ({ metadata }) => metadata.delete('llama.rope.dimension_count')),
      copyOf(original, ({ tensors }) => {
        tensors.push({ name: 'rope_freqs.weight', type: ggmlTypes.F32, shape: [8], data: new Uint8Array(32) })
      }),
      copyOf(original, ({ metadata }) => {
        metadata.set('llama.attention.head_count_kv', { type: 'array', itemType: 'int32', value: [2, 2] })
      }),
    ]
    const expected = ids(await inspect(original))
    for (const copy of copies) expect(ids(await inspect(copy))).toEqual(expected)
  })

  test.each<[string, (parts: Parts) => void]>([
    ['one bit of a norm', (parts) => withTensor(parts, 'blk.1.ffn_norm.weight', flipFirstBit)],
    ['one bit of the last norm', (parts) => withTensor(parts, 'output_norm.weight', flipFirstBit)],
    ['the rotary base', ({ metadata }) => metadata.set('llama.rope.freq_base', { type: 'float32', value: 500_000 })],
    [
      'the epsilon',
      ({ metadata }) => metadata.set('llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-6 }),
    ],
    ['the number of heads', ({ metadata }) => metadata.set('llama.attention.head_count', { type: 'uint32', value: 8 })],
    [
      'an additional tensor',
      ({ tensors }) => {
        tensors.push({ name: 'blk.0.attn_q.bias', type: ggmlTypes.F32, shape: [64], data: new Uint8Array(256) })
      },
    ],
    [
      'a missing tensor',
      ({ tensors }) =>
        void tensors.splice(
          tensors.findIndex(({ name }) => name === 'output.weight'),
          1,
        ),
    ],
  ])('changes with %s', async (_, change) => {
    const changed = await inspect(copyOf(original, change))
    const { baseId, tokenizerId } = await inspect(original)
    expect(changed.baseId).not.toBe(baseId)
    expect(changed.tokenizerId).toBe(tokenizerId)
  })

  test('does not see a change of matrix data: there the probe decides', async () => {
    const copy = copyOf(original, (parts) => withTensor(parts, 'blk.0.attn_q.weight', flipFirstBit))
    expect(ids(await inspect(copy))).toEqual(ids(await inspect(original)))
  })

  test('is that of a tied base when output.weight repeats the embeddings', async () => {
    const tied = randomBaseBytes({ tied: true })
    const repeated = copyOf(tied, (parts) => {
      const embeddings = parts.tensors.find(({ name }) => name === 'token_embd.weight')!
      parts.tensors.push({ ...embeddings, name: 'output.weight' })
    })
    const [one, other] = [await inspect(tied), await inspect(repeated)]
    expect(other).toMatchObject({ ...ids(one), tied: true, parameters: one.parameters })
    expect(one.tied).toBe(true)
    const untied = await inspect(copyOf(repeated, (parts) => withTensor(parts, 'output.weight', flipFirstBit)))
    expect(untied.tied).toBe(false)
    expect(untied.baseId).not.toBe(one.baseId)
  })
})

describe('the tokenizer id', () => {
  const tokens = (parts: Parts, change: (tokens: string[]) => void): void => {
    const entry = parts.metadata.get('tokenizer.ggml.tokens')
    if (entry?.type !== 'array' || entry.itemType !== 'string') throw new Error('no tokens')
    const value = [...entry.value]
    change(value)
    parts.metadata.set('tokenizer.ggml.tokens', { ...entry, value })
  }

  test.each<[string, (parts: Parts) => void]>([
    ['a token', (parts) => tokens(parts, (list) => void (list[300] = 'other'))],
    [
      'two tokens that change places',
      (parts) => tokens(parts, (list) => void ([list[300], list[301]] = [list[301]!, list[300]!])),
    ],
    ['the model', ({ metadata }) => metadata.set('tokenizer.ggml.model', { type: 'string', value: 'gpt2' })],
    ['missing scores', ({ metadata }) => metadata.delete('tokenizer.ggml.scores')],
    [
      'merges',
      ({ metadata }) => metadata.set('tokenizer.ggml.merges', { type: 'array', itemType: 'string', value: ['a b'] }),
    ],
  ])('changes with %s, the base id does not', async (_, change) => {
    const changed = await inspect(copyOf(original, change))
    const { baseId, tokenizerId } = await inspect(original)
    expect(changed.tokenizerId).not.toBe(tokenizerId)
    expect(changed.baseId).toBe(baseId)
  })

  test('is not changed by templates and special token ids', async () => {
    const copy = copyOf(original, ({ metadata }) => {
      metadata.set('tokenizer.chat_template', { type: 'string', value: '{{ messages }}' })
      metadata.set('tokenizer.ggml.eos_token_id', { type: 'uint32', value: 1 })
    })
    expect(ids(await inspect(copy))).toEqual(ids(await inspect(original)))
  })
})

describe('a base', () => {
  test('is described', async () => {
    const base = await inspect(randomBaseBytes({ layers: 3, kvHeads: 2, name: 'a\u200b base\n' }))
    expect(base).toMatchObject({ architecture: 'llama', label: 'a base', contextLength: 512, tied: false })
    expect(base.heads).toEqual(Array.from({ length: 3 }, () => ({ query: 4, keyValue: 2 })))
    expect(base.tensors.get('blk.2.attn_k.weight')).toEqual({ type: ggmlTypes.F32, shape: [64, 32] })
    expect(base.parameters).toBe(320 * 64 * 2 + 3 * (2 * 64 + 64 * 192 + 3 * 64 * 128) + 64)
  })

  test('may have other head counts in each block', async () => {
    const base = await inspect(
      copyOf(original, ({ metadata }) => {
        metadata.set('llama.attention.head_count_kv', { type: 'array', itemType: 'int32', value: [2, 4] })
      }),
    )
    expect(base.heads).toEqual([
      { query: 4, keyValue: 2 },
      { query: 4, keyValue: 4 },
    ])
  })

  test('without a name of its own is labelled by what it is', async () => {
    const base = await inspect(copyOf(original, ({ metadata }) => metadata.delete('general.name')))
    expect(base.label).toBe(`llama, ${base.parameters} parameters`)
  })

  test.each<[string, string, (parts: Parts) => void]>([
    [
      'an adapter',
      'it is an adapter',
      ({ metadata }) => metadata.set('general.type', { type: 'string', value: 'adapter' }),
    ],
    [
      'a projector',
      'its general.type is "mmproj"',
      ({ metadata }) => metadata.set('general.type', { type: 'string', value: 'mmproj' }),
    ],
    [
      'a part of a split model',
      'one of 3 parts',
      ({ metadata }) => metadata.set('split.count', { type: 'uint16', value: 3 }),
    ],
    [
      'a file without architecture',
      'general.architecture is missing',
      ({ metadata }) => metadata.delete('general.architecture'),
    ],
    [
      'a file without tokenizer',
      'tokenizer.ggml.tokens is missing',
      ({ metadata }) => metadata.delete('tokenizer.ggml.tokens'),
    ],
    ['a vocabulary without weights', 'it has no token_embd.weight', (parts) => void (parts.tensors = [])],
    [
      'a file without block count',
      'llama.block_count is missing',
      ({ metadata }) => metadata.delete('llama.block_count'),
    ],
    [
      'scores for other tokens',
      'scores has 1 items for 320 tokens',
      ({ metadata }) => metadata.set('tokenizer.ggml.scores', { type: 'array', itemType: 'float32', value: [1] }),
    ],
    [
      'a model without F32 norms',
      'no F32 norm tensors',
      (parts) => void (parts.tensors = parts.tensors.filter(({ name }) => !name.includes('_norm'))),
    ],
  ])('is not %s', async (_, sentence, change) => {
    await expect(inspect(copyOf(original, change))).rejects.toMatchObject({
      code: 'gguf-refused',
      message: expect.stringContaining(sentence),
    })
  })

  test('of an architecture without a definition of its id is refused as such', async () => {
    const copy = copyOf(original, ({ metadata }) =>
      metadata.set('general.architecture', { type: 'string', value: 'gpt2' }),
    )
    await expect(inspect(copy)).rejects.toMatchObject({ code: 'architecture-not-supported' })
  })

  test('is never a LoRA file', async () => {
    await expect(inspect(loraBytes())).rejects.toThrow('it is an adapter')
  })
})

describe.skipIf(!kit.present)('the bases of the kit (needs the kit)', () => {
  // Golden: whoever changes one of these splits the mesh.
  test.each([
    ['stories260K', 'llama', '09e17a56bc3596ff33145c564232eba89cfb676d475c59495db4999e0d8c6523', true, 260_032],
    ['tiny-mistral', 'llama', '2b96988549dbb50da10db09bb57ea76d2850270d793f8c161875af4e8837df5b', false, 204_224],
    ['tiny-qwen2', 'qwen2', '482f6f123bf88b278a2495bd859614346ef041b681ff2f65ca9d2538b6af4269', false, 186_176],
    ['tiny-gemma3', 'gemma3', '25a941497a712fd190986803e9c8f8ca172a8b401a77f495cd330bc5ffc7b972', true, 190_464],
    ['tiny-phi3', 'phi3', 'ac52a53b18f5ce77bb3370cf01481450013e756288a883b8ace38596ea0b1235', false, 185_792],
  ])('%s is read', async (name, architecture, baseId, tied, parameters) => {
    const base = await inspectBase(kit.path('models', `${name}.gguf`))
    expect(base).toMatchObject({ architecture, baseId, tied, parameters, contextLength: 512 })
    expect(base.tokenizerId).toBe('5404de243d8fa9ec955ad14ff1bdaf4c874b2de0118414848853e473f7cf8379')
  })

  test('the digest of a file is the one in the list', async () => {
    expect(toHex(await sha256File(kit.path('models', 'stories260K.gguf')))).toBe(
      'cb4c9877939e35ee6a0634a5544d3600a94f3e72c93cf30aceb0a2854543faa5',
    )
  })

  test.each(['F16', 'BF16', 'Q8_0'] as const)('a copy of stories260K stored as %s is the same base', async (dtype) => {
    using source = openFileSource(kit.path('models', 'stories260K.gguf'))
    const bytes = source.read(0, source.size)
    expect(ids(await inspect(storedAs(bytes, dtype)))).toEqual(ids(await inspect(bytes)))
  })
})
