// Which hyper-parameters enter the base id, per GGUF architecture: those that llama.cpp reads and that change what the model computes, with
// llama.cpp's own defaults. Left out on purpose: context length and rope scaling (a longer context is the same base), general.* and
// tokenizer.* (the tokenizer has its own digest), and keys that llama.cpp ignores for the architecture, such as a sliding window in
// `llama` or `phi3` files, because converters write them or not as they please.
import { f32Bits } from './base-id.ts'
import { MeshError } from './errors.ts'

export const supportedArchitectures = ['gemma2', 'gemma3', 'llama', 'phi3', 'qwen2', 'qwen3'] as const
export type SupportedArchitecture = (typeof supportedArchitectures)[number]

export function isSupportedArchitecture(architecture: string): architecture is SupportedArchitecture {
  return (supportedArchitectures as readonly string[]).includes(architecture)
}

/** One number for the whole model, or one per block. */
export type HyperparameterValue = number | readonly number[]

export interface BaseHyperparameter {
  /** Without the architecture: `attention.head_count` stands for `llama.attention.head_count`. */
  readonly key: string
  /** `u32` and `bool` (as 0 or 1) enter the id as they are, `f32` as the 32 bits of the number. */
  readonly type: 'u32' | 'f32' | 'bool'
  /** May be given as an array with one number per block; an array of equal numbers means the same as the number. */
  readonly perBlock?: true
  /** A number, the key whose value is taken, or `head-length` = embedding_length / head_count rounded down. Absent: the file must say. */
  readonly absent?: number | { readonly sameAs: string } | 'head-length'
}

const common: readonly BaseHyperparameter[] = [
  { key: 'block_count', type: 'u32' },
  { key: 'embedding_length', type: 'u32' },
  { key: 'feed_forward_length', type: 'u32', perBlock: true },
  { key: 'expert_count', type: 'u32', absent: 0 },
  { key: 'expert_used_count', type: 'u32', perBlock: true, absent: 0 },
  { key: 'attention.head_count', type: 'u32', perBlock: true },
  { key: 'attention.head_count_kv', type: 'u32', perBlock: true, absent: { sameAs: 'attention.head_count' } },
  { key: 'attention.key_length', type: 'u32', absent: 'head-length' },
  { key: 'attention.value_length', type: 'u32', absent: 'head-length' },
  { key: 'attention.layer_norm_rms_epsilon', type: 'f32' },
  { key: 'attention.causal', type: 'bool', absent: 1 },
  { key: 'rope.dimension_count', type: 'u32', absent: { sameAs: 'attention.key_length' } },
  { key: 'rope.freq_base', type: 'f32', absent: 10_000 },
]

/** Per architecture, in the order in which they are resolved. */
export const baseHyperparameters: Readonly<Record<SupportedArchitecture, readonly BaseHyperparameter[]>> = {
  llama: common,
  qwen2: common,
  qwen3: common,
  phi3: common,
  gemma2: [
    ...common,
    { key: 'attention.sliding_window', type: 'u32', absent: 4_096 },
    { key: 'attention.sliding_window_pattern', type: 'u32', absent: 2 },
    { key: 'rope.freq_base_swa', type: 'f32', absent: { sameAs: 'rope.freq_base' } },
    { key: 'attn_logit_softcapping', type: 'f32', absent: 50 },
    { key: 'final_logit_softcapping', type: 'f32', absent: 30 },
  ],
  gemma3: [
    ...common,
    { key: 'attention.sliding_window', type: 'u32', absent: 0 },
    { key: 'attention.sliding_window_pattern', type: 'u32', absent: 6 },
    { key: 'rope.freq_base_swa', type: 'f32', absent: 10_000 },
    { key: 'final_logit_softcapping', type: 'f32', absent: 0 },
  ],
}

// Tables for stretched rotary frequencies (rope scaling), and the scales that some quantised formats keep beside their matrices.
const leftOut = /(?:^|\.)(?:rope_freqs|rope_factors_long|rope_factors_short)\.weight$|\.(?:scale|input_scale)$/

