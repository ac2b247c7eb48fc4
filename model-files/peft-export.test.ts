import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { toHex, type SupportedArchitecture } from '../protocol/index.ts'
import { kitAdapters } from '../testing/kit-adapters.ts'
import { kit } from '../testing/kit.ts'
import { f32Tensor, safetensorsBytes, writePeftFolder } from '../testing/peft-folder.ts'
import { largestRelativeDifference, product, readPeftFolder, type ReadPeftFolder } from '../testing/read-peft-folder.ts'
import { inspectBase, inspectBaseSource, type BaseInfo } from './base-info.ts'
import { memorySource } from './byte-source.ts'
import { exportPeft } from './peft-export.ts'
import { convertPeft } from './peft-import.ts'
import { randomAdapterBytes, randomBaseBytes } from './random-model.ts'
import { fuseQkv, splitQkv } from '../testing/fuse-qkv.ts'
import { loraBytes, loraPair, loraTensor } from './testing/lora-bytes.ts'
import { readAdapter, updateOf } from './testing/read-adapter.ts'
import { randomPeft, type RandomModule } from './testing/random-peft.ts'

const temporaryFolder = () => mkdtempDisposable(join(tmpdir(), 'lora-mesh-export-'))

/** Sums in another order differ in the last digits of a double; a scale that was stored as F32, in the last ones of a float. */
function expectSameUpdates(
  actual: ReadonlyMap<string, Float64Array>,
  expected: ReadonlyMap<string, Float64Array>,
): void {
  expect([...actual.keys()].toSorted()).toEqual([...expected.keys()].toSorted())
  for (const [module, update] of expected)
    expect(largestRelativeDifference(actual.get(module), update), module).toBeLessThan(2e-7)
}

describe.skipIf(!kit.present)('adapters of the kit, imported and exported again (needs the kit)', () => {
  test.each(kitAdapters)(
    '$adapter has its tensor names, shapes, types, config keys and updates',
    async ({ adapter, base: baseName }) => {
      await using folder = await temporaryFolder()
      const base = await inspectBase(kit.path('models', `${baseName}.gguf`))
      const [file, dir] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
      const imported = await convertPeft({ dir: kit.path('adapters', adapter), base, out: file })
      await exportPeft({ file, base, dir, baseName })
      const [original, back] = [readPeftFolder(kit.path('adapters', adapter)), readPeftFolder(dir)]
      expect(back.tensors).toEqual(original.tensors)
      expect(Object.keys(back.config)).toEqual(Object.keys(original.config))
      expectSameUpdates(back.updates, original.updates)
      const again = await convertPeft({ dir, base, out: join(folder.path, 'again.gguf') })
      if (imported.alpha === 0) return
      // Nothing was folded, so nothing was rounded: the same bytes, all the way round.
      const weights = 'adapter_model.safetensors'
      expect(readFileSync(join(dir, weights)).equals(readFileSync(kit.path('adapters', adapter, weights)))).toBe(true)
      expect(toHex(again.sha256)).toBe(toHex(imported.sha256))
    },
  )

  test.each(kitAdapters.filter(({ adapter }) => adapter !== 'peft-pattern'))(
    '$adapter has the config it was trained with',
    async ({ adapter, base: baseName }) => {
      await using folder = await temporaryFolder()
      const base = await inspectBase(kit.path('models', `${baseName}.gguf`))
      const [file, dir] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
      await convertPeft({ dir: kit.path('adapters', adapter), base, out: file })
      await exportPeft({ file, base, dir, baseName })
      const [original, back] = [readPeftFolder(kit.path('adapters', adapter)).config, readPeftFolder(dir).config]
      const sorted = (config: Record<string, unknown>) => (config['target_modules'] as string[]).toSorted()
      expect(sorted(back)).toEqual(sorted(original))
      // A rank of 4 has a whole root: its rsLoRA scale is that of a plain adapter with twice the alpha.
      const scale = adapter === 'peft-qwen2-qv-rslora' ? { lora_alpha: 32, use_rslora: false } : {}
      const notCompared = { target_modules: null, peft_version: null }
      expect({ ...back, ...notCompared }).toEqual({ ...original, ...scale, ...notCompared })
    },
  )
})

