// Where everything lies in the memory that the threads of a training share. Computed from the job alone, so that every thread comes to
// the same addresses by itself and only the job has to be sent to it.
import { matrixKinds, matrixName, matrixSize, tensorsOf } from './shape.ts'
import type { MatrixKind, ModelShape, TensorShape } from './shape.ts'

export type Trainable =
  /** Every tensor. */
  | { readonly kind: 'everything' }
  /** W + alpha / rank * B A for the matrices of these kinds, in all blocks. */
  | {
      readonly kind: 'lora'
      readonly rank: number
      readonly alpha: number
      readonly targets: readonly MatrixKind[]
    }

export interface NetworkJob {
  readonly shape: ModelShape
  readonly trainable: Trainable
  /** A step's examples are dealt into so many parts, whoever computes them: the sum of their gradients is always taken in this order. */
  readonly shards: number
  /** Most tokens of one shard. */
  readonly shardTokens: number
  /** Most tokens of one example. */
  readonly exampleTokens: number
  readonly workers: number
}

/** A pair of factors: A is (rank, columns), B is (rows, rank); their offsets count floats from the start of the parameters. */
export interface LoraSlot {
  readonly target: TensorShape
  readonly a: number
  readonly b: number
}

/** Byte addresses of one shard's input: int32 each. */
export interface ShardPlan {
  /** Three numbers: tokens, examples, predictions. */
  readonly counts: number
  readonly tokens: number
  readonly positions: number
  /** Where each example starts, and where the last one ends. */
  readonly starts: number
  /** Rows whose next token counts, and that token. */
  readonly predictedRows: number
  readonly predictedTokens: number
}

export interface MemoryPlan {
  readonly bytes: number
  /** Byte address of each tensor as the network computes with it. */
  readonly weights: ReadonlyMap<string, number>
  /** LoRA: byte address of the untouched copy of each tensor that has a pair of factors. */
  readonly frozen: ReadonlyMap<string, number>
  readonly parameters: {
    readonly address: number
    readonly count: number
    readonly lora: ReadonlyMap<string, LoraSlot>
    /** Training everything: float offset of each tensor. */
    readonly tensors: ReadonlyMap<string, number>
  }
  readonly gradients: { readonly address: number; readonly strideBytes: number }
  readonly gradientSum: number
  readonly mean: number
  readonly square: number
  /** cos and sin per position, `turned` floats each. */
  readonly angles: number
  readonly shards: readonly ShardPlan[]
  /** Byte address of each worker's own space. */
  readonly workspaces: readonly number[]
}

const alignment = 64

/** Hands out addresses one after the other. */
export class Arena {
  #next: number

  constructor(start: number) {
    this.#next = start
  }

  /** `count` numbers of four bytes. */
  take(count: number): number {
    const address = this.#next
    this.#next = Math.ceil((address + count * 4) / alignment) * alignment
    return address
  }

  get end(): number {
    return this.#next
  }
}

export function planMemory(job: NetworkJob, workspaceBytes: number): MemoryPlan {
  const { shape, shardTokens, shards } = job
  // Address 0 stays free: kernels take it for "none".
  const arena = new Arena(alignment)
  const { weights, frozen, parameters } = planWeights(job, arena)
  const padded = Math.ceil(parameters.count / 16) * 16
  const gradients = { address: arena.take(padded * shards), strideBytes: padded * 4 }
  const [gradientSum, mean, square] = [arena.take(padded), arena.take(padded), arena.take(padded)]
  const angles = arena.take(job.exampleTokens * shape.turned)
  const shardPlans = Array.from({ length: shards }, () => ({
    counts: arena.take(3),
    tokens: arena.take(shardTokens),
    positions: arena.take(shardTokens),
    starts: arena.take(shardTokens + 1),
    predictedRows: arena.take(shardTokens),
    predictedTokens: arena.take(shardTokens),
  }))
  const workspaces = Array.from({ length: job.workers }, () => arena.take(workspaceBytes / 4))
  return {
    bytes: arena.end,
    weights,
    frozen,
    parameters,
    gradients,
    gradientSum,
    mean,
    square,
    angles,
    shards: shardPlans,
    workspaces,
  }
}

function planWeights(
  { shape, trainable }: NetworkJob,
  arena: Arena,
): Pick<MemoryPlan, 'weights' | 'frozen' | 'parameters'> {
  const weights = new Map<string, number>()
  const frozen = new Map<string, number>()
  const lora = new Map<string, LoraSlot>()
  const tensors = new Map<string, number>()
  let count = 0
  const slot = (floats: number): number => (count += floats) - floats
  if (trainable.kind === 'everything') {
    for (const { name, rows, columns } of tensorsOf(shape)) tensors.set(name, slot(rows * columns))
    const address = arena.take(count)
    for (const [name, offset] of tensors) weights.set(name, address + offset * 4)
    return { weights, frozen, parameters: { address, count, lora, tensors } }
  }
  for (const { name, rows, columns } of tensorsOf(shape)) weights.set(name, arena.take(rows * columns))
  for (let layer = 0; layer < shape.layers; layer++) {
    for (const kind of matrixKinds) {
      if (!trainable.targets.includes(kind)) continue
      const [rows, columns] = matrixSize(shape, kind)
      const name = matrixName(layer, kind)
      frozen.set(name, arena.take(rows * columns))
      lora.set(name, {
        target: { name, rows, columns },
        a: slot(trainable.rank * columns),
        b: slot(rows * trainable.rank),
      })
    }
  }
  return { weights, frozen, parameters: { address: arena.take(count), count, lora, tensors } }
}