/** Whether a tensor's name and shape enter the base id. (`output.weight` is a matter of its bytes: see `BaseDescription`.) */
export function entersBaseId(tensorName: string): boolean {
  return !leftOut.test(tensorName)
}

/** llama.cpp's own bound; also keeps a hostile block count from deciding how much is allocated. */
export const blockCountMax = 512

/** Values by key with every default filled in, before f32 values become bits. */
export type ResolvedHyperparameters = ReadonlyMap<string, HyperparameterValue>

/**
 * Fills in the defaults. `given` are the numbers that the file states under the architecture's keys; others are ignored.
 * Throws `gguf-refused` for a key that is missing, out of range, or has the wrong number of values.
 */
export function resolveHyperparameters(
  architecture: SupportedArchitecture,
  given: ReadonlyMap<string, HyperparameterValue>,
): ResolvedHyperparameters {
  const resolved = new Map<string, HyperparameterValue>()
  for (const parameter of baseHyperparameters[architecture]) {
    const value = given.get(parameter.key) ?? defaultOf(parameter, resolved)
    if (value === undefined) throw refused(architecture, parameter.key, 'is missing')
    resolved.set(parameter.key, checked(architecture, parameter, value, resolved))
  }
  return resolved
}

/** What enters the base id: integers, and floats as the bits of an f32. */
export function hyperparameterBits(
  architecture: SupportedArchitecture,
  resolved: ResolvedHyperparameters,
): Record<string, HyperparameterValue> {
  const entries = baseHyperparameters[architecture].map(({ key, type }): [string, HyperparameterValue] => {
    const value = resolved.get(key)
    if (value === undefined) throw new Error(`${key} was not resolved`)
    return [key, type === 'f32' ? mapValue(value, f32Bits) : value]
  })
  return Object.fromEntries(entries)
}

function defaultOf(parameter: BaseHyperparameter, resolved: ResolvedHyperparameters): HyperparameterValue | undefined {
  const { absent } = parameter
  if (typeof absent === 'object') return resolved.get(absent.sameAs)
  if (absent !== 'head-length') return absent
  const width = firstOf(resolved.get('embedding_length'))
  const heads = firstOf(resolved.get('attention.head_count'))
  return heads === 0 ? 0 : Math.floor(width / heads)
}

function checked(
  architecture: string,
  parameter: BaseHyperparameter,
  value: HyperparameterValue,
  resolved: ResolvedHyperparameters,
): HyperparameterValue {
  const { key, type } = parameter
  const items = typeof value === 'number' ? [value] : value
  if (typeof value !== 'number') {
    if (!parameter.perBlock) throw refused(architecture, key, 'is a list')
    const blocks = firstOf(resolved.get('block_count'))
    if (items.length !== blocks) throw refused(architecture, key, `has ${items.length} values for ${blocks} blocks`)
  }
  for (const item of items) {
    const inRange = type === 'f32' ? Number.isFinite(item) : Number.isInteger(item) && item >= 0 && item <= 0xffff_ffff
    if (!inRange || (type === 'bool' && item > 1)) throw refused(architecture, key, `has the impossible value ${item}`)
  }
  if (key === 'block_count' && (items[0] === 0 || items[0]! > blockCountMax)) {
    throw refused(architecture, key, `is ${items[0]}; 1 to ${blockCountMax} are possible`)
  }
  return items.every((item) => item === items[0]) ? items[0]! : items
}

function mapValue(value: HyperparameterValue, change: (item: number) => number): HyperparameterValue {
  return typeof value === 'number' ? change(value) : value.map(change)
}

function firstOf(value: HyperparameterValue | undefined): number {
  return (typeof value === 'number' ? value : value?.[0]) ?? 0
}

function refused(architecture: string, key: string, problem: string): MeshError {
  return new MeshError('gguf-refused', `This model file can't be a base: ${architecture}.${key} ${problem}.`, {
    key: `${architecture}.${key}`,
  })
}
