// The smallest llama base that llama.cpp loads, with a given vocabulary: all matrices zero, all norms one. Only its tokenizer is of use.
import { ggmlTypes, writeGgufFile } from '../../../model-files/index.ts'
import type { GgufTensorSource, GgufValue } from '../../../model-files/index.ts'
import { vocabularyMetadata } from '../gguf-vocabulary.ts'
import type { ByteLevelVocabulary } from '../vocabulary.ts'

const width = 32
const feedForward = 32

export async function writeTinyBase(path: string, vocabulary: ByteLevelVocabulary): Promise<void> {
  const size = vocabulary.tokens.length
  const metadata: [string, GgufValue][] = [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['general.type', { type: 'string', value: 'model' }],
    ['llama.context_length', { type: 'uint32', value: 64 }],
    ['llama.embedding_length', { type: 'uint32', value: width }],
    ['llama.block_count', { type: 'uint32', value: 1 }],
    ['llama.feed_forward_length', { type: 'uint32', value: feedForward }],
    ['llama.attention.head_count', { type: 'uint32', value: 1 }],
    ['llama.attention.head_count_kv', { type: 'uint32', value: 1 }],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: Math.fround(1e-5) }],
    ['llama.rope.dimension_count', { type: 'uint32', value: width }],
    ['llama.rope.freq_base', { type: 'float32', value: 10_000 }],
    ['llama.vocab_size', { type: 'uint32', value: size }],
    ...vocabularyMetadata(vocabulary),
  ]
  const tensors = [
    aTensor('token_embd', [width, size], 0),
    aTensor('blk.0.attn_norm', [width], 1),
    aTensor('blk.0.attn_q', [width, width], 0),
    aTensor('blk.0.attn_k', [width, width], 0),
    aTensor('blk.0.attn_v', [width, width], 0),
    aTensor('blk.0.attn_output', [width, width], 0),
    aTensor('blk.0.ffn_norm', [width], 1),
    aTensor('blk.0.ffn_gate', [width, feedForward], 0),
    aTensor('blk.0.ffn_up', [width, feedForward], 0),
    aTensor('blk.0.ffn_down', [feedForward, width], 0),
    aTensor('output_norm', [width], 1),
  ]
  await writeGgufFile(path, { metadata, tensors })
}

function aTensor(name: string, shape: readonly number[], value: number): GgufTensorSource<Uint8Array> {
  const elements = shape.reduce((product, length) => product * length, 1)
  const data = new Uint8Array(new Float32Array(elements).fill(value).buffer)
  return { name: `${name}.weight`, type: ggmlTypes.F32, shape, data }
}
