// A trained network as a base model file that llama.cpp loads.
import { ggmlTypes, writeGgufFile } from '../../model-files/index.ts'
import type { GgufValue, WrittenFile } from '../../model-files/index.ts'
import { tensorsOf } from '../network/shape.ts'
import type { ModelShape } from '../network/shape.ts'

export interface BaseFile {
  readonly name: string
  readonly shape: ModelShape
  /** `tokenizer.*`: what `vocabularyMetadata` gives, and a chat template if there is one. */
  readonly tokenizer: readonly (readonly [string, GgufValue])[]
  /** Numbers of a tensor of `shape`. */
  read(tensor: string): Float32Array
}

/** F32, tensors in the order of `tensorsOf`. Equal content gives equal bytes. */
export async function writeBase(path: string, { name, shape, tokenizer, read }: BaseFile): Promise<WrittenFile> {
  const integer = (key: string, value: number): [string, GgufValue] => [`llama.${key}`, { type: 'uint32', value }]
  const float = (key: string, value: number): [string, GgufValue] => [
    `llama.${key}`,
    { type: 'float32', value: Math.fround(value) },
  ]
  const metadata: (readonly [string, GgufValue])[] = [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: name }],
    integer('vocab_size', shape.vocabulary),
    integer('context_length', shape.contextLength),
    integer('embedding_length', shape.width),
    integer('block_count', shape.layers),
    integer('feed_forward_length', shape.feedForward),
    integer('attention.head_count', shape.heads),
    integer('attention.head_count_kv', shape.kvHeads),
    integer('attention.key_length', shape.headSize),
    integer('attention.value_length', shape.headSize),
    float('attention.layer_norm_rms_epsilon', shape.epsilon),
    integer('rope.dimension_count', shape.turned),
    float('rope.freq_base', shape.ropeBase),
    ...tokenizer,
  ]
  const tensors = tensorsOf(shape).map(({ name, rows, columns }) => ({
    name,
    type: ggmlTypes.F32,
    shape: name.endsWith('norm.weight') ? [columns] : [columns, rows],
    data: bytesOf(read(name)),
  }))
  return await writeGgufFile(path, { metadata, tensors })
}

function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.slice().buffer)
}
