// PEFT tensors of random numbers, with the updates that they stand for computed here in float64, apart from the code under test.
import { f32Tensor, type StoredTensor } from '../../testing/peft-folder.ts'
import { product } from '../../testing/read-peft-folder.ts'
import { randomNumbers } from '../random-numbers.ts'

export interface RandomModule {
  readonly inputs: number
  readonly rows: number
  readonly rank: number
  /** Of the update: what the config that goes with it must say. */
  readonly scale: number
}

export interface RandomPeft {
  readonly tensors: Readonly<Record<string, StoredTensor>>
  /** scale * B * A by module, row-major (rows, inputs), in the order of rows that transformers has. */
  readonly updates: ReadonlyMap<string, Float64Array>
}

export function randomPeft(modules: Readonly<Record<string, RandomModule>>): RandomPeft {
  const tensors: Record<string, StoredTensor> = {}
  const updates = new Map<string, Float64Array>()
  for (const [index, [name, { inputs, rows, rank, scale }]] of Object.entries(modules).entries()) {
    const next = randomNumbers(5, index)
    const numbers = (count: number, spread: number): Float32Array =>
      Float32Array.from({ length: count }, () => spread * next())
    const a = numbers(rank * inputs, Math.sqrt(3 / inputs))
    const b = numbers(rows * rank, 0.3 / Math.sqrt(rank) / scale)
    tensors[`base_model.model.${name}.lora_A.weight`] = f32Tensor([rank, inputs], a)
    tensors[`base_model.model.${name}.lora_B.weight`] = f32Tensor([rows, rank], b)
    updates.set(name, product(a, b, rank, scale))
  }
  return { tensors, updates }
}
