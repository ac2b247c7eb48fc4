// Into how many shards a step is dealt, and how much room each needs: from the data and the recipe alone, never from the machine. Workers
// beyond the number of shards would have nothing to do.
import type { NetworkJob } from '../network/memory-plan.ts'
import { tokensRead } from './examples.ts'
import type { Recipe, TrainingData } from './train.ts'

/** So many cores can share a step. More shards would cost a vector of all parameters each, and a sum over it. */
const shards = 4

/** More workers than this have nothing to do. */
export const trainingWorkersMax = shards

export function partsOf(
  { train, replay, heldOut }: TrainingData,
  { batchTokens }: Pick<Recipe, 'batchTokens'>,
  workers: number,
): Pick<NetworkJob, 'shards' | 'shardTokens' | 'exampleTokens' | 'workers'> {
  const exampleTokens = [...train, ...replay, ...heldOut].reduce(
    (most, example) => Math.max(most, tokensRead(example)),
    1,
  )
  // A step takes at least one example from the data and one from the replay, however long; dealing evens out to one example.
  const most = Math.max(batchTokens, exampleTokens) + exampleTokens
  const shardTokens = Math.ceil(most / shards) + exampleTokens
  return { shards, shardTokens, exampleTokens, workers: Math.min(workers, shards) }
}
