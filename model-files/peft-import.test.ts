import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isMeshError, toHex } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { f32Tensor, safetensorsBytes, writePeftFolder, type StoredTensor } from '../testing/peft-folder.ts'
import { validateAdapter } from './adapter-validator.ts'
import { inspectBase, inspectBaseSource, type BaseInfo } from './base-info.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { convertPeft } from './peft-import.ts'
import { randomBaseBytes } from './random-model.ts'
import { decodeTensor, dtypeOf, encodeTensor } from './tensor-dtypes.ts'

/** Width 16, 4 query heads of 4 rows, 2 key/value heads, feed-forward 24. */
const base = await inspectBaseSource(
  memorySource(randomBaseBytes({ layers: 2, width: 16, heads: 4, kvHeads: 2, feedForward: 24, vocabulary: 300 })),
)
const temporaryFolder = () => mkdtempDisposable(join(tmpdir(), 'lora-mesh-peft-'))
const attention = 'base_model.model.model.layers.0.self_attn'

/** `count` numbers that halves hold exactly, none twice in a row. */
const numbers = (count: number, step = 1) =>
  Float32Array.from({ length: count }, (_, i) => (((i * step) % 31) - 15) / 16)
const half = (dtype: 'F16' | 'BF16', shape: readonly number[], values: Float32Array): StoredTensor => ({
  dtype,
  shape,
  data: encodeTensor(dtype, values),
})

interface ReadAdapter {
  readonly alpha: number
  readonly tensors: ReadonlyMap<string, { dtype: string; shape: readonly number[]; values: Float32Array }>
}

function readAdapter(path: string): ReadAdapter {
  using source = openFileSource(path)
  const file = readGguf(source, 'adapter')
  const alpha = Number(file.metadata.get('adapter.lora.alpha')?.value)
  const tensors = file.tensors.map((tensor) => {
    const dtype = dtypeOf(tensor.type)!
    return [tensor.name, { dtype, shape: tensor.shape, values: decodeTensor(dtype, readTensor(file, tensor)) }] as const
  })
  return { alpha, tensors: new Map(tensors) }
}

async function converted(
  weights: Readonly<Record<string, StoredTensor>>,
  config: Record<string, unknown> = {},
): Promise<ReadAdapter> {
  await using folder = await temporaryFolder()
  const dir = await writePeftFolder(join(folder.path, 'peft'), { config, weights: safetensorsBytes(weights) })
  const out = join(folder.path, 'out.gguf')
  await convertPeft({ dir, base, out })
  using source = openFileSource(out)
  await validateAdapter(source, base)
  return readAdapter(out)
}

const vProjection = (dtype?: 'F16' | 'BF16') => {
  const [a, b] = [numbers(2 * 16), numbers(8 * 2, 7)]
  return {
    [`${attention}.v_proj.lora_A.weight`]: dtype ? half(dtype, [2, 16], a) : f32Tensor([2, 16], a),
    [`${attention}.v_proj.lora_B.weight`]: dtype ? half(dtype, [8, 2], b) : f32Tensor([8, 2], b),
  }
}

