import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { convertPeft, inspectBase } from '../model-files/index.ts'
import { toHex } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { bakedDtype, createComposer } from './index.ts'
import type { Bake, Composer, ScaledAdapter, StackMember } from './index.ts'
import { bake, failure, readKitJson, smallWorld } from './testing/small-world.ts'
import type { SmallWorld } from './testing/small-world.ts'

/** Largest difference of log-probability over all tokens that either holds more likely than one in a million. */
function largestDifference(one: readonly Float32Array[], other: readonly Float32Array[]): number {
  const floor = Math.log(1e-6)
  let largest = 0
  for (const [position, row] of one.entries()) {
    for (const [token, logp] of row.entries()) {
      const twin = other[position]?.[token] ?? NaN
      if (logp > floor || twin > floor) largest = Math.max(largest, Math.abs(logp - twin))
    }
  }
  return largest
}

test('a baked file is exact below rank 64, and as small as is fast from there on', () => {
  expect([2, 16, 63, 64, 72, 96, 512].map(bakedDtype)).toEqual(['f32', 'f32', 'f32', 'q8_0', 'f16', 'q8_0', 'q8_0'])
})

describe('composing', () => {
  let world: SmallWorld
  let members: [StackMember, StackMember, StackMember]
  let cacheFolder: string
  let composer: Composer
  let bakes: number
  beforeAll(async () => {
    world = await smallWorld('random')
    const [one, two, three] = await Promise.all([1, 2, 3].map((rngSeed) => world.anAdapter({ rngSeed })))
    if (one === undefined || two === undefined || three === undefined) throw new Error('three were made')
    members = [
      { ...one, scale: 0.7 },
      { ...two, scale: 0.3 },
      { ...three, scale: -0.5 },
    ]
    cacheFolder = join(world.folder, 'cache')
    bakes = 0
    const counted: Bake = async (job) => {
      bakes++
      return bake(job)
    }
    composer = createComposer({ bake: counted, cacheFolder })
  })
  afterAll(async () => await world[Symbol.asyncDispose]())

  test('no adapter needs no file, and one is used as it was published', async () => {
    expect(await composer.compose({ base: world.base, members: [] })).toMatchObject({
      adapters: [],
      source: 'as-published',
    })
    const { path, sha256 } = members[0]
    expect(await composer.compose({ base: world.base, members: [members[0]] })).toMatchObject({
      adapters: [{ path, sha256, scale: 0.7 }],
      source: 'as-published',
    })
    expect(bakes).toBe(0)
  })

  test('several become one file that predicts exactly what they predict together', async () => {
    const { adapters, source } = await composer.compose({ base: world.base, members })
    expect(source).toBe('baked')
    expect(adapters).toMatchObject([{ scale: 1 }])
    const tokens = [1, ...(await world.engine.tokenize('some words to go by'))]
    const [stacked, baked, bare] = [
      await world.engine.logProbabilities(members, tokens),
      await world.engine.logProbabilities(adapters, tokens),
      await world.engine.logProbabilities([], tokens),
    ]
    expect(largestDifference(stacked, baked)).toBeLessThan(1e-3)
    expect(largestDifference(bare, baked)).toBeGreaterThan(0.1)
  })

  test('the same stack in another order, or by another composer, comes from the cache', async () => {
    const first = await composer.compose({ base: world.base, members })
    const before = bakes
    const again = await composer.compose({ base: world.base, members: members.toReversed() })
    const other = await createComposer({ bake, cacheFolder }).compose({ base: world.base, members })
    expect([again, other]).toEqual([
      { ...first, source: 'cache' },
      { ...first, source: 'cache' },
    ])
    expect(bakes).toBe(before)
  })

  test('a cached file that is damaged, or has lost its entry, is baked again into the same bytes', async () => {
    const {
      adapters: [file],
      stackHash,
    } = await composer.compose({ base: world.base, members })
    const path = file?.path ?? ''
    const good = await readFile(path)
    for (const damage of [
      async () => writeFile(path, good.with(good.length - 1, 1 + (good.at(-1) ?? 0))),
      async () => writeFile(path, good.subarray(0, 100)),
      async () => writeFile(join(cacheFolder, `${stackHash}.json`), '{"sha256": 3}'),
    ]) {
      await damage()
      expect(await composer.compose({ base: world.base, members })).toMatchObject({ source: 'baked' })
      expect((await readFile(path)).equals(good)).toBe(true)
    }
  })

  test('two requests for one stack at once bake it once, and one giving up does not stop the other', async () => {
    const job = { base: world.base, members: members.map((member) => ({ ...member, scale: member.scale / 2 })) }
    const before = bakes
    await Promise.all([
      composer.compose(job),
      composer.compose(job),
      composer.compose({ ...job, members: job.members.toReversed() }),
    ])
    expect(bakes).toBe(before + 1)
    const next = { base: world.base, members: members.map((member) => ({ ...member, scale: member.scale / 4 })) }
    const abort = new AbortController()
    const given = failure(composer.compose(next, { signal: abort.signal }))
    const kept = composer.compose(next)
    abort.abort()
    await given
    expect((await kept).adapters.length).toBe(1)
    expect((await readdir(cacheFolder)).filter((name) => /part/.test(name))).toEqual([])
  })

  test('a file named twice counts with both scales, and scales that add up to nothing with none', async () => {
    const [one, two] = members
    const twice = await composer.compose({
      base: world.base,
      members: [{ ...one, scale: 0.3 }, { ...one, scale: 0.4 }, two],
    })
    expect(twice.stackHash).toBe((await composer.compose({ base: world.base, members: [one, two] })).stackHash)
    const none = await composer.compose({ base: world.base, members: [one, { ...one, scale: -0.7 }] })
    expect(none.adapters).toEqual([])
  })

  test('the stack hash depends on base, adapters, scales and dtype, and not on order', async () => {
    const hashOf = async (scales: readonly number[], baseId = world.base.baseId): Promise<string> => {
      // Only one adapter with a scale above 0: nothing is baked.
      const stack = members.slice(0, 1).map((member, index) => ({ ...member, scale: scales[index] ?? 0 }))
      return (await composer.compose({ base: { ...world.base, baseId }, members: stack })).stackHash
    }
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 16e6 }), fc.integer({ min: 1, max: 16e6 }), async (a, b) => {
        expect((await hashOf([a / 1e6])) === (await hashOf([b / 1e6]))).toBe(a === b)
      }),
    )
    expect(await hashOf([1], '00'.repeat(32))).not.toBe(await hashOf([1]))
  })

  test('what baking refuses is told and leaves nothing in the cache', async () => {
    const big = await Promise.all([11, 12].map((rngSeed) => world.anAdapter({ rngSeed, rank: 300 })))
    const before = await readdir(cacheFolder)
    expect(await failure(composer.compose({ base: world.base, members: big }))).toMatchObject({ code: 'rank-limit' })
    expect(await readdir(cacheFolder)).toEqual(before)
  })
})

