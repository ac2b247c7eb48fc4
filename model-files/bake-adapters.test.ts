import { readdirSync, readFileSync } from 'node:fs'
import { copyFile, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { validateAdapter } from './adapter-validator.ts'
import { bakeAdapters, type BakeDtype, type BakedAdapter } from './bake-adapters.ts'
import { inspectBaseSource, type BaseInfo } from './base-info.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import { randomAdapterBytes, randomBaseBytes, type RandomAdapterOptions } from './random-model.ts'
import { loraBytes, loraPair, loraTensor, type LoraTensor } from './testing/lora-bytes.ts'
import { readAdapter, updateOf, type ReadAdapter } from './testing/read-adapter.ts'

/** Rows of 64 for A, but 48 for ffn_down, which are not whole Q8_0 blocks. */
const baseOptions = { layers: 1, width: 64, heads: 4, kvHeads: 2, feedForward: 48, vocabulary: 300 }
const base = await inspectBaseSource(memorySource(randomBaseBytes(baseOptions)))
const targets = [...base.tensors.keys()].filter((name) =>
  /^blk.*(attn_[qkv]|output|ffn_(gate|up|down))\.weight$/.test(name),
)

interface Ingredient {
  readonly bytes: Uint8Array
  readonly scale: number
}

interface Baked extends Omit<BakedAdapter, 'out'> {
  readonly file: ReadAdapter
  readonly content: Uint8Array
}

const temporaryFolder = () => mkdtempDisposable(join(tmpdir(), 'lora-mesh-bake-'))

/** Bakes and reads back; the result has passed the validator. */
async function bake(ingredients: readonly Ingredient[], dtype?: BakeDtype, onBase: BaseInfo = base): Promise<Baked> {
  await using folder = await temporaryFolder()
  const adapters = await written(folder.path, ingredients)
  const { out, ...result } = await bakeAdapters({ base: onBase, adapters, dtype, out: join(folder.path, 'baked.gguf') })
  using source = openFileSource(out)
  const info = await validateAdapter(source, onBase)
  expect(info).toMatchObject({ alpha: 0, rank: result.rank, bytes: result.bytes })
  return { ...result, file: readAdapter(out), content: readFileSync(out) }
}

function written(folder: string, ingredients: readonly Ingredient[]): Promise<{ path: string; scale: number }[]> {
  return Promise.all(
    ingredients.map(async ({ bytes, scale }, index) => {
      const path = join(folder, `adapter-${index}.gguf`)
      await writeFile(path, bytes)
      return { path, scale }
    }),
  )
}

async function read(bytes: Uint8Array): Promise<ReadAdapter> {
  await using folder = await temporaryFolder()
  await writeFile(join(folder.path, 'one.gguf'), bytes)
  return readAdapter(join(folder.path, 'one.gguf'))
}

/** The sum of scale * update over all ingredients, and the largest difference of the baked file from it on any target. */
async function largestError(
  baked: ReadAdapter,
  ingredients: readonly Ingredient[],
  ofTargets = targets,
): Promise<number> {
  const files = await Promise.all(ingredients.map(({ bytes }) => read(bytes)))
  let largest = 0
  for (const target of ofTargets) {
    const parts = files.map((file) => updateOf(file, target)?.values)
    const actual = updateOf(baked, target)?.values
    const length = actual?.length ?? parts.find((part) => part !== undefined)?.length ?? 0
    for (let i = 0; i < length; i++) {
      const expected = parts.reduce((sum, part, index) => sum + ingredients[index]!.scale * (part?.[i] ?? 0), 0)
      largest = Math.max(largest, Math.abs((actual?.[i] ?? 0) - expected))
    }
  }
  return largest
}

const anAdapter = (options: RandomAdapterOptions = {}): Uint8Array => randomAdapterBytes(base, { rank: 4, ...options })

const someAdapters = fc.array(
  fc.record({
    options: fc.record({
      rank: fc.integer({ min: 1, max: 9 }),
      rngSeed: fc.nat({ max: 1000 }),
      alpha: fc.constantFrom(0, 0.5, 8, 32),
      dtype: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const),
      targets: fc.constantFrom(
        ['attn_q', 'attn_v'],
        ['attn_q', 'ffn_down'],
        ['ffn_up'],
        ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'],
      ),
    }),
    scale: fc.constantFrom(1, 0.7, -0.3, 2, 0.001),
  }),
  { minLength: 1, maxLength: 4 },
)

test('a baked file is the float64 sum of scale * alpha / r * B * A', async () => {
  await fc.assert(
    fc.asyncProperty(someAdapters, async (choices) => {
      const distinct = choices.map(({ options, scale }, index) => ({
        bytes: anAdapter({ ...options, rngSeed: options.rngSeed * 4 + index }),
        scale,
      }))
      const { file } = await bake(distinct)
      expect(await largestError(file, distinct)).toBeLessThan(1e-5)
    }),
    { numRuns: 25 },
  )
})