describe('scales', () => {
  test('one alpha for all modules stays an alpha, and the matrices stay as they are', async () => {
    const { alpha, tensors } = await converted(vProjection(), { lora_alpha: 3 })
    expect(alpha).toBe(3)
    expect(tensors.get('blk.0.attn_v.weight.lora_a')).toEqual({ dtype: 'F32', shape: [16, 2], values: numbers(32) })
    expect(tensors.get('blk.0.attn_v.weight.lora_b')).toEqual({ dtype: 'F32', shape: [2, 8], values: numbers(16, 7) })
  })

  test('rsLoRA with one rank is an alpha of another size', async () => {
    const { alpha, tensors } = await converted(vProjection(), { use_rslora: true })
    expect(alpha).toBe(Math.fround((4 / Math.sqrt(2)) * 2))
    expect(tensors.get('blk.0.attn_v.weight.lora_b')?.values).toEqual(numbers(16, 7))
  })

  const twoModules = (dtype: 'F16' | 'BF16' | undefined) => {
    const values = numbers(24 * 2, 5)
    return {
      ...vProjection(dtype),
      'base_model.model.model.layers.1.mlp.up_proj.lora_A.weight': half('F16', [2, 16], numbers(32, 3)),
      'base_model.model.model.layers.1.mlp.up_proj.lora_B.weight': dtype
        ? half(dtype, [24, 2], values)
        : f32Tensor([24, 2], values),
    }
  }

  test('different scales are multiplied into B, and alpha is 0', async () => {
    const { alpha, tensors } = await converted(twoModules(undefined), { alpha_pattern: { up_proj: 1 } })
    expect(alpha).toBe(0)
    expect(tensors.get('blk.0.attn_v.weight.lora_b')?.values).toEqual(numbers(16, 7).map((value) => value * 2))
    expect(tensors.get('blk.1.ffn_up.weight.lora_b')?.values).toEqual(numbers(48, 5).map((value) => value / 2))
    expect(tensors.get('blk.1.ffn_up.weight.lora_a')).toEqual({ dtype: 'F16', shape: [16, 2], values: numbers(32, 3) })
  })

  test.each(['F16', 'BF16'] as const)(
    'a scaled B stays %s where that is exact, and becomes F32 where it is not',
    async (dtype) => {
      const { tensors } = await converted(twoModules(dtype), { alpha_pattern: { up_proj: 0.2 } })
      expect(tensors.get('blk.0.attn_v.weight.lora_b')).toMatchObject({
        dtype,
        values: numbers(16, 7).map((value) => value * 2),
      })
      expect(tensors.get('blk.1.ffn_up.weight.lora_b')).toMatchObject({
        dtype: 'F32',
        values: numbers(48, 5).map((value) => value * 0.1),
      })
    },
  )

  test('an adapter in half precision stays so', async () => {
    const { tensors } = await converted(vProjection('BF16'))
    expect([...tensors.values()].map(({ dtype }) => dtype)).toEqual(['BF16', 'BF16'])
  })
})

test('rows of B are permuted for q by the query heads and for k by the key heads, of A never', async () => {
  const { tensors } = await converted({
    [`${attention}.q_proj.lora_A.weight`]: f32Tensor([2, 16], numbers(32)),
    [`${attention}.q_proj.lora_B.weight`]: f32Tensor(
      [16, 2],
      Array.from({ length: 32 }, (_, i) => i),
    ),
    [`${attention}.k_proj.lora_A.weight`]: f32Tensor([2, 16], numbers(32)),
    [`${attention}.k_proj.lora_B.weight`]: f32Tensor(
      [8, 2],
      Array.from({ length: 16 }, (_, i) => i),
    ),
  })
  const inHead = [0, 1, 4, 5, 2, 3, 6, 7]
  expect([...tensors.get('blk.0.attn_q.weight.lora_b')!.values]).toEqual(
    [0, 8, 16, 24].flatMap((head) => inHead.map((i) => head + i)),
  )
  expect([...tensors.get('blk.0.attn_k.weight.lora_b')!.values]).toEqual(
    [0, 8].flatMap((head) => inHead.map((i) => head + i)),
  )
  expect(tensors.get('blk.0.attn_q.weight.lora_a')?.values).toEqual(numbers(32))
})

test('output and embeddings are converted too; the embedding is looked up by token, so its A lies the other way round', async () => {
  const { tensors } = await converted({
    'base_model.model.lm_head.lora_A.weight': f32Tensor([2, 16], numbers(32)),
    'base_model.model.lm_head.lora_B.weight': f32Tensor([300, 2], numbers(600)),
    'base_model.model.model.embed_tokens.lora_embedding_A': f32Tensor(
      [2, 300],
      Array.from({ length: 600 }, (_, i) => i),
    ),
    'base_model.model.model.embed_tokens.lora_embedding_B': f32Tensor([16, 2], numbers(32)),
  })
  expect(tensors.get('output.weight.lora_b')).toEqual({ dtype: 'F32', shape: [2, 300], values: numbers(600) })
  const flipped = tensors.get('token_embd.weight.lora_a')!
  expect(flipped.shape).toEqual([2, 300])
  expect([...flipped.values.subarray(0, 6)]).toEqual([0, 300, 1, 301, 2, 302])
  expect(tensors.get('token_embd.weight.lora_b')).toEqual({ dtype: 'F32', shape: [2, 16], values: numbers(32) })
})