describe.skipIf(!kit.present)('mixes of the trained adapters on stories260K (needs the kit)', () => {
  let world: SmallWorld
  const adapters = new Map<string, StackMember>()
  beforeAll(async () => {
    world = await smallWorld('stories260K')
    const base = await inspectBase(world.base.path)
    for (const name of ['peft-shakespeare', 'peft-recipes', 'peft-rslora', 'peft-pattern']) {
      const out = join(world.folder, `${name}.gguf`)
      const { sha256, rank } = await convertPeft({ dir: kit.path('adapters', name), base, out })
      adapters.set(name, { path: out, sha256: toHex(sha256), rank, scale: 1 })
    }
  })
  afterAll(async () => await world[Symbol.asyncDispose]())

  const heldout = (corpus: string): number[][] =>
    readKitJson<{ tokens: number[] }[]>('adapters', 'heldout', `${corpus}.json`).map(({ tokens }) => tokens)
  const member = (name: string, scale: number): StackMember => {
    const adapter = adapters.get(name)
    if (adapter === undefined) throw new Error(`The kit has no adapter ${name}.`)
    return { ...adapter, scale }
  }

  test('the 48 reference tokens come with each adapter, streamed', async () => {
    const { greedy } = readKitJson<{ greedy: Record<string, { prompt: string; greedy_tokens: number[] }> }>(
      'models',
      'expected.json',
    )
    for (const name of ['peft-shakespeare', 'peft-recipes']) {
      const expected = greedy[name]
      const prompt = { kind: 'text', text: expected?.prompt ?? '' } as const
      expect((await world.engine.generate([member(name, 1)], prompt, { maxTokens: 48 })).tokens).toEqual(
        expected?.greedy_tokens,
      )
    }
  })

  test('baked and stacked mixes have the reference NLL, and agree to a thousandth in every likely token', async () => {
    interface Mix {
      weights: Record<string, number>
      nll: Record<string, number>
    }
    const { mixes } = readKitJson<{ mixes: Mix[] }>('golden', 'adapter-mixes.json')
    const composer = createComposer({ bake, cacheFolder: join(world.folder, 'cache') })
    // One passage of each corpus is enough to tell a wrong mix; the first mix is compared in full.
    for (const [index, { weights, nll }] of mixes.entries()) {
      const members = Object.entries(weights).map(([name, scale]) => member(name, scale))
      const { adapters } = await composer.compose({ base: world.base, members })
      const likelihood = async (files: readonly ScaledAdapter[]): Promise<number> =>
        (await world.engine.nll(files, index === 0 ? heldout('recipes') : heldout('recipes').slice(0, 1))).meanNll
      const baked = await likelihood(adapters)
      if (index === 0) expect(Math.abs(baked - (nll['recipes'] ?? 0))).toBeLessThan(0.01 * baked)
      else expect(Math.abs(baked - (await likelihood(members)))).toBeLessThan(1e-4)
      const [tokens = []] = heldout('recipes')
      const stacked = await world.engine.logProbabilities(members, tokens)
      expect(largestDifference(stacked, await world.engine.logProbabilities(adapters, tokens))).toBeLessThan(1e-3)
    }
  })
})
