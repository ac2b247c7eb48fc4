import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inspectBase, openFileSource, validateAdapter } from '../model-files/index.ts'
import { largestLogDifference, runLlama } from '../testing/llama-runs.ts'
import { readBase } from './base/read-base.ts'
import { fastestArithmetic } from './kernels/kernels.ts'
import { oneThread } from './testing/one-thread.ts'
import { countingExamples, smallAdapterTraining, writeSmallBase } from './testing/small-training.ts'
import { trainAdapter } from './train-adapter.ts'
import type { AdapterTraining } from './train-adapter.ts'

const clock = (): number => performance.now()

function temporaryFolder() {
  return mkdtempDisposable(join(tmpdir(), 'lora-mesh-train-'))
}

/** The bytes that a training writes. */
async function trained(training: AdapterTraining): Promise<string> {
  await trainAdapter(training, { clock })
  return readFileSync(training.out).toString('hex')
}

describe('an adapter that was trained here', () => {
  test('is learnt: the loss on its data falls far below the base’s', async () => {
    await using folder = await temporaryFolder()
    const training = await smallAdapterTraining(folder.path, await writeSmallBase(folder.path), 'a.gguf', { steps: 60 })
    const losses: number[] = []
    const { trainNll, heldOutNll } = await trainAdapter(training, {
      clock,
      onProgress: ({ loss }) => losses.push(loss),
    })
    expect(trainNll).toBeLessThan(losses[0]! / 2)
    expect(heldOutNll).toBeGreaterThan(trainNll)
  })

  test('passes the checks that an adapter from a stranger has to pass', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const training = await smallAdapterTraining(folder.path, path, 'a.gguf')
    await trainAdapter(training, { clock })
    using source = openFileSource(training.out)
    const info = await validateAdapter(source, await inspectBase(path))
    expect(info).toMatchObject({ rank: 5, alpha: 10, dtype: 'F32', tensors: 28 })
  })

  test.each([
    ['all seven matrices, rank 5', {}],
    ['two matrices, rank 4', { rank: 4, alpha: 3, targets: ['attn_k', 'ffn_down'] }],
    ['rank 1', { rank: 1, alpha: 1 }],
  ] as const)('means in llama.cpp what it means in the trainer (%s)', async (_, recipe) => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const training = await smallAdapterTraining(folder.path, path, 'a.gguf', recipe)
    await trainAdapter(training, { clock })
    await expectAgreement(training, path)
  })
})

/** The bound of the trainer: largest absolute difference of log-probabilities, over tokens that one of both gives more than 1e-6. */
async function expectAgreement(training: AdapterTraining, basePath: string): Promise<void> {
  const passages = countingExamples(4, 60).map(({ tokens }) => [...tokens])
  const [bare, adapted] = await runLlama({
    base: basePath,
    runs: [[], [{ path: training.out, scale: 1 }]].map((adapters) => ({ adapters, passages, keepDistributions: true })),
  })
  using base = await readBase(basePath)
  const { rank, alpha, targets } = training.recipe
  const adapter = await numbersOf(training.out)
  const network = oneThread(
    { shape: base.shape, trainable: { kind: 'lora', rank, alpha, targets }, shards: 1, exampleTokens: 80 },
    (name) => adapter(name) ?? base.read(name),
    fastestArithmetic(),
  )
  const ours = passages.map((tokens) => network.logProbabilities({ tokens: Int32Array.from(tokens), predictFrom: 1 }))
  expect(largestLogDifference({ meanNll: 0, logProbabilities: ours }, adapted!)).toBeLessThan(1e-3)
  // The adapter does something: the same comparison with the bare base is far off.
  expect(largestLogDifference({ meanNll: 0, logProbabilities: ours }, bare!)).toBeGreaterThan(0.1)
}

async function numbersOf(path: string): Promise<(name: string) => Float32Array | undefined> {
  const { decodeTensor, readGguf, readTensor } = await import('../model-files/index.ts')
  using source = openFileSource(path)
  const file = readGguf(source, 'adapter')
  const numbers = new Map(file.tensors.map((tensor) => [tensor.name, decodeTensor('F32', readTensor(file, tensor))]))
  return (name) => numbers.get(name)
}