const [width, heads, kvHeads, feedForward, layers] = [32, 4, 2, 48, 2]

function bytesOf(architecture: SupportedArchitecture, headSize = 12, tied = false): Uint8Array {
  return randomBaseBytes({ architecture, layers, width, heads, kvHeads, headSize, feedForward, vocabulary: 300, tied })
}

const baseOf = (bytes: Uint8Array): Promise<BaseInfo> => inspectBaseSource(memorySource(bytes))

const attention = 'model.layers.1.self_attn'
const qkv = (ranks: readonly [number, number, number], headSize = 12): Record<string, RandomModule> => ({
  [`${attention}.q_proj`]: { inputs: width, rows: heads * headSize, rank: ranks[0], scale: 4 / ranks[0] },
  [`${attention}.k_proj`]: { inputs: width, rows: kvHeads * headSize, rank: ranks[1], scale: 4 / ranks[1] },
  [`${attention}.v_proj`]: { inputs: width, rows: kvHeads * headSize, rank: ranks[2], scale: 4 / ranks[2] },
})

/** Imports what `modules` say and exports it again. */
async function roundTrip(
  modules: Record<string, RandomModule>,
  base: BaseInfo,
): Promise<{ expected: ReadonlyMap<string, Float64Array>; back: ReadPeftFolder }> {
  await using folder = await temporaryFolder()
  const { tensors, updates } = randomPeft(modules)
  const rank_pattern = Object.fromEntries(Object.entries(modules).map(([name, { rank }]) => [name, rank]))
  const config = { r: 2, lora_alpha: 4, rank_pattern }
  const dir = await writePeftFolder(join(folder.path, 'peft'), { config, weights: safetensorsBytes(tensors) })
  const [file, out] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
  await convertPeft({ dir, base, out: file })
  await exportPeft({ file, base, dir: out, baseName: 'base' })
  return { expected: updates, back: readPeftFolder(out) }
}

describe('a base with fused q, k and v', () => {
  test.each(['llama', 'qwen2', 'qwen3', 'gemma2', 'gemma3'] as const)(
    'gives the modules of %s back apart, with their own ranks',
    async (architecture) => {
      const headSize = architecture === 'qwen2' ? 8 : 12
      const base = await baseOf(fuseQkv(bytesOf(architecture, headSize)))
      const { expected, back } = await roundTrip(qkv([2, 3, 1], headSize), base)
      expectSameUpdates(back.updates, expected)
      expect(back.config).toMatchObject({ r: 2, rank_pattern: { k_proj: 3, v_proj: 1 } })
    },
  )

  test('gives back only the modules that were adapted', async () => {
    const { [`${attention}.k_proj`]: key, [`${attention}.v_proj`]: value } = qkv([1, 2, 2])
    const modules = { [`${attention}.k_proj`]: key!, [`${attention}.v_proj`]: value! }
    const { expected, back } = await roundTrip(modules, await baseOf(fuseQkv(bytesOf('llama'))))
    expectSameUpdates(back.updates, expected)
  })

  test('also when one pair changes queries and keys together: both get its A', async () => {
    await using folder = await temporaryFolder()
    const base = await baseOf(fuseQkv(bytesOf('qwen3')))
    const file = join(folder.path, 'adapter.gguf')
    const b = loraTensor('blk.0.attn_qkv.weight.lora_b', [3, 96], 'F32', (i) => (i < 72 * 3 ? ((i % 7) - 3) / 8 : 0))
    const tensors = [loraTensor('blk.0.attn_qkv.weight.lora_a', [width, 3]), b]
    await writeFile(
      file,
      loraBytes({ metadata: { 'general.architecture': { type: 'string', value: 'qwen3' } }, tensors }),
    )
    await exportPeft({ file, base, dir: join(folder.path, 'back'), baseName: 'base' })
    const { updates, tensors: names } = readPeftFolder(join(folder.path, 'back'))
    const a = Float32Array.from({ length: 96 }, (_, i) => Math.fround(((i % 9) + 1) / 100))
    const rowsOfB = (from: number, to: number) =>
      Float32Array.from({ length: (to - from) * 3 }, (_, i) => (((from * 3 + i) % 7) - 3) / 8)
    const expected = new Map([
      ['model.layers.0.self_attn.q_proj', product(a, rowsOfB(0, 48), 3, 8 / 3)],
      ['model.layers.0.self_attn.k_proj', product(a, rowsOfB(48, 72), 3, 8 / 3)],
    ])
    expect(names.size).toBe(4)
    expectSameUpdates(updates, expected)
  })
})