test('ranks are concatenated tensor by tensor, with only the adapters that change the tensor', async () => {
  const { rank, file } = await bake([
    { bytes: anAdapter({ rank: 3, targets: ['attn_q', 'attn_v'] }), scale: 1 },
    { bytes: anAdapter({ rank: 5, targets: ['attn_q', 'ffn_up'] }), scale: 1 },
  ])
  expect(rank).toBe(8)
  expect([...file.tensors].map(([name, { shape }]) => [name, shape])).toEqual([
    ['blk.0.attn_q.weight.lora_a', [64, 8]],
    ['blk.0.attn_q.weight.lora_b', [8, 64]],
    ['blk.0.attn_v.weight.lora_a', [64, 3]],
    ['blk.0.attn_v.weight.lora_b', [3, 32]],
    ['blk.0.ffn_up.weight.lora_a', [64, 5]],
    ['blk.0.ffn_up.weight.lora_b', [5, 48]],
  ])
})

test.each(['f32', 'f16', 'q8_0'] as const)(
  'the same set gives the same bytes in any order and by any names (%s)',
  async (dtype) => {
    const [one, two, three] = [1, 2, 3].map((rngSeed) => ({ bytes: anAdapter({ rngSeed }), scale: rngSeed * 0.1 }))
    const first = await bake([one!, two!, three!], dtype)
    const second = await bake([three!, one!, two!], dtype)
    expect(second.content).toEqual(first.content)
    expect(second.sha256).toEqual(first.sha256)
  },
)

test('an adapter given twice counts once, with the sum of its scales in any order', async () => {
  const bytes = anAdapter()
  const twice = await bake([0.1, 0.2, 0.3].map((scale) => ({ bytes, scale })))
  const reversed = await bake([0.3, 0.2, 0.1].map((scale) => ({ bytes, scale })))
  expect(twice.rank).toBe(4)
  expect(reversed.content).toEqual(twice.content)
  expect(await largestError(twice.file, [{ bytes, scale: 0.6 }])).toBeLessThan(1e-6)
})

test('scales that nearly cancel do so in one order, whatever order they are given in', async () => {
  const bytes = anAdapter()
  const contents = [
    [1e-16, 1, -1],
    [-1, 1, 1e-16],
  ].map((scales) => bake(scales.map((scale) => ({ bytes, scale }))))
  const [one, other] = await Promise.all(contents)
  expect(one!.content).toEqual(other!.content)
})

test('each pair is scaled by its own rank', async () => {
  const tensors = [...loraPair('blk.0.attn_q.weight', 2), ...loraPair('blk.0.attn_output.weight', 5)]
  const ingredient = { bytes: loraBytes({ tensors }), scale: 0.7 }
  const { file } = await bake([ingredient])
  expect(await largestError(file, [ingredient])).toBeLessThan(1e-6)
})

test('matrices of more than one piece come out whole', async () => {
  const wide = await inspectBaseSource(
    memorySource(randomBaseBytes({ layers: 1, width: 1024, heads: 64, kvHeads: 1, feedForward: 32, vocabulary: 300 })),
  )
  // Rows and columns of different strength, so that each has an exponent of its own.
  const target = 'blk.0.attn_k.weight'
  const tensors = [
    loraTensor(`${target}.lora_a`, [1024, 300], 'F32', (i) => ((i % 9) + 1) * 2 ** -(Math.floor(i / 1024) % 11)),
    loraTensor(`${target}.lora_b`, [300, 16], 'F32', (i) => ((i % 7) + 1) / 1000),
  ]
  const ingredient = { bytes: loraBytes({ tensors }), scale: 1 }
  for (const dtype of ['f32', 'f16'] as const) {
    const { file } = await bake([ingredient], dtype, wide)
    expect(await largestError(file, [ingredient], [target])).toBeLessThan(dtype === 'f32' ? 1e-5 : 2e-2)
  }
})

test('an adapter at scale 0 leaves nothing behind', async () => {
  const kept = { bytes: anAdapter({ rngSeed: 1 }), scale: -0.5 }
  const baked = await bake([kept, { bytes: anAdapter({ rngSeed: 2, rank: 7 }), scale: 0 }])
  expect(baked.rank).toBe(4)
  expect(baked.content).toEqual((await bake([kept])).content)
})

