// What is learnt, as token ids, and how it is dealt into the steps of a training. Integers only: the same data and seed give the same steps.
import { randomNumbers } from '../../model-files/index.ts'

export interface Example {
  /** With BOS in front and EOS behind where the base has them. */
  readonly tokens: Int32Array
  /** Index of the first token that is to be predicted: 1 for all of them, later where only an answer counts. */
  readonly predictFrom: number
}

/** Tokens that the network reads: all but the last, which is only predicted. */
export function tokensRead({ tokens }: Example): number {
  return tokens.length - 1
}

export function predictions({ tokens, predictFrom }: Example): number {
  return tokens.length - predictFrom
}

/** Deals examples to shards: each to the one with the fewest tokens so far. A shard gets at most the average plus one example. */
export function dealToShards(examples: readonly Example[], shards: number): Example[][] {
  const dealt = Array.from({ length: shards }, () => [] as Example[])
  const tokens = Array.from({ length: shards }, () => 0)
  for (const example of examples) {
    const shard = tokens.indexOf(Math.min(...tokens))
    dealt[shard]!.push(example)
    tokens[shard]! += tokensRead(example)
  }
  return dealt
}

/** Goes through the examples again and again, each time in another order. */
function* rounds(examples: readonly Example[], rngSeed: number, stream: number): Generator<Example, never> {
  for (let round = 0; ; round++) {
    const random = randomNumbers(rngSeed, stream + 2 * round)
    const order = Array.from(examples)
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(((random() + 1) / 2) * (i + 1))
      const held = order[i]!
      order[i] = order[j]!
      order[j] = held
    }
    yield* order
  }
}

export interface BatchOptions {
  readonly data: readonly Example[]
  readonly replay: readonly Example[]
  /** Most tokens of a step. */
  readonly batchTokens: number
  /** Part of each step's tokens, 0 to 1, that is taken from the replay. */
  readonly replayShare: number
  readonly rngSeed: number
}

/** The examples of step after step. Never ends. */
export function* batches({
  data,
  replay,
  batchTokens,
  replayShare,
  rngSeed,
}: BatchOptions): Generator<Example[], never> {
  const share = replay.length === 0 ? 0 : replayShare
  const draw = [drawer(rounds(data, rngSeed, 0)), drawer(rounds(replay, rngSeed, 1))] as const
  const replayTokens = share === 0 ? 0 : Math.max(1, Math.round(batchTokens * share))
  for (;;) {
    const batch = draw[0](batchTokens - replayTokens)
    if (replayTokens > 0) batch.push(...draw[1](replayTokens))
    yield batch
  }
}

/** How many steps show each example of the data `rounds` times. */
export function stepsOfRounds(options: BatchOptions, rounds: number): number {
  const own = new Set(options.data)
  let left = options.data.length * rounds
  let steps = 0
  for (const batch of batches({ ...options, replay: [] })) {
    if (left <= 0) break
    left -= batch.filter((example) => own.has(example)).length
    steps++
  }
  return steps
}

/** Takes the next examples that fit into a number of tokens, at least one. */
function drawer(source: Generator<Example, never>): (tokens: number) => Example[] {
  let next: Example | undefined
  return (tokens) => {
    const drawn: Example[] = []
    for (let left = tokens; ;) {
      next ??= source.next().value
      if (drawn.length > 0 && tokensRead(next) > left) return drawn
      left -= tokensRead(next)
      drawn.push(next)
      next = undefined
      if (left <= 0) return drawn
    }
  }
}