describe('training repeats itself', () => {
  test('byte by byte with one, two or three workers', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const results: string[] = []
    for (const workers of [1, 2, 3]) {
      results.push(await trained({ ...(await smallAdapterTraining(folder.path, path, 'a.gguf')), workers }))
    }
    expect(new Set(results).size).toBe(1)
  })

  test('with the fastest arithmetic too, on one machine', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const training = { ...(await smallAdapterTraining(folder.path, path, 'a.gguf')), arithmetic: fastestArithmetic() }
    expect(await trained(training)).toBe(await trained({ ...training, workers: 1 }))
  })

  test('another seed, and another order of the data, give another adapter', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const training = await smallAdapterTraining(folder.path, path, 'a.gguf')
    const first = await trained(training)
    expect(await trained({ ...training, recipe: { ...training.recipe, rngSeed: 6 } })).not.toBe(first)
    const data = { ...training.data, train: training.data.train.toReversed() }
    expect(await trained({ ...training, data })).not.toBe(first)
  })
})

describe('a training that is stopped', () => {
  /** Trains until `stopAfter` steps are done; true if it was stopped. */
  async function stopped(training: AdapterTraining, stopAfter: number, checkpointEveryMs?: number): Promise<unknown> {
    const stop = new AbortController()
    return await trainAdapter(training, {
      clock,
      checkpointEveryMs,
      signal: stop.signal,
      checkpointPath: `${training.out}.checkpoint`,
      onProgress: ({ step }) => {
        if (step === stopAfter) stop.abort()
      },
    }).catch((error: unknown) => error)
  }

  test('goes on where it stopped, twice, and ends with the same bytes', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const whole = await trained(await smallAdapterTraining(folder.path, path, 'whole.gguf'))
    const training = await smallAdapterTraining(folder.path, path, 'paused.gguf')
    expect(await stopped(training, 4)).toMatchObject({ code: 'aborted', details: { step: 4, steps: 12 } })
    expect(await stopped({ ...training, workers: 1 }, 9)).toMatchObject({ code: 'aborted', details: { step: 9 } })
    const resumed: number[] = []
    await trainAdapter(training, {
      clock,
      checkpointPath: `${training.out}.checkpoint`,
      onResume: (step) => resumed.push(step),
    })
    expect(resumed).toEqual([9])
    expect(readFileSync(training.out).toString('hex')).toBe(whole)
    expect(existsSync(`${training.out}.checkpoint`)).toBe(false)
  })

  test('leaves no half-written adapter', async () => {
    await using folder = await temporaryFolder()
    const training = await smallAdapterTraining(folder.path, await writeSmallBase(folder.path), 'a.gguf')
    await stopped(training, 3)
    expect(existsSync(training.out)).toBe(false)
  })

  test('is not taken for another training', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const training = await smallAdapterTraining(folder.path, path, 'a.gguf')
    await stopped(training, 3)
    const control = { clock, checkpointPath: `${training.out}.checkpoint` }
    const others: AdapterTraining[] = [
      { ...training, recipe: { ...training.recipe, learningRate: 0.02 } },
      { ...training, data: { ...training.data, train: training.data.train.slice(1) } },
      { ...training, base: await readBase(await writeSmallBase(folder.path, 'other.gguf', 2)) },
    ]
    for (const other of others) {
      await expect(trainAdapter(other, control)).rejects.toMatchObject({ code: 'already-exists' })
    }
  })

  test('starts again when what was kept is damaged', async () => {
    await using folder = await temporaryFolder()
    const path = await writeSmallBase(folder.path)
    const whole = await trained(await smallAdapterTraining(folder.path, path, 'whole.gguf'))
    const training = await smallAdapterTraining(folder.path, path, 'a.gguf')
    await stopped(training, 3)
    const kept = readFileSync(`${training.out}.checkpoint`)
    for (const damaged of [kept.subarray(0, 100), kept.subarray(0, -1), flipped(kept, 5000), Buffer.alloc(0)]) {
      writeFileSync(`${training.out}.checkpoint`, damaged)
      const resumed: number[] = []
      await trainAdapter(training, {
        clock,
        checkpointPath: `${training.out}.checkpoint`,
        onResume: (step) => resumed.push(step),
      })
      expect(resumed).toEqual([])
      expect(readFileSync(training.out).toString('hex')).toBe(whole)
    }
  })

  test('keeps what was learnt from time to time, so that a killed process loses little', async () => {
    await using folder = await temporaryFolder()
    const training = await smallAdapterTraining(folder.path, await writeSmallBase(folder.path), 'a.gguf')
    const seen: boolean[] = []
    await trainAdapter(training, {
      clock,
      checkpointEveryMs: 0,
      checkpointPath: `${training.out}.checkpoint`,
      onProgress: () => seen.push(existsSync(`${training.out}.checkpoint`)),
    })
    expect(seen.slice(1)).toEqual(Array.from({ length: 11 }, () => true))
  })
})