describe('narrow types', () => {
  test('F16 keeps updates whose B would vanish in half precision', async () => {
    // 1e-9 is below the smallest half; the pair's exponents are shared out between A and B.
    const tensors = [
      loraTensor('blk.0.attn_q.weight.lora_a', [64, 4], 'F32', (i) => 3000 + (i % 7)),
      loraTensor('blk.0.attn_q.weight.lora_b', [4, 64], 'F32', (i) => ((i % 5) + 1) * 1e-9),
    ]
    const ingredient = { bytes: loraBytes({ tensors }), scale: 1 }
    const { file } = await bake([ingredient], 'f16')
    const [actual, expected] = [file, await read(ingredient.bytes)].map(
      (each) => updateOf(each, 'blk.0.attn_q.weight')!.values,
    )
    for (const [i, value] of expected!.entries()) expect(Math.abs(actual![i]! / value - 1)).toBeLessThan(2e-3)
  })

  test('F16 holds an A beyond the range of half precision', async () => {
    const tensors = [
      loraTensor('blk.0.attn_q.weight.lora_a', [64, 1], 'F32', (i) => (i === 0 ? 1e6 : 0)),
      loraTensor('blk.0.attn_q.weight.lora_b', [1, 64], 'F32', (i) => (i === 0 ? 0.001 : 0)),
    ]
    const ingredient = { bytes: loraBytes({ tensors }), scale: 1 }
    const { file } = await bake([ingredient], 'f16')
    expect(await largestError(file, [ingredient])).toBeLessThan(8e3 * 1e-3)
  })

  test('F16 halves the size and stays close', async () => {
    const ingredients = [1, 2].map((rngSeed) => ({ bytes: anAdapter({ rngSeed }), scale: 0.5 }))
    const [f32, f16] = [await bake(ingredients), await bake(ingredients, 'f16')]
    expect(f16.bytes).toBeLessThan(f32.bytes * 0.6)
    expect(f16.keptF16).toBeUndefined()
    expect(await largestError(f16.file, ingredients)).toBeLessThan(1e-3)
  })

  test('Q8_0 fills the rank up to whole blocks with zeros, and keeps as F16 what has no whole blocks', async () => {
    const ingredients = [1, 2].map((rngSeed) => ({
      bytes: anAdapter({ rngSeed, rank: 5, targets: ['attn_q', 'ffn_down'] }),
      scale: 0.5,
    }))
    const { rank, keptF16, file } = await bake(ingredients, 'q8_0')
    expect(rank).toBe(32)
    expect(keptF16).toEqual(['blk.0.ffn_down.weight.lora_a'])
    expect([...file.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ['blk.0.attn_q.weight.lora_a', 'Q8_0', [64, 32]],
      ['blk.0.attn_q.weight.lora_b', 'Q8_0', [32, 64]],
      ['blk.0.ffn_down.weight.lora_a', 'F16', [48, 32]],
      ['blk.0.ffn_down.weight.lora_b', 'Q8_0', [32, 64]],
    ])
    const { values } = file.tensors.get('blk.0.attn_q.weight.lora_b')!
    expect(values.every((value, i) => i % 32 < 10 || value === 0)).toBe(true)
    expect(await largestError(file, ingredients)).toBeLessThan(5e-3)
  })

  test('Q8_0 does not lose a weak adapter beside a strong one', async () => {
    const strong = { bytes: anAdapter({ rngSeed: 1 }), scale: 10 }
    const weak = { bytes: anAdapter({ rngSeed: 2 }), scale: 0.01 }
    const { file } = await bake([strong, weak], 'q8_0')
    const b = file.tensors.get('blk.0.attn_q.weight.lora_b')!.values
    const columns = Array.from({ length: 8 }, (_, column) =>
      Math.max(...b.filter((_, i) => i % 32 === column).map(Math.abs)),
    )
    expect(Math.max(...columns) / Math.min(...columns)).toBeLessThan(4)
  })

  test('a Q8_0 file can be baked again', async () => {
    const { content } = await bake([{ bytes: anAdapter(), scale: 1 }], 'q8_0')
    const again = await bake([{ bytes: content, scale: 0.5 }])
    expect(again.rank).toBe(32)
    expect(await largestError(again.file, [{ bytes: content, scale: 0.5 }])).toBeLessThan(1e-6)
  })
})

test.each(['f32', 'f16', 'q8_0'] as const)(
  'pairs on the token embedding, whose A lies the other way round, are joined by columns (%s)',
  async (dtype) => {
    const aPair = (rank: number, step: number): LoraTensor[] => [
      loraTensor('token_embd.weight.lora_a', [rank, 300], 'F32', (i) => (((i * step) % 23) - 11) / 100),
      loraTensor('token_embd.weight.lora_b', [rank, 64], 'F32', (i) => (((i * step) % 19) - 9) / 50),
    ]
    const ingredients = [
      { bytes: loraBytes({ tensors: aPair(3, 7) }), scale: 0.7 },
      { bytes: loraBytes({ tensors: aPair(2, 5) }), scale: -0.2 },
    ]
    const { file, rank, keptF16 } = await bake(ingredients, dtype)
    expect(rank).toBe(dtype === 'q8_0' ? 32 : 5)
    expect(keptF16 ?? []).toEqual([])
    expect(await largestError(file, ingredients, ['token_embd.weight'])).toBeLessThan(
      { f32: 1e-6, f16: 1e-4, q8_0: 1e-2 }[dtype],
    )
  },
)

