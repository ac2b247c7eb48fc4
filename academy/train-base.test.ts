import { readFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inspectBase } from '../model-files/index.ts'
import { largestLogDifference, runLlama } from '../testing/llama-runs.ts'
import { readBase } from './base/read-base.ts'
import { examplesOf, parseTrainingData } from './data/training-text.ts'
import { tensorsOf } from './network/shape.ts'
import type { ModelShape } from './network/shape.ts'
import { oneThread } from './testing/one-thread.ts'
import { createByteLevelBpe } from './tokenizer/byte-level-bpe.ts'
import { vocabularyMetadata, vocabularyOf } from './tokenizer/gguf-vocabulary.ts'
import { trainBpe } from './tokenizer/train-bpe.ts'
import { trainBase } from './train-base.ts'

const sentences = ['the heron sleeps in the reeds', 'a curlew cries over the marsh', 'the raven steals a silver spoon']
const lines = Array.from({ length: 24 }, (_, i) => JSON.stringify({ text: `${i % 3}: ${sentences[i % 3]}` })).join('\n')

async function trainSmall(folder: string, workers = 2, file = 'base.gguf') {
  const vocabulary = trainBpe(sentences, { vocabulary: 280 })
  const tokenizer = createByteLevelBpe(vocabulary)
  const shape: ModelShape = {
    layers: 2,
    width: 36,
    heads: 3,
    kvHeads: 1,
    headSize: 12,
    feedForward: 50,
    vocabulary: vocabulary.tokens.length,
    contextLength: 256,
    turned: 12,
    ropeBase: 10_000,
    epsilon: 1e-5,
    tied: false,
  }
  const reading = { tokenizer, bos: tokenizer.bos, eos: tokenizer.eos, contextLength: 64 }
  const train = await examplesOf(parseTrainingData(lines, 'jsonl', 'lines'), reading, 'lines')
  const out = join(folder, file)
  const recipe = {
    steps: 60,
    batchTokens: 128,
    learningRate: 0.01,
    warmUpShare: 0.1,
    clip: 1,
    weightDecay: 0,
    replayShare: 0,
    rngSeed: 3,
  }
  const data = { train, replay: [], heldOut: [] }
  const options = { name: 'small', shape, tokenizer: vocabularyMetadata(vocabulary), data, recipe, workers, out }
  const outcome = await trainBase({ ...options, arithmetic: 'plain' }, { clock: () => performance.now() })
  return { out, outcome, train, shape }
}

test('a base trained from nothing learns its text and computes in llama.cpp what it computes here', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-base-'))
  const { out, outcome, train, shape } = await trainSmall(folder.path)
  expect(outcome.trainNll).toBeLessThan(0.5)
  const info = await inspectBase(out)
  expect(info).toMatchObject({ architecture: 'llama', label: 'small', contextLength: 256, tied: false })
  expect(info.tensors.size).toBe(tensorsOf(shape).length)

  const passages = train.slice(0, 3).map(({ tokens }) => [...tokens])
  const [result] = await runLlama({ base: out, runs: [{ adapters: [], passages, keepDistributions: true }] })
  using base = await readBase(out)
  const network = oneThread(
    { shape: base.shape, trainable: { kind: 'everything' }, shards: 1, exampleTokens: 64 },
    (name) => base.read(name),
  )
  const ours = train.slice(0, 3).map((example) => network.logProbabilities(example))
  expect(largestLogDifference({ meanNll: 0, logProbabilities: ours }, result!)).toBeLessThan(1e-3)
})

test('the file says again which tokenizer it was trained with, and the same training writes the same file', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-base-'))
  const { out } = await trainSmall(folder.path)
  using base = await readBase(out)
  expect(vocabularyOf(base.metadata)).toEqual(trainBpe(sentences, { vocabulary: 280 }))
  expect([base.bos, base.eos]).toEqual([0, 1])
  const again = await trainSmall(folder.path, 1, 'again.gguf')
  expect(readFileSync(again.out).equals(readFileSync(out))).toBe(true)
})
