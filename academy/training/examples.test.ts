import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batches, dealToShards, tokensRead } from './examples.ts'
import type { Example } from './examples.ts'
import { partsOf } from './parts.ts'

const anExample = (length: number, mark = 0): Example => ({
  tokens: Int32Array.from({ length }, () => mark),
  predictFrom: 1,
})
const lengths = fc.array(fc.integer({ min: 2, max: 50 }), { minLength: 1, maxLength: 30 })
const sumOf = (examples: readonly Example[]): number => examples.reduce((sum, one) => sum + tokensRead(one), 0)

function take(source: Generator<Example[]>, count: number): Example[][] {
  return Array.from({ length: count }, () => source.next().value as Example[])
}

describe('the steps of a training', () => {
  test('show every example once before any comes again', () => {
    const data = Array.from({ length: 20 }, (_, i) => anExample(5, i))
    const source = batches({ data, replay: [], batchTokens: 20, replayShare: 0, rngSeed: 1 })
    const seen = take(source, 8).flat()
    expect(new Set(seen.slice(0, 20)).size).toBe(20)
    expect(new Set(seen.slice(20, 40)).size).toBe(20)
    expect(seen.slice(0, 20)).not.toEqual(seen.slice(20, 40))
  })

  test('take their part from the replay, and at least one example of each kind', () => {
    const data = Array.from({ length: 10 }, () => anExample(11, 1))
    const replay = Array.from({ length: 10 }, () => anExample(11, 2))
    const share = take(batches({ data, replay, batchTokens: 200, replayShare: 0.75, rngSeed: 1 }), 1)[0]!
    expect(share.filter(({ tokens }) => tokens[0] === 2)).toHaveLength(15)
    expect(share.filter(({ tokens }) => tokens[0] === 1)).toHaveLength(5)
    const small = take(batches({ data, replay, batchTokens: 8, replayShare: 0.5, rngSeed: 1 }), 1)[0]!
    expect(small.map(({ tokens }) => tokens[0]).toSorted()).toEqual([1, 2])
  })

  test('are the same for the same seed, and fit into the shards that were planned for them', () => {
    fc.assert(
      fc.property(
        lengths,
        lengths,
        fc.integer({ min: 1, max: 300 }),
        fc.integer(),
        (own, other, batchTokens, rngSeed) => {
          const data = own.map((length) => anExample(length))
          const replay = other.map((length) => anExample(length))
          const options = { data, replay, batchTokens, replayShare: 0.6, rngSeed }
          const steps = take(batches(options), 10)
          expect(take(batches(options), 10)).toEqual(steps)
          const { shards, shardTokens } = partsOf({ train: data, replay, heldOut: [] }, { batchTokens }, 2)
          for (const step of steps) {
            const dealt = dealToShards(step, shards)
            expect(dealt.flat().toSorted((a, b) => a.tokens.length - b.tokens.length)).toEqual(
              step.toSorted((a, b) => a.tokens.length - b.tokens.length),
            )
            for (const shard of dealt) expect(sumOf(shard)).toBeLessThanOrEqual(shardTokens)
          }
        },
      ),
      { numRuns: 50 },
    )
  })
})
