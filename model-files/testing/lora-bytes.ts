// A small valid LoRA GGUF of which a test changes one thing.
import { ggmlTypes } from '../gguf-format.ts'
import type { GgmlType, GgufValue } from '../gguf-format.ts'
import { writeGguf } from '../gguf-writer.ts'
import { encodeTensor } from '../tensor-dtypes.ts'
import type { TensorDtype } from '../tensor-dtypes.ts'

export interface LoraTensor {
  readonly name: string
  readonly type: GgmlType
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

export interface LoraChanges {
  /** Replaces or adds metadata; `undefined` removes a key. */
  readonly metadata?: Readonly<Record<string, GgufValue | undefined>>
  readonly tensors?: readonly LoraTensor[]
}

const metadata: Record<string, GgufValue> = {
  'general.type': { type: 'string', value: 'adapter' },
  'general.architecture': { type: 'string', value: 'llama' },
  'adapter.type': { type: 'string', value: 'lora' },
  'adapter.lora.alpha': { type: 'float32', value: 8 },
}

/** Numbers 0.01 to 0.09, repeating, unless `fill` says otherwise. */
export function loraTensor(
  name: string,
  shape: readonly number[],
  dtype: TensorDtype = 'F32',
  fill: (index: number) => number = (index) => ((index % 9) + 1) / 100,
): LoraTensor {
  const count = shape.reduce((product, length) => product * length, 1)
  const values = Float32Array.from({ length: count }, (_, index) => fill(index))
  return { name, type: ggmlTypes[dtype], shape, data: encodeTensor(dtype, values) }
}

/** A pair of rank 4 for `blk.0.attn_q.weight` of a base of width 64. */
export function loraPair(target = 'blk.0.attn_q.weight', rank = 4, input = 64, output = 64): LoraTensor[] {
  return [loraTensor(`${target}.lora_a`, [input, rank]), loraTensor(`${target}.lora_b`, [rank, output])]
}

export function loraBytes(changes: LoraChanges = {}): Uint8Array<ArrayBuffer> {
  const entries = Object.entries({ ...metadata, ...changes.metadata })
  return writeGguf({
    metadata: entries.filter((entry): entry is [string, GgufValue] => entry[1] !== undefined),
    tensors: changes.tensors ?? loraPair(),
  })
}
