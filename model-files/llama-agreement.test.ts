// The last word on converting and baking is llama.cpp's: what it computes with our files must be what PEFT computed.
// A part of what bench/adapter-agreement.ts measures, chosen to take seconds.
import { readFileSync } from 'node:fs'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adaptersOfBases } from '../testing/kit-adapters.ts'
import { kit } from '../testing/kit.ts'
import { heldoutPassages, largestLogDifference, runLlama, type LlamaRun } from '../testing/llama-runs.ts'
import { f32Tensor, safetensorsBytes, writePeftFolder } from '../testing/peft-folder.ts'
import { bakeAdapters } from './bake-adapters.ts'
import { baseInfoOf, inspectBase } from './base-info.ts'
import { memorySource } from './byte-source.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { writeGguf } from './gguf-writer.ts'
import { convertPeft } from './peft-import.ts'
import { randomAdapter, randomBase, randomBaseBytes } from './random-model.ts'
import { decodeTensor, encodeTensor } from './tensor-dtypes.ts'
import { readAdapter, updateOf } from './testing/read-adapter.ts'

const { stories260K: onStories, ...onOthers } = adaptersOfBases
const files = new AsyncDisposableStack()
let folder = ''
const pathOf = (name: string): string => join(folder, `${name}.gguf`)

beforeAll(async () => {
  folder = files.use(await mkdtempDisposable(join(tmpdir(), 'lora-mesh-agreement-'))).path
})
afterAll(() => files.disposeAsync())

function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(kit.path(...path), 'utf8')) as T
}

async function convert(adapter: string, baseName: string): Promise<void> {
  const base = await inspectBase(kit.path('models', `${baseName}.gguf`))
  await convertPeft({ dir: kit.path('adapters', adapter), base, out: pathOf(adapter) })
}

describe.skipIf(!kit.present)('through the real llama.cpp (needs the kit)', () => {
  const stories = kit.path('models/stories260K.gguf')

  beforeAll(async () => {
    for (const adapter of onStories) await convert(adapter, 'stories260K')
    for (const [base, adapters] of Object.entries(onOthers))
      for (const adapter of adapters) await convert(adapter, base)
  })

  interface Expected {
    readonly nll: Record<
      'recipes' | 'shakespeare',
      { readonly 'base+adapter': number; readonly 'base+adapter at scale 0.5': number }
    >
  }
  type Row = readonly [adapter: string, corpus: 'recipes' | 'shakespeare', scale: 1 | 0.5]
  const rows: readonly (readonly [base: string, rows: readonly Row[]])[] = [
    [
      'stories260K',
      [
        ['peft-shakespeare', 'shakespeare', 1],
        ['peft-recipes', 'recipes', 0.5],
        ['peft-rslora', 'shakespeare', 1],
        ['peft-pattern', 'recipes', 1],
      ],
    ],
    ...Object.entries(onOthers).map(
      ([base, adapters]) => [base, adapters.map((adapter) => [adapter, 'recipes', 1] as const)] as const,
    ),
  ]

  test.each(rows)('converted adapters on %s have the NLL that PEFT has: %j', async (baseName, ofBase) => {
    const expected = ofBase.map(([adapter, corpus, scale]) => {
      const { nll } = readJson<Expected>('adapters', adapter, 'expected.json')
      return nll[corpus][scale === 1 ? 'base+adapter' : 'base+adapter at scale 0.5']
    })
    const runs = ofBase.map(([adapter, corpus, scale]) => ({
      adapters: [{ path: pathOf(adapter), scale }],
      passages: heldoutPassages(corpus),
    }))
    const results = await runLlama({ base: kit.path('models', `${baseName}.gguf`), runs })
    // Far below the 1 % that is asked for: F32 throughout agrees to the digits that PEFT's numbers are given with.
    for (const [index, { meanNll }] of results.entries()) expect(meanNll).toBeCloseTo(expected[index]!, 4)
  })

  test('baked adapters do what the same adapters do side by side', async () => {
    interface Mix {
      readonly weights: Record<string, number>
    }
    const { mixes } = readJson<{ mixes: Mix[] }>('golden/adapter-mixes.json')
    const base = await inspectBase(stories)
    const passages = heldoutPassages('recipes').slice(0, 2)
    const runs: LlamaRun[] = []
    for (const [index, { weights }] of mixes.entries()) {
      const adapters = Object.entries(weights).map(([adapter, scale]) => ({ path: pathOf(adapter), scale }))
      const { out } = await bakeAdapters({ base, adapters, out: pathOf(`mix-${index}`) })
      runs.push({ adapters, passages, keepDistributions: true })
      runs.push({ adapters: [{ path: out, scale: 1 }], passages, keepDistributions: true })
    }
    const results = await runLlama({ base: stories, runs })
    const differences = mixes.map((_, index) => largestLogDifference(results[index * 2]!, results[index * 2 + 1]!))
    expect(differences).toHaveLength(7)
    expect(Math.max(...differences)).toBeLessThan(1e-3)
  })

  test('narrow types load and cost little', async () => {
    const base = await inspectBase(stories)
    const adapters = [
      { path: pathOf('peft-shakespeare'), scale: 0.7 },
      { path: pathOf('peft-recipes'), scale: 0.3 },
    ]
    const passages = heldoutPassages('shakespeare').slice(0, 2)
    const runs: LlamaRun[] = [{ adapters, passages }]
    for (const dtype of ['f16', 'q8_0'] as const) {
      const { out } = await bakeAdapters({ base, adapters, dtype, out: pathOf(dtype) })
      runs.push({ adapters: [{ path: out, scale: 1 }], passages })
    }
    const [stacked, f16, q8] = (await runLlama({ base: stories, runs })).map(({ meanNll }) => meanNll)
    expect(Math.abs(f16! - stacked!)).toBeLessThan(1e-3)
    expect(Math.abs(q8! - stacked!)).toBeLessThan(1e-2)
  })
})