test('a file that is no unfinished training is not taken for one, nor removed', async () => {
  await using folder = await temporaryFolder()
  const training = await smallAdapterTraining(folder.path, await writeSmallBase(folder.path), 'a.gguf')
  const checkpointPath = `${training.out}.checkpoint`
  writeFileSync(checkpointPath, 'the checkpoint of something else')
  await expect(trainAdapter(training, { clock, checkpointPath })).rejects.toMatchObject({ code: 'already-exists' })
  expect(readFileSync(checkpointPath, 'utf8')).toBe('the checkpoint of something else')
})

test('whoever stops it after the last step, or has no room for the adapter, loses nothing', async () => {
  await using folder = await temporaryFolder()
  const path = await writeSmallBase(folder.path)
  const whole = await trained(await smallAdapterTraining(folder.path, path, 'whole.gguf'))
  const training = await smallAdapterTraining(folder.path, path, 'a.gguf')
  const checkpointPath = `${training.out}.checkpoint`
  const stop = new AbortController()
  const onProgress = ({ step }: { step: number }): void => {
    if (step === 12) stop.abort()
  }
  const stopped = trainAdapter(training, { clock, checkpointPath, onProgress, signal: stop.signal })
  await expect(stopped).rejects.toMatchObject({
    code: 'aborted',
    message: expect.stringContaining('goes on from there'),
  })
  mkdirSync(training.out)
  await expect(trainAdapter(training, { clock, checkpointPath })).rejects.toMatchObject({ code: 'storage-failed' })
  rmdirSync(training.out)
  const steps: number[] = []
  await trainAdapter(training, { clock, checkpointPath, onProgress: ({ step }) => steps.push(step) })
  expect(steps).toEqual([])
  expect(readFileSync(training.out).toString('hex')).toBe(whole)
})

test('what changes nothing may change between two sittings: what is held out, and how many workers there are', async () => {
  await using folder = await temporaryFolder()
  const training = await smallAdapterTraining(folder.path, await writeSmallBase(folder.path), 'a.gguf')
  const checkpointPath = `${training.out}.checkpoint`
  const stop = new AbortController()
  const onProgress = (): void => stop.abort()
  await trainAdapter(training, { clock, checkpointPath, onProgress, signal: stop.signal }).catch(() => undefined)
  const resumed: number[] = []
  const data = { ...training.data, heldOut: countingExamples(5, 60) }
  await trainAdapter(
    { ...training, data, workers: 1 },
    { clock, checkpointPath, onResume: (step) => resumed.push(step) },
  )
  expect(resumed).toEqual([1])
})

test('where nothing can be kept the training goes on and says so', async () => {
  await using folder = await temporaryFolder()
  const path = await writeSmallBase(folder.path)
  const whole = await trained(await smallAdapterTraining(folder.path, path, 'whole.gguf'))
  const training = await smallAdapterTraining(folder.path, path, 'a.gguf')
  const failures: string[] = []
  await trainAdapter(training, {
    clock,
    checkpointEveryMs: 0,
    checkpointPath: join(folder.path, 'no-such-folder', 'checkpoint'),
    onKeepFailed: ({ code }) => failures.push(code),
  })
  expect(failures).toContain('storage-failed')
  expect(readFileSync(training.out).toString('hex')).toBe(whole)
})

test('a learning rate that is far too high ends with a sentence, not with an adapter of NaN', async () => {
  await using folder = await temporaryFolder()
  const path = await writeSmallBase(folder.path)
  const training = await smallAdapterTraining(folder.path, path, 'a.gguf', { learningRate: 1e30, steps: 30 })
  await expect(trainAdapter(training, { clock })).rejects.toMatchObject({ code: 'not-finite' })
  expect(existsSync(training.out)).toBe(false)
})

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1
  return copy
}
