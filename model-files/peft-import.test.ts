import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable, writeFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isMeshError, toHex } from '../protocol/index.ts'
import { f32Tensor, safetensorsBytes, writePeftFolder, type StoredTensor } from '../testing/peft-folder.ts'
import { adapterProblems, validateAdapter } from './adapter-validator.ts'
import { inspectBaseSource } from './base-info.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import { convertPeft } from './peft-import.ts'
import { randomBaseBytes } from './random-model.ts'
import { encodeTensor } from './tensor-dtypes.ts'
import { readAdapter, type ReadAdapter } from './testing/read-adapter.ts'

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

  test('an alpha that no reader would take is folded too', async () => {
    const small = numbers(16, 7).map((value) => value / 1024)
    const weights = { ...vProjection(), [`${attention}.v_proj.lora_B.weight`]: f32Tensor([8, 2], small) }
    const { alpha, tensors } = await converted(weights, { use_rslora: true, lora_alpha: 8e5 })
    expect(alpha).toBe(0)
    const scale = 8e5 / Math.sqrt(2)
    expect(tensors.get('blk.0.attn_v.weight.lora_b')?.values).toEqual(small.map((value) => value * scale))
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
      Array.from({ length: 600 }, (_, i) => i / 1024),
    ),
    'base_model.model.model.embed_tokens.lora_embedding_B': f32Tensor([16, 2], numbers(32)),
  })
  expect(tensors.get('output.weight.lora_b')).toEqual({ dtype: 'F32', shape: [2, 300], values: numbers(600) })
  const flipped = tensors.get('token_embd.weight.lora_a')!
  expect(flipped.shape).toEqual([2, 300])
  expect([...flipped.values.subarray(0, 6)]).toEqual([0, 300, 1, 301, 2, 302].map((i) => i / 1024))
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
      'architecture-mismatch',
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
      'architecture-mismatch',
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

  test.each(['adapter_config.json', 'adapter_model.safetensors'])('a folder without %s', async (name) => {
    await using folder = await temporaryFolder()
    const dir = await writePeftFolder(join(folder.path, 'peft'), { weights: safetensorsBytes(vProjection()) })
    await rm(join(dir, name))
    const conversion = convertPeft({ dir, base, out: join(folder.path, 'out.gguf') })
    await expect(conversion).rejects.toMatchObject({ code: 'peft-unsupported', details: { file: name } })
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

test('a folder with changed bytes gives a valid adapter or a named error, never anything else', async () => {
  await using folder = await temporaryFolder()
  const dir = await writePeftFolder(join(folder.path, 'peft'), { weights: safetensorsBytes(vProjection()) })
  const files = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => ({
    path: join(dir, name),
    bytes: readFileSync(join(dir, name)),
  }))
  const out = join(folder.path, 'out.gguf')
  const edit = fc.record({ file: fc.nat({ max: 1 }), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) })
  let convertedOnes = 0
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const changed = files.map(({ bytes }) => Uint8Array.from(bytes))
      for (const { file, at, byte } of edits) changed[file]![at % changed[file]!.length] = byte
      for (const [index, { path }] of files.entries()) writeFileSync(path, changed[index]!)
      const outcome = await convertPeft({ dir, base, out }).catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(isMeshError(outcome)).toBe(true)
        expect(existsSync(out)).toBe(false)
        return
      }
      convertedOnes++
      using source = openFileSource(out)
      // What is well-formed may still be of absurd strength, which is the validator's to say.
      const { problems } = await adapterProblems(source, base)
      expect(problems.filter(({ code, message }) => code !== 'gguf-refused' || !message.includes('strength'))).toEqual(
        [],
      )
      rmSync(out)
    }),
    { numRuns: 400 },
  )
  expect(convertedOnes).toBeGreaterThan(10)
})