describe('refused by name, and nothing is written', () => {
  const pair = (module: string, a: readonly number[], b: readonly number[]) => ({
    [`base_model.model.${module}.lora_A.weight`]: f32Tensor(a, numbers(a.reduce((x, y) => x * y))),
    [`base_model.model.${module}.lora_B.weight`]: f32Tensor(b, numbers(b.reduce((x, y) => x * y))),
  })
  const aTensor = f32Tensor([16], numbers(16))
  const cases: [string, Record<string, StoredTensor>, Record<string, unknown>, string][] = [
    ['no tensors', {}, {}, 'peft-unsupported'],
    ['half a pair', { [`${attention}.v_proj.lora_A.weight`]: f32Tensor([2, 16], numbers(32)) }, {}, 'peft-unsupported'],
    ['a trained bias', { ...vProjection(), [`${attention}.v_proj.lora_B.bias`]: aTensor }, {}, 'peft-unsupported'],
    [
      'a DoRA magnitude',
      { ...vProjection(), [`${attention}.v_proj.lora_magnitude_vector`]: aTensor },
      {},
      'peft-unsupported',
    ],
    ['a whole weight', { ...vProjection(), 'base_model.model.model.norm.weight': aTensor }, {}, 'peft-unsupported'],
    ['names without the prefix', pair('x', [2, 16], [8, 2]), {}, 'peft-unsupported'],
    ['a module that is no matrix', pair('model.layers.0.input_layernorm', [2, 16], [16, 2]), {}, 'peft-unsupported'],
    [
      'a fused module of another architecture',
      pair('model.layers.0.self_attn.qkv_proj', [2, 16], [32, 2]),
      {},
      'architecture-not-supported',
    ],
    ['a layer that the base lacks', pair('model.layers.2.self_attn.v_proj', [2, 16], [8, 2]), {}, 'shape-mismatch'],
    [
      'a layer number written in another way',
      pair('model.layers.00.self_attn.v_proj', [2, 16], [8, 2]),
      {},
      'peft-unsupported',
    ],
    ['another width', pair('model.layers.0.self_attn.v_proj', [2, 12], [8, 2]), {}, 'shape-mismatch'],
    ['other heads', pair('model.layers.0.self_attn.k_proj', [2, 16], [16, 2]), {}, 'shape-mismatch'],
    ['another rank than the config says', vProjection(), { r: 4 }, 'shape-mismatch'],
    ['a module that target_modules does not list', vProjection(), { target_modules: ['q_proj'] }, 'peft-unsupported'],
    [
      'a config of another class of models',
      vProjection(),
      { auto_mapping: { base_model_class: 'Qwen2ForCausalLM' } },
      'architecture-not-supported',
    ],
    [
      'an overflow by scaling',
      {
        ...pair('model.layers.0.mlp.up_proj', [2, 16], [24, 2]),
        [`${attention}.v_proj.lora_A.weight`]: f32Tensor([2, 16], numbers(32)),
        [`${attention}.v_proj.lora_B.weight`]: f32Tensor([8, 2], new Float32Array(16).fill(3e38)),
      },
      { alpha_pattern: { up_proj: 1 } },
      'not-finite',
    ],
    [
      'a NaN',
      { ...vProjection(), [`${attention}.v_proj.lora_B.weight`]: f32Tensor([8, 2], new Float32Array(16).fill(NaN)) },
      {},
      'not-finite',
    ],
  ]

  test.each(cases)('%s', async (_what, weights, config, code) => {
    await using folder = await temporaryFolder()
    const dir = await writePeftFolder(join(folder.path, 'peft'), { config, weights: safetensorsBytes(weights) })
    await expect(convertPeft({ dir, base, out: join(folder.path, 'out.gguf') })).rejects.toThrow(
      expect.objectContaining({ code }),
    )
    expect(readdirSync(folder.path)).toEqual(['peft'])
  })

  test('embeddings of a base that uses them as output too', async () => {
    await using folder = await temporaryFolder()
    const tied = await inspectBaseSource(memorySource(randomBaseBytes({ width: 16, heads: 4, tied: true })))
    const weights = {
      'base_model.model.model.embed_tokens.lora_embedding_A': f32Tensor([2, 320], numbers(640)),
      'base_model.model.model.embed_tokens.lora_embedding_B': f32Tensor([16, 2], numbers(32)),
    }
    const dir = await writePeftFolder(folder.path, { weights: safetensorsBytes(weights) })
    await expect(convertPeft({ dir, base: tied, out: join(folder.path, 'out.gguf') })).rejects.toThrow(/shared matrix/)
  })

  test('an adapter that is only there as a pickle, with the way out', async () => {
    await using folder = await temporaryFolder()
    await writeFile(
      join(folder.path, 'adapter_config.json'),
      JSON.stringify({ peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 2, lora_alpha: 4 }),
    )
    await writeFile(join(folder.path, 'adapter_model.bin'), 'PK\x03\x04')
    const conversion = convertPeft({ dir: folder.path, base, out: join(folder.path, 'out.gguf') })
    await expect(conversion).rejects.toThrow(
      expect.objectContaining({ code: 'peft-unsupported', message: expect.stringMatching(/safe_serialization=True/) }),
    )
  })

  test('a folder that is not there', async () => {
    const missing = convertPeft({ dir: '/nowhere/peft', base, out: '/nowhere/out.gguf' })
    await expect(missing).rejects.toThrow(expect.objectContaining({ code: 'not-found' }))
  })

  test('a cancelled conversion', async () => {
    await using folder = await temporaryFolder()
    const dir = await writePeftFolder(join(folder.path, 'peft'), { weights: safetensorsBytes(vProjection()) })
    const stop = new AbortController()
    const conversion = convertPeft({
      dir,
      base,
      out: join(folder.path, 'out.gguf'),
      signal: stop.signal,
      onProgress: () => stop.abort(),
    })
    await expect(conversion).rejects.toThrow(expect.objectContaining({ code: 'aborted' }))
    expect(readdirSync(folder.path)).toEqual(['peft'])
  })
})

