import { describe, expect, test } from 'vitest'
import { randomNumbers } from '../../model-files/index.ts'
import { oneThread } from '../testing/one-thread.ts'
import { matrixKinds, tensorsOf } from './shape.ts'
import type { ModelShape } from './shape.ts'

/** Nothing divides by four, heads share keys, only a part of each head is turned. */
const odd: ModelShape = {
  layers: 2,
  width: 22,
  heads: 6,
  kvHeads: 2,
  headSize: 6,
  feedForward: 29,
  vocabulary: 37,
  contextLength: 64,
  turned: 4,
  ropeBase: 1_000,
  epsilon: 1e-5,
  tied: false,
}

function randomExample(length: number, predictFrom: number, seed: number) {
  const random = randomNumbers(seed, 7)
  const tokens = Int32Array.from({ length }, () => Math.floor(((random() + 1) / 2) * odd.vocabulary))
  return { tokens, predictFrom }
}

// Longer than a block of attention rows, as long as one, shorter, and one of which only the end is predicted.
const examples = [randomExample(41, 1, 1), randomExample(33, 1, 2), randomExample(6, 1, 3), randomExample(12, 9, 4)]

function randomWeights(scale: number) {
  return (name: string, count: number): Float32Array => {
    const random = randomNumbers(name.length * 31 + name.charCodeAt(name.length - 3), count)
    if (name.endsWith('norm.weight')) return Float32Array.from({ length: count }, () => 1 + 0.3 * random())
    return Float32Array.from({ length: count }, () => random() * scale)
  }
}

function networkOf(trainable: Parameters<typeof oneThread>[0]['trainable'], shape = odd) {
  return oneThread({ shape, trainable, shards: 2, exampleTokens: 48 }, randomWeights(0.4))
}

/**
 * The slope of the loss along a direction within one tensor: by the gradient, and by central differences with a step that is neither lost
 * in float32's rounding nor bent by the curve. One direction per tensor tests all of its numbers at once.
 */
function slopes(network: ReturnType<typeof networkOf>, at: number, count: number) {
  const gradient = network.gradient(examples).subarray(at, at + count)
  const random = randomNumbers(count, at)
  const direction = Float32Array.from(gradient, (g) => Math.sign(g) * (0.2 + Math.abs(random())))
  const start = (network.plan.parameters.address >>> 2) + at
  const kept = network.floats.slice(start, start + count)
  const predicted = examples.reduce((sum, { tokens, predictFrom }) => sum + tokens.length - predictFrom, 0)
  const lossAt = (step: number): number => {
    network.floats.set(
      kept.map((value, i) => value + step * direction[i]!),
      start,
    )
    return network.loss(examples) / predicted
  }
  const analytic = direction.reduce((sum, d, i) => sum + d * gradient[i]!, 0)
  const step = Math.min(0.01, 0.01 / analytic)
  // Richardson: two step sizes cancel the cubic error.
  const central = (h: number): number => (lossAt(h) - lossAt(-h)) / (2 * h)
  const measured = (4 * central(step) - central(2 * step)) / 3
  network.floats.set(kept, start)
  return { analytic, measured }
}

describe('gradients agree with finite differences', () => {
  const everything = networkOf({ kind: 'everything' })
  test.each(tensorsOf(odd).map(({ name, rows, columns }) => [name, rows * columns] as const))(
    'of %s',
    (name, count) => {
      const { analytic, measured } = slopes(everything, everything.plan.parameters.tensors.get(name)!, count)
      expect(Math.abs(measured / analytic - 1)).toBeLessThan(2e-3)
    },
  )

  const lora = networkOf({ kind: 'lora', rank: 3, alpha: 7, targets: matrixKinds })
  const pairs = [...lora.plan.parameters.lora.values()]
  test.each(pairs.map(({ target, a, b }) => [target.name, a, b, target] as const))(
    'of the pair of %s',
    (_, a, b, target) => {
      for (const [at, count] of [[a, 3 * target.columns] as const, [b, 3 * target.rows] as const]) {
        const { analytic, measured } = slopes(lora, at, count)
        expect(Math.abs(measured / analytic - 1)).toBeLessThan(2e-3)
      }
    },
  )

  test('of an adapter over a tied base, and of one that changes a single kind of matrix', () => {
    for (const trainable of [
      { kind: 'lora', rank: 4, alpha: 4, targets: matrixKinds },
      { kind: 'lora', rank: 1, alpha: 2, targets: ['attn_k'] },
    ] as const) {
      const network = networkOf(trainable, { ...odd, tied: true })
      const { analytic, measured } = slopes(network, 0, network.plan.parameters.count)
      expect(Math.abs(measured / analytic - 1)).toBeLessThan(2e-3)
    }
  })
})

test('an example is read by itself: the others in its shard change nothing', () => {
  const network = networkOf({ kind: 'everything' })
  const alone = examples.map((example) => network.loss([example])).reduce((sum, loss) => sum + loss, 0)
  expect(network.loss(examples)).toBeCloseTo(alone, 4)
})
