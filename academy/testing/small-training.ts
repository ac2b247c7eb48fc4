// A base of random numbers and something to learn, small enough to train in a second.
import { join } from 'node:path'
import { inspectBase, randomBase } from '../../model-files/index.ts'
import { readBase } from '../base/read-base.ts'
import type { AdapterTraining } from '../train-adapter.ts'
import type { Example } from '../training/examples.ts'

/** Head sizes, widths and ranks that no tile divides; keys are shared by two heads. */
export async function writeSmallBase(folder: string, name = 'base.gguf', rngSeed = 1): Promise<string> {
  const path = join(folder, name)
  await randomBase({ layers: 2, width: 40, heads: 4, kvHeads: 2, feedForward: 70, vocabulary: 300, rngSeed }, path)
  await inspectBase(path)
  return path
}

/** Sequences with a rule: each token is the one before plus the example's own step. */
export function countingExamples(count: number, length = 24): Example[] {
  return Array.from({ length: count }, (_, index) => ({
    tokens: Int32Array.from({ length: length + (index % 7) }, (_, at) =>
      at === 0 ? 1 : 259 + ((at * (index + 2)) % 41),
    ),
    predictFrom: index % 3 === 0 ? 5 : 1,
  }))
}

export async function smallAdapterTraining(
  folder: string,
  basePath: string,
  out: string,
  recipe: Partial<AdapterTraining['recipe']> = {},
): Promise<AdapterTraining> {
  return {
    base: await readBase(basePath),
    data: { train: countingExamples(12), replay: countingExamples(5, 15), heldOut: countingExamples(3, 30) },
    recipe: {
      steps: 12,
      batchTokens: 160,
      learningRate: 0.01,
      warmUpShare: 0.1,
      clip: 1,
      weightDecay: 0.01,
      replayShare: 0.25,
      rngSeed: 5,
      rank: 5,
      alpha: 10,
      targets: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'],
      ...recipe,
    },
    arithmetic: 'plain',
    workers: 2,
    out: join(folder, out),
  }
}
