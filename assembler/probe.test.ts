import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { limits } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { checkProbe, makeProbe } from './index.ts'
import type { ModelFile, Probe } from './index.ts'
import { failure, kitFile, smallWorld } from './testing/small-world.ts'
import type { SmallWorld } from './testing/small-world.ts'

describe.skipIf(!kit.present)('the probe of a release (needs the kit)', () => {
  let world: SmallWorld
  let probe: Probe
  beforeAll(async () => {
    world = await smallWorld('stories260K')
    probe = await makeProbe(world.engine, world.base, await world.anAdapter())
  })
  afterAll(async () => await world[Symbol.asyncDispose]())

  test('is eight sequences with BOS and whole millionths, and a gain that is well above noise', () => {
    expect(probe.length).toBe(limits.probeSequences)
    for (const { tokens, baseNll, adapterNll } of probe) {
      expect(tokens[0]).toBe(1)
      expect(tokens.length).toBeGreaterThan(15)
      expect(tokens.length).toBeLessThanOrEqual(limits.probeTokensMax)
      expect(Number.isInteger(baseNll) && Number.isInteger(adapterNll)).toBe(true)
    }
    const gain = probe.reduce((sum, { baseNll, adapterNll }) => sum + baseNll - adapterNll, 0) / probe.length / 1e6
    expect(gain).toBeGreaterThan(0.1)
  })

  test('is the same whoever makes it', async () => {
    expect(await makeProbe(await world.anotherEngine(), world.base, await world.anAdapter())).toEqual(probe)
  })

  test('passes on the file it was made with, within a hundredth', async () => {
    const { expectedGain, measuredGain } = await checkProbe(world.engine, world.base, await world.anAdapter(), probe, {
      sameFile: true,
    })
    expect(Math.abs(measuredGain - expectedGain)).toBeLessThan(0.01 * expectedGain)
  })

  test('fails for another adapter, another scale and another base of the same tokenizer', async () => {
    const adapter = await world.anAdapter()
    const check = (one: typeof adapter, base: ModelFile = world.base): Promise<unknown> =>
      failure(checkProbe(world.engine, base, one, probe, { sameFile: false }))
    const failed = {
      code: 'probe-failed',
      details: { measuredGain: expect.any(Number), expectedGain: expect.any(Number) },
    }
    expect(await check(await world.anAdapter({ rngSeed: 2 }))).toMatchObject(failed)
    expect(await check({ ...adapter, scale: 0.6 })).toMatchObject(failed)
    expect(await check(adapter, await kitFile('models', 'tiny-mistral.gguf'))).toMatchObject({ code: 'gguf-refused' })
    expect(await check(adapter)).toMatchObject({ measuredGain: expect.any(Number) })
  })

  test('a gain that is off by 5 % passes on another file of the base and fails on the same', async () => {
    const off = probe.map((item) => ({
      ...item,
      adapterNll: Math.round(item.baseNll - (item.baseNll - item.adapterNll) * 1.05),
    }))
    const adapter = await world.anAdapter()
    const check = (sameFile: boolean): Promise<unknown> =>
      failure(checkProbe(world.engine, world.base, adapter, off, { sameFile }))
    expect(await check(true)).toMatchObject({ code: 'probe-failed' })
    expect(await check(false)).toMatchObject({ measuredGain: expect.any(Number) })
  })

  test('of a release that claims no gain, or has tokens that the base lacks, fails', async () => {
    const adapter = await world.anAdapter()
    const check = (bad: Probe): Promise<unknown> =>
      failure(checkProbe(world.engine, world.base, adapter, bad, { sameFile: true }))
    expect(await check(probe.map((item) => ({ ...item, adapterNll: item.baseNll })))).toMatchObject({
      code: 'probe-failed',
      message: expect.stringContaining('no gain'),
    })
    expect(await check(probe.map((item) => ({ ...item, tokens: [1, 70_000] })))).toMatchObject({ code: 'probe-failed' })
  })

  test('an adapter that changes nothing can not be published', async () => {
    const nothing = { ...(await kitFile('hostile', 'gguf', 'ok_zero_b.gguf')), scale: 1 }
    expect(await failure(makeProbe(world.engine, world.base, nothing))).toMatchObject({ code: 'probe-failed' })
  })

  test("takes the publisher's own texts first", async () => {
    const made = await makeProbe(world.engine, world.base, await world.anAdapter(), {
      texts: ['Once upon a time there was a dog.'],
    })
    expect(made[0]?.tokens.slice(0, 5)).toEqual([1, 403, 407, 261, 378])
    expect(made.slice(1)).toEqual(probe.slice(1))
  })
})