test('the same folder gives the same bytes, whatever the order of its tensors', async () => {
  await using folder = await temporaryFolder()
  const weights = {
    ...vProjection(),
    [`${attention}.o_proj.lora_A.weight`]: f32Tensor([2, 16], numbers(32)),
    [`${attention}.o_proj.lora_B.weight`]: f32Tensor([16, 2], numbers(32)),
  }
  const reversed = Object.fromEntries(Object.entries(weights).toReversed())
  const digests: string[] = []
  for (const [index, each] of [weights, reversed].entries()) {
    const dir = await writePeftFolder(join(folder.path, `peft-${index}`), { weights: safetensorsBytes(each) })
    const { sha256 } = await convertPeft({ dir, base, out: join(folder.path, `out-${index}.gguf`) })
    digests.push(toHex(sha256))
  }
  expect(digests[0]).toBe(digests[1])
})

interface Fingerprint {
  readonly gguf: string
  readonly shape: readonly [number, number]
  readonly r: number
  readonly frobenius: number
  readonly gguf_layout: { row0: number[]; row1: number[]; row5: number[]; weighted_sum: number }
}

/** scale * B * A in float64, as rows. */
function updateOf({ alpha, tensors }: ReadAdapter, target: string): Float64Array[] {
  const a = tensors.get(`${target}.lora_a`)!
  const b = tensors.get(`${target}.lora_b`)!
  const [inputs, rank] = [a.shape[0]!, a.shape[1]!]
  const scale = alpha === 0 ? 1 : alpha / rank
  return Array.from({ length: b.shape[1]! }, (_, row) =>
    Float64Array.from({ length: inputs }, (_, column) => {
      let sum = 0
      for (let i = 0; i < rank; i++) sum += b.values[row * rank + i]! * a.values[i * inputs + column]!
      return scale * sum
    }),
  )
}

function expectClose(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-4 * Math.abs(expected) + 1e-6)
}

