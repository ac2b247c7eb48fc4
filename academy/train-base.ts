// Training a whole network from random numbers.
import { randomNumbers } from '../model-files/index.ts'
import type { GgufValue, WrittenFile } from '../model-files/index.ts'
import { writeBase } from './base/write-base.ts'
import type { Arithmetic } from './kernels/kernels.ts'
import { fastestArithmetic } from './kernels/kernels.ts'
import { tensorsOf } from './network/shape.ts'
import type { ModelShape, TensorShape } from './network/shape.ts'
import { partsOf } from './training/parts.ts'
import type { Session } from './training/session.ts'
import { train } from './training/train.ts'
import type { Recipe, TrainingControl, TrainingData, TrainingOutcome } from './training/train.ts'

export interface BaseTraining {
  /** Goes into the file, for people. */
  readonly name: string
  /** Untied. */
  readonly shape: ModelShape
  readonly tokenizer: readonly (readonly [string, GgufValue])[]
  readonly data: TrainingData
  readonly recipe: Recipe
  readonly arithmetic?: Arithmetic | undefined
  readonly workers: number
  readonly out: string
}

/** Writes an F32 GGUF. Rejects like `trainAdapter`. */
export async function trainBase(
  { name, shape, tokenizer, data, recipe, arithmetic = fastestArithmetic(), workers, out }: BaseTraining,
  control: TrainingControl,
): Promise<TrainingOutcome & { readonly written: WrittenFile }> {
  const network = { shape, trainable: { kind: 'everything' }, ...partsOf(data, recipe, workers) } as const
  const prepare = (session: Session): void => startWeights(session, shape, recipe.rngSeed)
  return await train(
    { network, arithmetic, recipe, data, prepare, identity: [] },
    control,
    async (session, outcome) => {
      const { plan, floats } = session
      const sizes = new Map(tensorsOf(shape).map((tensor) => [tensor.name, tensor.rows * tensor.columns]))
      const read = (tensor: string): Float32Array => {
        const at = plan.weights.get(tensor)! >>> 2
        return floats.slice(at, at + sizes.get(tensor)!)
      }
      return { ...outcome, written: await writeBase(out, { name, shape, tokenizer, read }) }
    },
  )
}

/** Norms are one; the last matrices before each sum are smaller the more sums there are (Radford et al. 2019). */
function startWeights({ plan, floats }: Session, shape: ModelShape, rngSeed: number): void {
  for (const [stream, { name, rows, columns }] of tensorsOf(shape).entries()) {
    const random = randomNumbers(rngSeed, 1_000_000 + stream)
    const at = plan.weights.get(name)! >>> 2
    const bound = startBound({ name, rows, columns }, shape)
    for (let i = 0; i < rows * columns; i++) floats[at + i] = name.endsWith('norm.weight') ? 1 : random() * bound
  }
}

/** An even spread to +-b has the deviation b / sqrt 3. */
function startBound({ name, columns }: TensorShape, { layers }: ModelShape): number {
  if (name === 'token_embd.weight') return 0.02 * Math.sqrt(3)
  const summed = name.endsWith('attn_output.weight') || name.endsWith('ffn_down.weight')
  return Math.sqrt(1 / columns) / (summed ? Math.sqrt(2 * layers) : 1)
}
