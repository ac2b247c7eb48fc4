// The one way a LoRA GGUF leaves this folder: fixed metadata, pairs sorted by the base tensor's name, A before B. So equal content gives
// equal bytes, whoever writes it and when.
import { ggmlTypes } from './gguf-format.ts'
import { writeGgufFile, type GgufChunks, type GgufTensorSource, type WrittenFile } from './gguf-writer.ts'
import type { TensorDtype } from './tensor-dtypes.ts'
import { writeFailure } from './whole-file.ts'

export interface LoraMatrix {
  readonly dtype: TensorDtype
  /** GGUF order: `shape[0]` is the length of a stored row. */
  readonly shape: readonly [number, number]
  /** Asked once, when its turn to be written comes; may do the work only then. */
  readonly chunks: () => GgufChunks
}

export interface LoraPair {
  /** The tensor of the base that the pair changes, such as `blk.0.attn_q.weight`. */
  readonly target: string
  readonly a: LoraMatrix
  readonly b: LoraMatrix
}

export interface LoraContent {
  readonly architecture: string
  /** llama.cpp scales each pair by alpha / rank of the pair; 0 means that the scale is in the matrices already. */
  readonly alpha: number
  readonly pairs: readonly LoraPair[]
}

export interface WriteProgress {
  /** Tensors written so far. */
  readonly done: number
  readonly total: number
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: WriteProgress) => void) | undefined
}

/** Writes the file in full or not at all. Throws `aborted`, `disk-full`, `storage-failed`, or what reading the chunks throws. */
export async function writeLora(out: string, content: LoraContent, options: WriteOptions = {}): Promise<WrittenFile> {
  const pairs = content.pairs.toSorted((one, other) => (one.target < other.target ? -1 : 1))
  const total = pairs.length * 2
  let done = 0
  const tensorOf = (name: string, matrix: LoraMatrix): GgufTensorSource<GgufChunks> => ({
    name,
    type: ggmlTypes[matrix.dtype],
    shape: matrix.shape,
    data: (async function* chunks() {
      const data = matrix.chunks()
      yield* data instanceof Uint8Array ? [data] : data
      options.onProgress?.({ done: ++done, total })
    })(),
  })
  const metadata = [
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.architecture', { type: 'string', value: content.architecture }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: content.alpha }],
  ] as const
  const tensors = pairs.flatMap(({ target, a, b }) => [
    tensorOf(`${target}.lora_a`, a),
    tensorOf(`${target}.lora_b`, b),
  ])
  try {
    return await writeGgufFile(out, { metadata, tensors }, options.signal ? { signal: options.signal } : {})
  } catch (error) {
    throw writeFailure(error, out, options.signal)
  }
}

/** The short name that people and manifests use for a target: `attn_q` for `blk.3.attn_q.weight`. */
export function targetKind(target: string): string {
  return target.replace(/^blk\.\d+\./, '').replace(/\.weight$/, '')
}