test('a base of Phi-3 with q, k and v apart gives back the fused module', async () => {
  const base = await baseOf(splitQkv(bytesOf('phi3', 8), [32, 16, 16]))
  const modules = {
    [`${attention}.qkv_proj`]: { inputs: width, rows: 64, rank: 2, scale: 2 },
    'model.layers.1.mlp.gate_up_proj': { inputs: width, rows: 96, rank: 2, scale: 2 },
  }
  const { expected, back } = await roundTrip(modules, base)
  expectSameUpdates(back.updates, expected)
})

test('embeddings and output of an untied base come back the way PEFT stores them', async () => {
  await using folder = await temporaryFolder()
  const base = await baseOf(bytesOf('qwen2', 8))
  const values = (count: number) => Array.from({ length: count }, (_, i) => ((i % 31) - 15) / 16)
  const original = {
    'base_model.model.lm_head.lora_A.weight': f32Tensor([2, width], values(2 * width)),
    'base_model.model.lm_head.lora_B.weight': f32Tensor([300, 2], values(600)),
    'base_model.model.model.embed_tokens.lora_embedding_A': f32Tensor([2, 300], values(600)),
    'base_model.model.model.embed_tokens.lora_embedding_B': f32Tensor([width, 2], values(2 * width)),
  }
  const dir = await writePeftFolder(join(folder.path, 'peft'), { weights: safetensorsBytes(original) })
  const [file, out] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
  await convertPeft({ dir, base, out: file })
  await exportPeft({ file, base, dir: out, baseName: 'base' })
  const [before, after] = [readPeftFolder(dir), readPeftFolder(out)]
  expect(after.tensors).toEqual(before.tensors)
  expect(after.updates).toEqual(before.updates)
  expect(after.config['target_modules']).toEqual(['lm_head', 'embed_tokens'])
})

test('modules that only some blocks have are listed by their full names', async () => {
  const { expected, back } = await roundTrip(qkv([2, 3, 1]), await baseOf(bytesOf('qwen3')))
  expectSameUpdates(back.updates, expected)
  expect(back.config).toMatchObject({ lora_alpha: 4, rank_pattern: { k_proj: 3, v_proj: 1 }, alpha_pattern: {} })
  expect(back.config['target_modules']).toEqual(['q', 'k', 'v'].map((letter) => `${attention}.${letter}_proj`))
})

test('a multimodal folder is written with its own names, and lists every module: its other parts have some of the same kind', async () => {
  await using folder = await temporaryFolder()
  const base = await baseOf(bytesOf('gemma3'))
  const kinds = { q_proj: heads * 12, v_proj: kvHeads * 12 }
  const modules = Object.fromEntries(
    [0, 1].flatMap((block) =>
      Object.entries(kinds).map(([kind, rows]) => [
        `model.language_model.layers.${block}.self_attn.${kind}`,
        { inputs: width, rows, rank: 2, scale: 2 },
      ]),
    ),
  )
  const weights = safetensorsBytes(randomPeft(modules).tensors)
  const dir = await writePeftFolder(join(folder.path, 'peft'), { weights })
  const [file, out] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
  await convertPeft({ dir, base, out: file })
  await exportPeft({ file, base, dir: out, baseName: 'base', textModel: 'model.language_model' })
  const [before, after] = [readPeftFolder(dir), readPeftFolder(out)]
  expect(after.tensors).toEqual(before.tensors)
  expect(after.updates).toEqual(before.updates)
  expect((after.config['target_modules'] as string[]).toSorted()).toEqual(Object.keys(modules).toSorted())
})

