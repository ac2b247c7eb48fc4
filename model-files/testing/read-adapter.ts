// What an adapter file adds to a base, in float64, for tests that compare it with what it should add.
import { openFileSource } from '../byte-source.ts'
import { readGguf, readTensor } from '../gguf-reader.ts'
import { decodeTensor, dtypeOf, type TensorDtype } from '../tensor-dtypes.ts'

export interface AdapterMatrix {
  readonly dtype: TensorDtype
  readonly shape: readonly number[]
  readonly values: Float32Array
}

export interface ReadAdapter {
  readonly alpha: number
  readonly tensors: ReadonlyMap<string, AdapterMatrix>
}

/** All of a valid adapter file. */
export function readAdapter(path: string): ReadAdapter {
  using source = openFileSource(path)
  const file = readGguf(source, 'adapter')
  const alpha = Number(file.metadata.get('adapter.lora.alpha')?.value)
  const tensors = file.tensors.map((tensor) => {
    const dtype = dtypeOf(tensor.type)!
    return [tensor.name, { dtype, shape: tensor.shape, values: decodeTensor(dtype, readTensor(file, tensor)) }] as const
  })
  return { alpha, tensors: new Map(tensors) }
}

/** scale * B * A as llama.cpp computes it (alpha 0: no scale), row-major (out, in); undefined if the adapter leaves the target alone. */
export function updateOf(
  { alpha, tensors }: ReadAdapter,
  target: string,
): { rows: number; values: Float64Array } | undefined {
  const a = tensors.get(`${target}.lora_a`)
  const b = tensors.get(`${target}.lora_b`)
  if (a === undefined || b === undefined) return undefined
  const flipped = target === 'token_embd.weight'
  const rank = b.shape[0]!
  const inputs = a.shape[flipped ? 1 : 0]!
  const rows = b.shape[1]!
  const scale = alpha === 0 ? 1 : alpha / rank
  const values = new Float64Array(rows * inputs)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rank; i++) {
      const factor = scale * b.values[row * rank + i]!
      for (let column = 0; column < inputs; column++) {
        values[row * inputs + column]! += factor * a.values[flipped ? column * rank + i : i * inputs + column]!
      }
    }
  }
  return { rows, values }
}
