// Small PEFT folders as PEFT's `save_pretrained` leaves them, made of given numbers, for tests of everything that starts from one.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface StoredTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** A safetensors file with the tensors in the order given. `header` can be changed on its way, to make files that are wrong. */
export function safetensorsBytes(
  tensors: Readonly<Record<string, StoredTensor>>,
  change: (header: Record<string, unknown>) => unknown = (header) => header,
): Uint8Array<ArrayBuffer> {
  let offset = 0
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] }
    offset += data.length
  }
  const json = new TextEncoder().encode(JSON.stringify(change(header)))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true)
  return new Uint8Array(Buffer.concat([length, json, ...Object.values(tensors).map(({ data }) => data)]))
}

export interface PeftFolder {
  /** Changes to a plain LoRA config of rank 2 and alpha 4. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly weights: Uint8Array
}

/** Writes the folder and returns its path. */
export async function writePeftFolder(dir: string, { config = {}, weights }: PeftFolder): Promise<string> {
  await mkdir(dir, { recursive: true })
  const plain = { peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 2, lora_alpha: 4, bias: 'none', target_modules: null }
  await writeFile(join(dir, 'adapter_config.json'), JSON.stringify({ ...plain, ...config }))
  await writeFile(join(dir, 'adapter_model.safetensors'), weights)
  return dir
}

export function f32Tensor(shape: readonly number[], values: ArrayLike<number>): StoredTensor {
  return { dtype: 'F32', shape, data: new Uint8Array(Float32Array.from(values).buffer) }
}
