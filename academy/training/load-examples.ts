// Examples into the memory that the workers read.
import type { MemoryPlan } from '../network/memory-plan.ts'
import { dealToShards, predictions, tokensRead } from './examples.ts'
import type { Example } from './examples.ts'

/** Deals the examples to the shards; gives the number of predictions in all of them. */
export function loadExamples(
  integers: Int32Array,
  { shards }: Pick<MemoryPlan, 'shards'>,
  examples: readonly Example[],
): number {
  let total = 0
  for (const [index, own] of dealToShards(examples, shards.length).entries()) {
    const shard = shards[index]!
    let [row, predictedRow] = [0, 0]
    for (const [i, example] of own.entries()) {
      const read = tokensRead(example)
      integers[(shard.starts >>> 2) + i] = row
      for (let position = 0; position < read; position++, row++) {
        integers[(shard.tokens >>> 2) + row] = example.tokens[position]!
        integers[(shard.positions >>> 2) + row] = position
        if (position + 1 < example.predictFrom) continue
        integers[(shard.predictedRows >>> 2) + predictedRow] = row
        integers[(shard.predictedTokens >>> 2) + predictedRow] = example.tokens[position + 1]!
        predictedRow++
      }
      total += predictions(example)
    }
    integers[(shard.starts >>> 2) + own.length] = row
    integers.set([row, own.length, predictedRow], shard.counts >>> 2)
  }
  return total
}