describe.skipIf(!kit.present)('real adapters (needs the kit)', () => {
  const baseOf = (adapter: string): Promise<BaseInfo> => {
    const { base: name } = JSON.parse(readFileSync(kit.path('adapters', adapter, 'expected.json'), 'utf8')) as {
      base?: string
    }
    return inspectBase(kit.path('models', `${name ?? 'stories260K'}.gguf`))
  }

  test.each(['peft-shakespeare', 'peft-recipes', 'peft-rslora', 'peft-pattern', 'peft-mistral'])(
    'the update of every module of %s is the one that PEFT computes',
    async (adapter) => {
      await using folder = await temporaryFolder()
      const out = join(folder.path, 'out.gguf')
      const base = await baseOf(adapter)
      const result = await convertPeft({ dir: kit.path('adapters', adapter), base, out })
      using source = openFileSource(out)
      const info = await validateAdapter(source, base)
      expect(info).toMatchObject({
        rank: result.rank,
        alpha: result.alpha,
        targets: result.targets,
        bytes: result.bytes,
      })
      const file = readAdapter(out)
      const expected = JSON.parse(readFileSync(kit.path('adapters', adapter, 'expected.json'), 'utf8')) as {
        modules: Record<string, Fingerprint>
      }
      expect(info.pairs.map(({ target }) => target).toSorted()).toEqual(
        Object.values(expected.modules)
          .map(({ gguf }) => gguf)
          .toSorted(),
      )
      for (const { gguf, r, frobenius, gguf_layout } of Object.values(expected.modules)) {
        const update = updateOf(file, gguf)
        expect(info.pairs.find(({ target }) => target === gguf)?.rank).toBe(r)
        let squares = 0
        let weighted = 0
        for (const [i, row] of update.entries()) {
          for (const [j, value] of row.entries()) {
            squares += value * value
            weighted += value * ((i % 7) + 1) * ((j % 5) + 1)
          }
        }
        expectClose(Math.sqrt(squares), frobenius)
        expectClose(weighted, gguf_layout.weighted_sum)
        for (const [row, values] of [
          [0, gguf_layout.row0],
          [1, gguf_layout.row1],
          [5, gguf_layout.row5],
        ] as const) {
          for (const [column, value] of values.entries()) expectClose(update[row]![column]!, value)
        }
      }
    },
  )

  test.each([
    ['peft-dora', 'peft-unsupported', /use_dora/],
    ['peft-seqcls', 'peft-unsupported', /task_type/],
    ['peft-qwen2', 'architecture-not-supported', /qwen2/],
    ['peft-qwen2-qv-rslora', 'architecture-not-supported', /qwen2/],
    ['peft-gemma3', 'architecture-not-supported', /gemma3/],
    ['peft-phi3', 'architecture-not-supported', /phi3/],
  ])('%s is refused as %s', async (adapter, code, reason) => {
    await using folder = await temporaryFolder()
    const base =
      adapter === 'peft-seqcls' ? await inspectBase(kit.path('models/stories260K.gguf')) : await baseOf(adapter)
    const conversion = convertPeft({ dir: kit.path('adapters', adapter), base, out: join(folder.path, 'out.gguf') })
    await expect(conversion).rejects.toThrow(expect.objectContaining({ code, message: expect.stringMatching(reason) }))
    expect(readdirSync(folder.path)).toEqual([])
  })
})

interface Judged {
  readonly verdict: 'accept' | 'reject' | 'either'
}

interface Crafted {
  readonly config_for_the_files: Record<string, unknown>
  readonly weights_for_the_configs: string
  readonly files: readonly (Judged & { readonly file: string })[]
  readonly configs: readonly (Judged & { readonly name: string; readonly adapter_config_text: string })[]
}

const stories = kit.present ? await inspectBase(kit.path('models/stories260K.gguf')) : base

describe.skipIf(!kit.present)('crafted folders are judged as they should be (needs the kit)', () => {
  const crafted: Crafted = kit.present
    ? JSON.parse(readFileSync(kit.path('hostile/peft/expected.json'), 'utf8'))
    : { config_for_the_files: {}, weights_for_the_configs: '', files: [], configs: [] }

  async function judge(config: string, weights: string): Promise<'accept' | 'reject'> {
    await using folder = await temporaryFolder()
    const dir = join(folder.path, 'peft')
    await mkdir(dir)
    await writeFile(join(dir, 'adapter_config.json'), config)
    await copyFile(kit.path('hostile/peft', weights), join(dir, 'adapter_model.safetensors'))
    const out = join(folder.path, 'out.gguf')
    try {
      await convertPeft({ dir, base: stories, out })
    } catch (error) {
      if (!isMeshError(error)) throw error
      expect(readdirSync(folder.path)).toEqual(['peft'])
      return 'reject'
    }
    expect(existsSync(out)).toBe(true)
    using source = openFileSource(out)
    await validateAdapter(source, stories)
    return 'accept'
  }

  test('all of them are there', () => {
    expect([crafted.files.length, crafted.configs.length]).toEqual([40, 23])
  })

  test.each(crafted.files)('$file: $verdict', async ({ file, verdict }) => {
    const judged = await judge(JSON.stringify(crafted.config_for_the_files), file)
    expect(verdict === 'either' ? 'either' : judged).toBe(verdict)
  })

  test.each(crafted.configs)('config $name: $verdict', async ({ adapter_config_text, verdict }) => {
    const judged = await judge(adapter_config_text, crafted.weights_for_the_configs)
    expect(verdict === 'either' ? 'either' : judged).toBe(verdict)
  })
})
