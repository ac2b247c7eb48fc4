// Trains an adapter on from where a file of it stands, with the academy's own trainer: versions as a publisher makes them, for
// measurements of what leads from one to the next.
import { tensorsOf } from '../academy/network/shape.ts'
import { partsOf } from '../academy/training/parts.ts'
import type { Session } from '../academy/training/session.ts'
import { train } from '../academy/training/train.ts'
import { matrixKinds } from '../academy/index.ts'
import type { Recipe, TrainableBase, TrainingData } from '../academy/index.ts'
import {
  decodeTensor,
  dtypeOf,
  encodeTensor,
  openFileSource,
  readGguf,
  readTensor,
  writeLora,
} from '../model-files/index.ts'
import type { TensorDtype } from '../model-files/index.ts'

/** Tensor name -> its numbers. */
export type AdapterNumbers = ReadonlyMap<string, Float32Array>

export interface Continuation {
  readonly base: TrainableBase
  readonly data: TrainingData
  /** 0 steps only measure. */
  readonly steps: number
  readonly learningRate: number
  readonly from: string
}

export interface ContinuedAdapter {
  /** Of each held-out example: mean -ln p per predicted token. */
  readonly heldOutNlls: readonly number[]
  readonly numbers: AdapterNumbers
}

const rank = 8
const alpha = 16
const common = { batchTokens: 512, warmUpShare: 0.03, clip: 1, weightDecay: 0, replayShare: 0.8, rngSeed: 7 }

export function readNumbers(path: string): AdapterNumbers {
  using source = openFileSource(path)
  const file = readGguf(source, 'adapter')
  return new Map(
    file.tensors.map((tensor) => [tensor.name, decodeTensor(dtypeOf(tensor.type)!, readTensor(file, tensor))]),
  )
}

/** An adapter of rank 8 on all seven matrices of a base. */
export async function continueAdapter({ base, data, from, ...rest }: Continuation): Promise<ContinuedAdapter> {
  const recipe: Recipe = { ...common, ...rest }
  const before = readNumbers(from)
  const network = {
    shape: base.shape,
    trainable: { kind: 'lora', rank, alpha, targets: matrixKinds },
    ...partsOf(data, recipe, 2),
  } as const
  const prepare = ({ plan, floats }: Session): void => {
    for (const { name } of tensorsOf(base.shape)) {
      floats.set(base.read(name), (plan.frozen.get(name) ?? plan.weights.get(name)!) >>> 2)
    }
    for (const [name, at] of factorsOf(plan)) floats.set(before.get(name)!, at)
  }
  const job = { network, arithmetic: 'plain', recipe, data, prepare, identity: [] } as const
  return await train(job, { clock: () => performance.now() }, async ({ plan, floats, evaluate }) => {
    const heldOutNlls: number[] = []
    for (const example of data.heldOut) heldOutNlls.push((await evaluate([example]))!)
    const numbers = [...factorsOf(plan)].map(
      ([name, at]) => [name, floats.slice(at, at + before.get(name)!.length)] as const,
    )
    return { heldOutNlls, numbers: new Map(numbers) }
  })
}

/** Stores numbers under the names and shapes of the adapter in `like`. */
export async function storeAdapter(
  numbers: AdapterNumbers,
  like: string,
  dtype: TensorDtype,
  out: string,
): Promise<void> {
  using source = openFileSource(like)
  const { tensors } = readGguf(source, 'adapter')
  const matrix = (name: string) => {
    const [columns, rows] = tensors.find((tensor) => tensor.name === name)!.shape as [number, number]
    return {
      dtype,
      shape: [columns, rows] as const,
      chunks: () => encodeTensor(dtype, new Float32Array(numbers.get(name)!)),
    }
  }
  const targets = tensors.flatMap(({ name }) => (name.endsWith('.lora_a') ? [name.slice(0, -'.lora_a'.length)] : []))
  const pairs = targets.map((target) => ({ target, a: matrix(`${target}.lora_a`), b: matrix(`${target}.lora_b`) }))
  await writeLora(out, { architecture: 'llama', alpha, pairs })
}

/** How far the numbers moved, as a share of their length. */
export function relativeChange(before: AdapterNumbers, after: AdapterNumbers): number {
  let [moved, length] = [0, 0]
  for (const [name, values] of before) {
    const others = after.get(name)!
    for (const [i, value] of values.entries()) {
      moved += (others[i]! - value) ** 2
      length += value ** 2
    }
  }
  return Math.sqrt(moved / length)
}

/** Tensor name -> where its numbers stand, as an index of floats. */
function* factorsOf(plan: Session['plan']): Generator<[string, number]> {
  const start = plan.parameters.address >>> 2
  for (const { target, a, b } of plan.parameters.lora.values()) {
    yield [`${target.name}.lora_a`, start + a]
    yield [`${target.name}.lora_b`, start + b]
  }
}
