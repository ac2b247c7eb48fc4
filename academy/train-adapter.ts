// LoRA training (Hu et al. 2021): W + alpha / rank * B A on the chosen matrices of a frozen base.
import { encodeTensor, randomNumbers, writeLora } from '../model-files/index.ts'
import type { WrittenFile } from '../model-files/index.ts'
import { MeshError } from '../protocol/index.ts'
import type { TrainableBase } from './base/read-base.ts'
import type { Arithmetic } from './kernels/kernels.ts'
import { fastestArithmetic } from './kernels/kernels.ts'
import { tensorsOf } from './network/shape.ts'
import type { MatrixKind } from './network/shape.ts'
import type { Session } from './training/session.ts'
import { train } from './training/train.ts'
import type { Recipe, TrainingControl, TrainingData, TrainingOutcome } from './training/train.ts'
import { partsOf } from './training/parts.ts'

const f16Max = 65_504

export interface AdapterRecipe extends Recipe {
  readonly rank: number
  readonly alpha: number
  readonly targets: readonly MatrixKind[]
}

export interface AdapterTraining {
  readonly base: TrainableBase
  readonly data: TrainingData
  readonly recipe: AdapterRecipe
  /** Default: the fastest. */
  readonly arithmetic?: Arithmetic | undefined
  readonly workers: number
  /** How the numbers are stored. Default F32, as they were trained. */
  readonly dtype?: 'F32' | 'F16' | undefined
  readonly out: string
}

/** Writes a LoRA GGUF. Rejects with `aborted`, `not-finite`, `too-large`, `disk-full` or `storage-failed`; nothing is at `out` then. */
export async function trainAdapter(
  { base, data, recipe, arithmetic = fastestArithmetic(), workers, dtype = 'F32', out }: AdapterTraining,
  control: TrainingControl,
): Promise<TrainingOutcome & { readonly written: WrittenFile }> {
  const { rank, alpha, targets, ...rest } = recipe
  const network = {
    shape: base.shape,
    trainable: { kind: 'lora', rank, alpha, targets },
    ...partsOf(data, rest, workers),
  } as const
  const prepare = (session: Session): void => {
    loadWeights(session, base)
    startFactors(session, rank, rest.rngSeed)
  }
  return await train(
    { network, arithmetic, recipe: rest, data, prepare, identity: [base.sha256] },
    control,
    async (session, outcome) => {
      const written = await writeLora(out, loraOf(session, recipe, dtype), { signal: control.signal })
      return { ...outcome, written }
    },
  )
}

function loadWeights({ plan, floats }: Session, base: TrainableBase): void {
  for (const { name } of tensorsOf(base.shape)) {
    floats.set(base.read(name), (plan.frozen.get(name) ?? plan.weights.get(name)!) >>> 2)
  }
}

/** A is even between -1 and 1 over the root of its inputs, B is zero: at first the adapter changes nothing. */
function startFactors({ plan, floats }: Session, rank: number, rngSeed: number): void {
  let stream = 0
  for (const { target, a } of plan.parameters.lora.values()) {
    const random = randomNumbers(rngSeed, 1_000_000 + stream++)
    const bound = 1 / Math.sqrt(target.columns)
    const at = (plan.parameters.address >>> 2) + a
    for (let i = 0; i < rank * target.columns; i++) floats[at + i] = random() * bound
  }
}

function loraOf({ plan, floats }: Session, { rank, alpha }: AdapterRecipe, dtype: 'F32' | 'F16') {
  const start = plan.parameters.address >>> 2
  const numbers = (at: number, count: number) => () => {
    const values = floats.slice(start + at, start + at + count)
    if (dtype === 'F16' && values.some((value) => Math.abs(value) > f16Max)) {
      throw new MeshError('not-finite', 'The adapter has numbers that F16 can not hold: store it as F32.')
    }
    return encodeTensor(dtype, values)
  }
  const pairs = [...plan.parameters.lora.values()].map(({ target: { name, rows, columns }, a, b }) => ({
    target: name,
    a: { dtype, shape: [columns, rank] as const, chunks: numbers(a, rank * columns) },
    b: { dtype, shape: [rank, rows] as const, chunks: numbers(b, rows * rank) },
  }))
  return { architecture: 'llama', alpha, pairs }
}
