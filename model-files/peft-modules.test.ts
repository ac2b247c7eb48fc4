// Which modules find their place on which bases, and what is said of those that don't.
import { readdirSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { SupportedArchitecture } from '../protocol/index.ts'
import { fuseQkv } from '../testing/fuse-qkv.ts'
import { f32Tensor, safetensorsBytes, writePeftFolder, type StoredTensor } from '../testing/peft-folder.ts'
import { inspectBaseSource } from './base-info.ts'
import type { ConversionBase } from './base-matrices.ts'
import { memorySource } from './byte-source.ts'
import { convertPeft } from './peft-import.ts'
import { randomBaseBytes } from './random-model.ts'
import { encodeTensor } from './tensor-dtypes.ts'
import { readAdapter, updateOf, type ReadAdapter } from './testing/read-adapter.ts'

const temporaryFolder = () => mkdtempDisposable(join(tmpdir(), 'lora-mesh-modules-'))
const numbers = (count: number, step = 7) =>
  Float32Array.from({ length: count }, (_, i) => (((i * step) % 31) - 15) / 16)

function pair(module: string, inputs: number, rows: number, rank = 2, step = 7): Record<string, StoredTensor> {
  return {
    [`base_model.model.${module}.lora_A.weight`]: f32Tensor([rank, inputs], numbers(rank * inputs, step)),
    [`base_model.model.${module}.lora_B.weight`]: f32Tensor([rows, rank], numbers(rank * rows, step + 4)),
  }
}

async function converted(
  weights: Record<string, StoredTensor>,
  base: ConversionBase,
  config: Record<string, unknown> = {},
): Promise<ReadAdapter> {
  await using folder = await temporaryFolder()
  const dir = await writePeftFolder(join(folder.path, 'peft'), { config, weights: safetensorsBytes(weights) })
  const out = join(folder.path, 'out.gguf')
  try {
    await convertPeft({ dir, base, out })
  } catch (error) {
    expect(readdirSync(folder.path)).toEqual(['peft'])
    throw error
  }
  return readAdapter(out)
}

const sizes = { layers: 2, width: 16, heads: 4, kvHeads: 2, feedForward: 24, vocabulary: 300 }
const bytesOf = (architecture: SupportedArchitecture, tied?: boolean) =>
  randomBaseBytes({ architecture, ...sizes, ...(tied === undefined ? {} : { tied }) })
const baseOf = (bytes: Uint8Array) => inspectBaseSource(memorySource(bytes))

const attention = 'model.layers.0.self_attn'

describe('a base with fused q, k and v', () => {
  const weights = { ...pair(`${attention}.q_proj`, 16, 16), ...pair(`${attention}.v_proj`, 16, 8, 3, 5) }

  test('takes the updates of those that are adapted at their rows, and zeros at the others', async () => {
    const config = { rank_pattern: { v_proj: 3 }, alpha_pattern: { v_proj: 5 } }
    const apart = await converted(weights, await baseOf(bytesOf('qwen2')), config)
    const fused = await converted(weights, await baseOf(fuseQkv(bytesOf('qwen2'))), config)
    expect(fused.tensors.get('blk.0.attn_qkv.weight.lora_a')?.shape).toEqual([16, 5])
    const update = updateOf(fused, 'blk.0.attn_qkv.weight')!.values
    const [query, value] = ['q', 'v'].map((letter) => updateOf(apart, `blk.0.attn_${letter}.weight`)!.values)
    const expected = [...query!, ...new Float64Array(8 * 16), ...value!]
    // B is stored as F32 once 5 / 3 is multiplied into it.
    for (const [at, number] of expected.entries()) expect(update[at]).toBeCloseTo(number, 5)
    expect(update).toHaveLength(expected.length)
  })

  test('keeps one alpha and every bit where all its modules have one rank and nothing else is adapted', async () => {
    const two = { ...pair(`${attention}.q_proj`, 16, 16), ...pair(`${attention}.v_proj`, 16, 8) }
    const { alpha, tensors } = await converted(two, await baseOf(fuseQkv(bytesOf('qwen2'))), { lora_alpha: 3 })
    expect(alpha).toBe(6)
    const b = tensors.get('blk.0.attn_qkv.weight.lora_b')!
    expect([...b.values.subarray(0, 8)]).toEqual([
      ...numbers(4, 11).subarray(0, 2),
      0,
      0,
      ...numbers(4, 11).subarray(2),
      0,
      0,
    ])
  })

  test.each(['F16', 'BF16'] as const)('stays %s where the scale is a power of two', async (dtype) => {
    const half = Object.fromEntries(
      Object.entries({ ...pair(`${attention}.k_proj`, 16, 8), ...pair('model.layers.0.mlp.up_proj', 16, 24) }).map(
        ([name, { shape, data }]) =>
          [name, { dtype, shape, data: encodeTensor(dtype, new Float32Array(data.slice().buffer)) }] as const,
      ),
    )
    const { tensors } = await converted(half, await baseOf(fuseQkv(bytesOf('qwen3'))), { alpha_pattern: { k_proj: 8 } })
    expect([...tensors.values()].map((tensor) => tensor.dtype)).toEqual([dtype, dtype, dtype, dtype])
  })

  test('is refused where the ranks add up to more than the limit, with the way out', async () => {
    const large = ['q', 'k', 'v'].map((letter) => pair(`${attention}.${letter}_proj`, 16, letter === 'q' ? 16 : 8, 200))
    const base = await baseOf(fuseQkv(bytesOf('qwen2')))
    await expect(converted(Object.assign({}, ...large), base, { r: 200 })).rejects.toMatchObject({
      code: 'rank-limit',
      message: expect.stringMatching(/attn_qkv.*600.*without fused/),
    })
  })

  test('whose rows do not make its heads is refused', async () => {
    const base = await baseOf(fuseQkv(bytesOf('qwen2')))
    const heads = base.heads.map(() => ({ query: 5, keyValue: 2 }))
    await expect(converted(weights, { ...base, heads }, { rank_pattern: { v_proj: 3 } })).rejects.toMatchObject({
      code: 'shape-mismatch',
      message: expect.stringContaining("can't be divided"),
    })
  })
})

test('each block counts its own heads', async () => {
  const { tensors } = await baseOf(bytesOf('llama'))
  const heads = [
    { query: 4, keyValue: 2 },
    { query: 2, keyValue: 1 },
  ]
  const base = { architecture: 'llama', tensors, heads, tied: false }
  const indices = f32Tensor(
    [8, 1],
    Array.from({ length: 8 }, (_, i) => i),
  )
  const weights = Object.fromEntries(
    [0, 1].flatMap((block) => {
      const name = `base_model.model.model.layers.${block}.self_attn.k_proj`
      return [
        [`${name}.lora_A.weight`, f32Tensor([1, 16], numbers(16))],
        [`${name}.lora_B.weight`, indices],
      ]
    }),
  )
  const { tensors: written } = await converted(weights, base, { r: 1 })
  expect([...written.get('blk.0.attn_k.weight.lora_b')!.values]).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
  expect([...written.get('blk.1.attn_k.weight.lora_b')!.values]).toEqual([0, 4, 1, 5, 2, 6, 3, 7])
})

test('output and embedding of an untied base of another architecture', async () => {
  const weights = {
    ...pair('lm_head', 16, 300),
    'base_model.model.model.embed_tokens.lora_embedding_A': f32Tensor([2, 300], numbers(600)),
    'base_model.model.model.embed_tokens.lora_embedding_B': f32Tensor([16, 2], numbers(32)),
  }
  const { tensors } = await converted(weights, await baseOf(bytesOf('phi3')))
  expect([...tensors.keys()].toSorted()).toEqual(
    ['output', 'token_embd'].flatMap((name) => [`${name}.weight.lora_a`, `${name}.weight.lora_b`]),
  )
})

describe('refused by name', () => {
  const cases: readonly (readonly [
    what: string,
    architecture: SupportedArchitecture,
    weights: Record<string, StoredTensor>,
    code: string,
    words: RegExp,
  ])[] = [
    [
      'fused modules on a model that has them apart',
      'qwen3',
      pair(`${attention}.qkv_proj`, 16, 32),
      'architecture-mismatch',
      /qkv_proj.*Phi-3.*qwen3/,
    ],
    [
      'gate and up apart on a model that fuses them',
      'phi3',
      pair('model.layers.0.mlp.up_proj', 16, 24),
      'architecture-mismatch',
      /up_proj.*phi3.*gate_up_proj/,
    ],
    [
      'the vision tower of a multimodal folder',
      'gemma3',
      pair('model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj', 16, 16),
      'peft-unsupported',
      /vision_tower.*language_model/,
    ],
    [
      'the vision tower under its older name',
      'gemma3',
      pair('vision_tower.vision_model.encoder.layers.0.mlp.fc1', 16, 16),
      'peft-unsupported',
      /vision_tower/,
    ],
    [
      'the projector of a multimodal folder',
      'gemma3',
      pair('model.multi_modal_projector.mm_input_projection', 16, 16),
      'peft-unsupported',
      /multi_modal_projector/,
    ],
    [
      'a module under both names of the text model',
      'gemma3',
      { ...pair(`${attention}.v_proj`, 16, 8), ...pair('language_model.model.layers.0.self_attn.v_proj', 16, 8) },
      'peft-unsupported',
      /another name of/,
    ],
    ['norms of heads', 'qwen3', pair(`${attention}.q_norm`, 16, 16), 'peft-unsupported', /q_norm.*q_proj, k_proj/],
    ['experts', 'qwen3', pair('model.layers.0.mlp.experts.3.up_proj', 16, 24), 'peft-unsupported', /experts\.3/],
    [
      'a trained norm',
      'qwen3',
      { ...pair(`${attention}.v_proj`, 16, 8), 'base_model.model.model.norm.weight': f32Tensor([16], numbers(16)) },
      'peft-unsupported',
      /trained norm vector/,
    ],
    [
      'an embedding saved whole',
      'qwen2',
      {
        ...pair(`${attention}.v_proj`, 16, 8),
        'base_model.model.model.embed_tokens.base_layer.weight': f32Tensor([300, 16], numbers(4800)),
      },
      'peft-unsupported',
      /save_embedding_layers=False/,
    ],
    ['the output of a tied base', 'gemma2', pair('lm_head', 16, 300), 'peft-unsupported', /shared matrix/],
  ]

  test.each(cases)('%s', async (_, architecture, weights, code, words) => {
    const base = await baseOf(bytesOf(architecture))
    await expect(converted(weights, base)).rejects.toMatchObject({ code, message: expect.stringMatching(words) })
  })

  test('the embedding of a Gemma that has an output of its own: versions of PEFT disagree on it', async () => {
    const weights = {
      'base_model.model.model.embed_tokens.lora_embedding_A': f32Tensor([2, 300], numbers(600)),
      'base_model.model.model.embed_tokens.lora_embedding_B': f32Tensor([16, 2], numbers(32)),
    }
    await expect(converted(weights, await baseOf(bytesOf('gemma3', false)))).rejects.toMatchObject({
      code: 'peft-unsupported',
      message: expect.stringContaining('scale embeddings'),
    })
  })

  test('a base of an architecture that is not known', async () => {
    const base = { ...(await baseOf(bytesOf('llama'))), architecture: 'mamba' }
    await expect(converted(pair(`${attention}.v_proj`, 16, 8), base)).rejects.toMatchObject({
      code: 'architecture-not-supported',
    })
  })

  const classOf = async (base_model_class: string, architecture: SupportedArchitecture): Promise<ReadAdapter> => {
    const config = { auto_mapping: { base_model_class } }
    return await converted(pair(`${attention}.v_proj`, 16, 8), await baseOf(bytesOf(architecture)), config)
  }

  test.each([
    ['Llama4ForCausalLM', 'llama', 'architecture-not-supported'],
    ['Qwen2MoeForCausalLM', 'qwen2', 'architecture-not-supported'],
    ['Qwen3ForCausalLM', 'qwen2', 'architecture-mismatch'],
  ] as const)('a config of the class %s on a base of %s', async (name, architecture, code) => {
    await expect(classOf(name, architecture)).rejects.toMatchObject({ code })
  })

  test.each([
    ['Qwen2ForCausalLM', 'qwen2'],
    ['Gemma3ForConditionalGeneration', 'gemma3'],
    ['Mistral3ForConditionalGeneration', 'llama'],
  ] as const)('but not one of the class %s on a base of %s', async (name, architecture) => {
    expect((await classOf(name, architecture)).tensors.size).toBe(2)
  })
})
