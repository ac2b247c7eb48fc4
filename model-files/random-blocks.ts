// What a block of each architecture is made of, for model files made of random numbers: tensors with their shapes, and the hyper-parameters
// that llama.cpp reads.
import type { SupportedArchitecture } from '../protocol/index.ts'
import type { GgufValue } from './gguf-format.ts'
import type { TensorDtype } from './tensor-dtypes.ts'

export interface RandomTensor {
  readonly name: string
  readonly dtype: TensorDtype
  readonly shape: readonly number[]
  /** Numbers are even between centre - spread and centre + spread. */
  readonly centre: number
  readonly spread: number
}

export interface BlockSizes {
  readonly architecture: SupportedArchitecture
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly kvHeads: number
  readonly headSize: number
  readonly feedForward: number
  readonly contextLength: number
  /** Of the matrices. */
  readonly dtype: TensorDtype
}

export function randomMatrix(name: string, dtype: TensorDtype, input: number, output: number): RandomTensor {
  return { name: `${name}.weight`, dtype, shape: [input, output], centre: 0, spread: Math.sqrt(3 / input) }
}

export function randomNorm(name: string, width: number): RandomTensor {
  return { name: `${name}.weight`, dtype: 'F32', shape: [width], centre: 1, spread: 0.25 }
}

interface Traits {
  readonly fused?: true
  readonly biases?: true
  readonly headNorms?: true
  readonly postNorms?: true
  readonly hyperparameters?: (sizes: BlockSizes) => readonly (readonly [string, GgufValue])[]
}

const integer = (value: number): GgufValue => ({ type: 'uint32', value })
const float = (value: number): GgufValue => ({ type: 'float32', value: Math.fround(value) })

const traits: Readonly<Record<SupportedArchitecture, Traits>> = {
  llama: {},
  qwen2: { biases: true },
  qwen3: { headNorms: true },
  gemma2: {
    postNorms: true,
    hyperparameters: ({ contextLength }) => [
      ['attention.sliding_window', integer(contextLength)],
      ['attn_logit_softcapping', float(50)],
      ['final_logit_softcapping', float(30)],
    ],
  },
  gemma3: {
    postNorms: true,
    headNorms: true,
    hyperparameters: ({ contextLength }) => [
      ['attention.sliding_window', integer(contextLength)],
      ['attention.sliding_window_pattern', integer(2)],
      ['rope.freq_base_swa', float(1e4)],
    ],
  },
  phi3: {
    fused: true,
    hyperparameters: ({ contextLength }) => [
      ['attention.sliding_window', integer(0)],
      ['rope.scaling.original_context_length', integer(contextLength)],
    ],
  },
}

/** Keys without the architecture. */
export function hyperparametersOf(sizes: BlockSizes): readonly (readonly [string, GgufValue])[] {
  const { architecture, layers, width, heads, kvHeads, headSize, feedForward, contextLength } = sizes
  const lengths = [
    ['attention.key_length', integer(headSize)],
    ['attention.value_length', integer(headSize)],
  ] as const
  return [
    ['context_length', integer(contextLength)],
    ['embedding_length', integer(width)],
    ['block_count', integer(layers)],
    ['feed_forward_length', integer(feedForward)],
    ['attention.head_count', integer(heads)],
    ['attention.head_count_kv', integer(kvHeads)],
    ['attention.layer_norm_rms_epsilon', float(1e-5)],
    ...(headSize * heads === width ? [] : lengths),
    ['rope.dimension_count', integer(headSize)],
    ['rope.freq_base', float(10_000)],
    ...(traits[architecture].hyperparameters?.(sizes) ?? []),
  ]
}

export function blockTensors(sizes: BlockSizes, block: number): RandomTensor[] {
  const { width, heads, headSize, dtype, architecture } = sizes
  const { headNorms, postNorms } = traits[architecture]
  const name = (part: string): string => `blk.${block}.${part}`
  const normsOf = (size: number, ...parts: string[]): RandomTensor[] =>
    parts.map((part) => randomNorm(name(part), size))
  return [
    ...normsOf(width, 'attn_norm'),
    ...projections(sizes, name),
    ...(headNorms ? normsOf(headSize, 'attn_q_norm', 'attn_k_norm') : []),
    randomMatrix(name('attn_output'), dtype, heads * headSize, width),
    ...(postNorms ? normsOf(width, 'post_attention_norm', 'post_ffw_norm') : []),
    ...normsOf(width, 'ffn_norm'),
    ...feedForward(sizes, name),
  ]
}

type Name = (part: string) => string

function projections({ architecture, width, heads, kvHeads, headSize, dtype }: BlockSizes, name: Name): RandomTensor[] {
  const queryRows = heads * headSize
  const keyRows = kvHeads * headSize
  const { fused, biases } = traits[architecture]
  if (fused) return [randomMatrix(name('attn_qkv'), dtype, width, queryRows + 2 * keyRows)]
  const rows = { attn_q: queryRows, attn_k: keyRows, attn_v: keyRows }
  return Object.entries(rows).flatMap(([part, count]) => {
    const bias: RandomTensor = { name: `${name(part)}.bias`, dtype: 'F32', shape: [count], centre: 0, spread: 0.5 }
    return [randomMatrix(name(part), dtype, width, count), ...(biases ? [bias] : [])]
  })
}

function feedForward({ architecture, width, feedForward: inner, dtype }: BlockSizes, name: Name): RandomTensor[] {
  const gateAndUp = traits[architecture].fused
    ? [randomMatrix(name('ffn_up'), dtype, width, 2 * inner)]
    : ['ffn_gate', 'ffn_up'].map((part) => randomMatrix(name(part), dtype, width, inner))
  return [...gateAndUp, randomMatrix(name('ffn_down'), dtype, inner, width)]
}
