// Into how many shards a step is dealt, and how much room each needs: from the data and the recipe alone, never from the machine.
import type { NetworkJob } from '../network/memory-plan.ts'
import { tokensRead } from './examples.ts'
import type { Recipe, TrainingData } from './train.ts'

/** Four machines' cores can share a step; more shards would cost a sum over all parameters each. */
const shards = 4

export function partsOf(
  { train, replay, heldOut }: TrainingData,
  { batchTokens }: Pick<Recipe, 'batchTokens'>,
): Pick<NetworkJob, 'shards' | 'shardTokens' | 'exampleTokens'> {
  const exampleTokens = [...train, ...replay, ...heldOut].reduce(
    (most, example) => Math.max(most, tokensRead(example)),
    1,
  )
  // A step takes at least one example from the data and one from the replay, however long; dealing evens out to one example.
  const most = Math.max(batchTokens, exampleTokens) + exampleTokens
  return { shards, shardTokens: Math.ceil(most / shards) + exampleTokens, exampleTokens }
}