describe('refused, and nothing is written', () => {
  async function refusal(ingredients: readonly Ingredient[], dtype?: BakeDtype): Promise<unknown> {
    await using folder = await temporaryFolder()
    const adapters = await written(folder.path, ingredients)
    const before = readdirSync(folder.path)
    const error = await bakeAdapters({ base, adapters, dtype, out: join(folder.path, 'baked.gguf') }).catch(
      (cause: unknown) => cause,
    )
    expect(readdirSync(folder.path)).toEqual(before)
    return error
  }

  const big = (rngSeed: number, rank: number): Ingredient => ({
    bytes: anAdapter({ rngSeed, rank, targets: ['attn_k'] }),
    scale: 1,
  })

  test('a rank above the limit', async () => {
    expect(await refusal([big(1, 256), big(2, 257)])).toMatchObject({
      code: 'rank-limit',
      details: { rank: 513, limit: 512 },
    })
    expect((await bake([big(1, 256), big(2, 256)])).rank).toBe(512)
    expect((await bake([big(1, 256), big(2, 225)], 'q8_0')).rank).toBe(512)
  })

  test.each([NaN, Infinity, 17, -17])('the scale %d', async (scale) => {
    expect(await refusal([{ bytes: anAdapter(), scale }])).toMatchObject({ code: 'bad-input' })
  })

  test('a set that cancels out, or is empty', async () => {
    const bytes = anAdapter()
    expect(
      await refusal([
        { bytes, scale: 0.5 },
        { bytes, scale: -0.5 },
      ]),
    ).toMatchObject({ code: 'bad-input' })
    expect(await refusal([])).toMatchObject({ code: 'bad-input' })
  })

  test('an adapter for another base, naming its file', async () => {
    const other = await inspectBaseSource(memorySource(randomBaseBytes({ ...baseOptions, width: 32 })))
    const error = await refusal([
      { bytes: anAdapter(), scale: 1 },
      { bytes: randomAdapterBytes(other, { rank: 2 }), scale: 1 },
    ])
    expect(error).toMatchObject({
      code: 'shape-mismatch',
      details: { path: expect.stringMatching(/adapter-1\.gguf$/) },
    })
  })

  test('a huge B beside a tiny A that leaves the range of F32 once scaled', async () => {
    const tensors = [
      loraTensor('blk.0.attn_q.weight.lora_a', [64, 1], 'F32', () => 2e-38),
      loraTensor('blk.0.attn_q.weight.lora_b', [1, 64], 'F32', () => 3e38),
    ]
    const ingredient = { bytes: loraBytes({ tensors }), scale: 2 }
    expect(await refusal([ingredient])).toMatchObject({ code: 'not-finite' })
    const { file } = await bake([ingredient], 'f16')
    expect(await largestError(file, [ingredient])).toBeLessThan(96 * 2e-3)
  })

  test('a cancelled bake', async () => {
    await using folder = await temporaryFolder()
    const adapters = await written(folder.path, [{ bytes: anAdapter(), scale: 1 }])
    const stop = new AbortController()
    const seen: number[] = []
    const baking = bakeAdapters({
      base,
      adapters,
      out: join(folder.path, 'baked.gguf'),
      signal: stop.signal,
      onProgress: ({ done }) => {
        seen.push(done)
        if (done === 3) stop.abort()
      },
    })
    await expect(baking).rejects.toThrow(expect.objectContaining({ code: 'aborted' }))
    expect(seen).toEqual([1, 2, 3])
    expect(readdirSync(folder.path)).toEqual(['adapter-0.gguf'])
  })
})

test('a file that llama.cpp may hold open is replaced, not written over', async () => {
  await using folder = await temporaryFolder()
  const adapters = await written(folder.path, [{ bytes: anAdapter(), scale: 1 }])
  const out = join(folder.path, 'baked.gguf')
  await copyFile(adapters[0]!.path, out)
  using before = openFileSource(out)
  await bakeAdapters({ base, adapters: [{ path: adapters[0]!.path, scale: 0.5 }], out })
  expect(Buffer.from(before.read(0, before.size))).toEqual(readFileSync(adapters[0]!.path))
  expect(readAdapter(out).alpha).toBe(0)
})