test('Q8_0 numbers, which PEFT has no type for, become the same numbers in F32', async () => {
  await using folder = await temporaryFolder()
  const bytes = randomBaseBytes({ architecture: 'qwen3', layers: 1, width: 32, heads: 2, headSize: 32 })
  const base = await baseOf(bytes)
  const adapter = randomAdapterBytes(base, { rank: 32, dtype: 'Q8_0', targets: ['attn_k'] })
  const [file, dir] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
  await writeFile(file, adapter)
  await exportPeft({ file, base, dir, baseName: 'base' })
  const { tensors, updates } = readPeftFolder(dir)
  expect([...tensors.values()].map(([dtype]) => dtype)).toEqual(['F32', 'F32'])
  const expected = updateOf(readAdapter(file), 'blk.0.attn_k.weight')!.values
  expectSameUpdates(updates, new Map([['model.layers.0.self_attn.k_proj', expected]]))
})

describe('refused, and nothing is written', () => {
  const llama = (metadata = {}, tensors = loraPair('blk.0.attn_q.weight', 2, width, 48)) =>
    loraBytes({ metadata, tensors })

  async function refusalOf(bytes: Uint8Array, base: BaseInfo): Promise<unknown> {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'adapter.gguf')
    await writeFile(file, bytes)
    const dir = join(folder.path, 'back')
    const refusal = await exportPeft({ file, base, dir, baseName: 'base' }).catch((error: unknown) => error)
    expect(existsSync(dir)).toBe(false)
    return refusal
  }

  test('an adapter of another architecture', async () => {
    expect(await refusalOf(llama(), await baseOf(bytesOf('qwen3')))).toMatchObject({ code: 'architecture-mismatch' })
  })

  test('a fused adapter that changes nothing', async () => {
    const zero = loraTensor('blk.0.attn_qkv.weight.lora_b', [2, 96], 'F32', () => 0)
    const tensors = [loraTensor('blk.0.attn_qkv.weight.lora_a', [width, 2]), zero]
    expect(await refusalOf(llama({}, tensors), await baseOf(fuseQkv(bytesOf('llama'))))).toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('changes nothing'),
    })
  })

  test('a matrix that no module stands for, by its name', async () => {
    const base = await baseOf(bytesOf('llama'))
    const tensors = new Map(base.tensors).set('blk.0.attn_sink.weight', base.tensors.get('blk.0.attn_q.weight')!)
    const refusal = await refusalOf(llama({}, loraPair('blk.0.attn_sink.weight', 2, width, 48)), { ...base, tensors })
    expect(refusal).toMatchObject({ code: 'peft-unsupported', message: expect.stringContaining('attn_sink') })
  })

  test('a folder that holds an adapter', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'adapter.gguf')
    await writeFile(file, llama())
    const request = { file, base: await baseOf(bytesOf('llama')), dir: join(folder.path, 'back'), baseName: 'base' }
    await exportPeft(request)
    const first = readdirSync(request.dir)
    expect(first.toSorted()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    await expect(exportPeft(request)).rejects.toMatchObject({ code: 'already-exists' })
  })

  test('an export that is cancelled', async () => {
    await using folder = await temporaryFolder()
    const [file, dir] = [join(folder.path, 'adapter.gguf'), join(folder.path, 'back')]
    await writeFile(file, llama())
    const stop = new AbortController()
    const base = await baseOf(bytesOf('llama'))
    const request = { file, base, dir, baseName: 'base', signal: stop.signal, onProgress: () => stop.abort() }
    await expect(exportPeft(request)).rejects.toMatchObject({ code: 'aborted' })
    expect(readdirSync(dir)).toEqual([])
  })
})