test('adapters of a generated base, baked, do what they do side by side', async () => {
  const basePath = pathOf('random-base')
  await randomBase({ layers: 2, width: 64, heads: 4, kvHeads: 2, feedForward: 96, vocabulary: 300 }, basePath)
  const base = await inspectBase(basePath)
  const adapters = [0.7, -0.3].map((scale, index) => ({ path: pathOf(`random-${index}`), scale }))
  for (const [index, { path }] of adapters.entries())
    await randomAdapter(base, { rank: 4 + index, rngSeed: index }, path)
  const { out } = await bakeAdapters({ base, adapters, out: pathOf('random-baked') })
  const passages = [Array.from({ length: 60 }, (_, i) => (i === 0 ? 1 : 3 + ((i * 37) % 290)))]
  const [bare, stacked, baked] = await runLlama({
    base: basePath,
    runs: [[], adapters, [{ path: out, scale: 1 }]].map((list) => ({
      adapters: list,
      passages,
      keepDistributions: true,
    })),
  })
  expect(largestLogDifference(stacked!, baked!)).toBeLessThan(1e-3)
  expect(largestLogDifference(bare!, baked!)).toBeGreaterThan(1e-2)
})

test('an adapter does what a base with its updates added does, embeddings and output included', async () => {
  const bytes = randomBaseBytes({ layers: 1, width: 32, heads: 4, kvHeads: 2, feedForward: 48, vocabulary: 300 })
  const original = readGguf(memorySource(bytes), 'base')
  const values = (count: number, step: number) => Array.from({ length: count }, (_, i) => (((i * step) % 29) - 14) / 60)
  const pair = (name: string, inputs: number, outputs: number, a = '.lora_A.weight', b = '.lora_B.weight') => ({
    [`base_model.model.${name}${a}`]: f32Tensor([2, inputs], values(2 * inputs, 7)),
    [`base_model.model.${name}${b}`]: f32Tensor([outputs, 2], values(2 * outputs, 11)),
  })
  const weights = safetensorsBytes({
    ...pair('lm_head', 32, 300),
    ...pair('model.embed_tokens', 300, 32, '.lora_embedding_A', '.lora_embedding_B'),
    ...pair('model.layers.0.self_attn.k_proj', 32, 16),
    ...pair('model.layers.0.mlp.down_proj', 48, 32),
  })
  const dir = await writePeftFolder(join(folder, 'peft'), { weights })
  const { out } = await convertPeft({ dir, base: await baseInfoOf(original), out: pathOf('with-embeddings') })
  const baked = await bakeAdapters({
    base: await baseInfoOf(original),
    adapters: [{ path: out, scale: 1 }],
    out: pathOf('with-embeddings-baked'),
  })
  const adapter = readAdapter(out)
  const tensors = original.tensors.map((tensor) => {
    const sum = Float64Array.from(decodeTensor('F32', readTensor(original, tensor)))
    const update = updateOf(adapter, tensor.name)?.values ?? new Float64Array(sum.length)
    const width = tensor.shape[0]!
    // The update of an embedding is (width, tokens); the embedding itself is stored by tokens.
    const flipped = tensor.name === 'token_embd.weight'
    for (let i = 0; i < sum.length; i++) {
      sum[i]! += update[flipped ? (i % width) * (sum.length / width) + Math.floor(i / width) : i]!
    }
    return { name: tensor.name, type: tensor.type, shape: tensor.shape, data: encodeTensor('F32', sum) }
  })
  await writeFile(pathOf('original'), bytes)
  await writeFile(pathOf('merged'), writeGguf({ metadata: original.metadata, tensors }))
  const passages = [Array.from({ length: 40 }, (_, i) => (i === 0 ? 1 : 3 + ((i * 37) % 290)))]
  const keepDistributions = true
  const [bare, adapted, once] = await runLlama({
    base: pathOf('original'),
    runs: [
      { adapters: [], passages, keepDistributions },
      { adapters: [{ path: out, scale: 1 }], passages, keepDistributions },
      { adapters: [{ path: baked.out, scale: 1 }], passages, keepDistributions },
    ],
  })
  const [merged] = await runLlama({ base: pathOf('merged'), runs: [{ adapters: [], passages, keepDistributions }] })
  expect(largestLogDifference(adapted!, merged!)).toBeLessThan(1e-3)
  expect(largestLogDifference(once!, merged!)).toBeLessThan(1e-3)
  expect(largestLogDifference(bare!, merged!)).toBeGreaterThan(1e-2)
})
