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
 * How far the slope of the loss along a random direction within one tensor is from what the gradient says, in parts of the slope that a
 * random direction has: by central differences, with a step that is neither lost in float32's rounding nor bent by the curve. The direction
 * knows nothing of the gradient, so a number that is wrongly zero shows as well as one that is wrong.
 */
function slopeError(network: ReturnType<typeof networkOf>, at: number, count: number, seed = 0): number {
  const gradient = network.gradient(examples).subarray(at, at + count)
  const random = randomNumbers(count + seed, at)
  const direction = Float32Array.from({ length: count }, () => Math.sign(random()))
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
  const usual = Math.hypot(...gradient)
  const step = Math.min(0.002, 0.002 / usual)
  // Richardson: two step sizes cancel the cubic error.
  const central = (h: number): number => (lossAt(h) - lossAt(-h)) / (2 * h)
  const measured = (4 * central(step) - central(2 * step)) / 3
  network.floats.set(kept, start)
  return Math.abs(measured - analytic) / usual
}

const tolerance = 0.02

describe('gradients agree with finite differences', () => {
  const everything = networkOf({ kind: 'everything' })
  test.each(tensorsOf(odd).map(({ name, rows, columns }) => [name, rows * columns] as const))(
    'of %s',
    (name, count) => {
      for (const seed of [1, 2, 3]) {
        expect(slopeError(everything, everything.plan.parameters.tensors.get(name)!, count, seed)).toBeLessThan(
          tolerance,
        )
      }
    },
  )

  const lora = networkOf({ kind: 'lora', rank: 3, alpha: 7, targets: matrixKinds })
  const pairs = [...lora.plan.parameters.lora.values()]
  test.each(pairs.map(({ target, a, b }) => [target.name, a, b, target] as const))(
    'of the pair of %s',
    (_, a, b, target) => {
      for (const seed of [1, 2, 3]) {
        expect(slopeError(lora, a, 3 * target.columns, seed)).toBeLessThan(tolerance)
        expect(slopeError(lora, b, 3 * target.rows, seed)).toBeLessThan(tolerance)
      }
    },
  )

  test.each([
    ['a tied base, everything', { kind: 'everything' }],
    ['a tied base, an adapter', { kind: 'lora', rank: 4, alpha: 4, targets: matrixKinds }],
    ['an adapter of a single kind of matrix', { kind: 'lora', rank: 1, alpha: 2, targets: ['attn_k'] }],
  ] as const)('of %s', (name, trainable) => {
    const network = networkOf(trainable, { ...odd, tied: name.startsWith('a tied') })
    for (const seed of [1, 2, 3]) {
      expect(slopeError(network, 0, network.plan.parameters.count, seed)).toBeLessThan(tolerance)
    }
  })
})

test('an example is read by itself: the others in its shard change nothing', () => {
  const network = networkOf({ kind: 'everything' })
  const alone = examples.map((example) => network.loss([example])).reduce((sum, loss) => sum + loss, 0)
  expect(network.loss(examples)).toBeCloseTo(alone, 4)
})
