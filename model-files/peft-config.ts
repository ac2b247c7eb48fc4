// What a PEFT `adapter_config.json` says about the arithmetic of its adapter: which rank, alpha and scale each module has.
// A LoRA GGUF can say "add scale * B * A to these matrices" and nothing else, so every option that means more is refused by its name.
// An option that this file doesn't know is refused too, unless it is switched off: new ones change the arithmetic more often than not.
import { limits, MeshError } from '../protocol/index.ts'
import { alphaMax } from './adapter-metadata.ts'
import { compileModulePattern, type ModulePattern, type StepBudget } from './module-pattern.ts'
import { parseStrictJson, type JsonObject, type JsonValue } from './strict-json.ts'

export interface ModuleScaling {
  readonly rank: number
  readonly alpha: number
  /** The update is scale * B * A: alpha / rank, or alpha / sqrt(rank) with rsLoRA. */
  readonly scale: number
}

export interface PeftConfig {
  readonly rank: number
  readonly alpha: number
  readonly usesRsLora: boolean
  /** The transformers class it was trained on (such as `LlamaForCausalLM`), where the config tells. Never a path to open. */
  readonly baseModelClass: string | undefined
  /** `module` is the name inside the base model, such as `model.layers.0.self_attn.q_proj`. */
  scalingOf(module: string): ModuleScaling
  /** False if the config lists its target modules by name and `module` is none of them: PEFT would not load such tensors. */
  mayTarget(module: string): boolean
}

/** No real config comes near; EVA-like rank patterns of a large model take about 60 KiB. */
export const peftConfigMaxBytes = 1024 * 1024

const patternsMax = 4_096
const matchSteps = 50_000_000
const jsonBounds = { maxDepth: 12, maxValues: 50_000 }

type Check = (value: JsonValue) => string | undefined

const isOff = (value: JsonValue): boolean =>
  value === null ||
  value === false ||
  value === '' ||
  (Array.isArray(value) && value.length === 0) ||
  (value instanceof Map && value.size === 0)
const off =
  (why: string): Check =>
  (value) =>
    isOff(value) ? undefined : why
const any: Check = () => undefined

const initialisations = new Set<JsonValue>([true, false, null, 'gaussian', 'orthogonal'])

/** Option -> why it can't be represented, or undefined where its value is harmless. */
const options: Readonly<Record<string, Check>> = {
  peft_type: (value) =>
    value === 'LORA' ? undefined : 'only LORA adapters can be converted, other methods are no low-rank update',
  task_type: (value) =>
    value === 'CAUSAL_LM'
      ? undefined
      : 'only CAUSAL_LM adapters write text (if this one does, set task_type to "CAUSAL_LM")',
  bias: (value) =>
    value === 'none' || value === null
      ? undefined
      : 'trained biases have no place in a LoRA file: train with bias="none"',
  lora_bias: off('trained biases have no place in a LoRA file: train with lora_bias=False'),
  use_dora: off('DoRA is not a low-rank update: train with use_dora=False, or merge it into the base'),
  modules_to_save: off('whole retrained modules have no place in a LoRA file: train without modules_to_save'),
  fan_in_fan_out: off('transposed weights belong to layers that no base of this architecture has'),
  layer_replication: off('replicated layers need a base with these layers: merge them into a base first'),
  trainable_token_indices: off(
    'retrained token embeddings have no place in a LoRA file: train without trainable_token_indices',
  ),
  target_parameters: off("LoRA on raw parameters can't be represented: target linear modules instead"),
  alora_invocation_tokens: off('activated LoRA switches itself on in mid-text, which this engine does not do'),
  init_lora_weights: (value) =>
    initialisations.has(value)
      ? undefined
      : 'this initialisation can change the base weights, so A and B alone are not the update: save it with path_initial_model_for_weight_conversion',
  loftq_config: off('LoftQ changes the base weights, so A and B alone are not the update'),
  auto_mapping: any,
  base_model_name_or_path: any,
  exclude_modules: any,
  inference_mode: any,
  layers_pattern: any,
  layers_to_transform: any,
  lora_dropout: any,
  megatron_core: any,
  peft_version: any,
  qalora_group_size: any,
  revision: any,
  runtime_config: any,
  // It ties LoRA on tied embeddings; those are refused on their own.
  ensure_weight_tying: any,
  // Read below.
  r: any,
  lora_alpha: any,
  use_rslora: (value) => (typeof value === 'boolean' || value === null ? undefined : 'it must be true or false'),
  rank_pattern: any,
  alpha_pattern: any,
  target_modules: any,
}
const required = ['peft_type', 'task_type', 'r', 'lora_alpha']

/** Throws `peft-unsupported` naming the option, in `details.field`, that can't be represented or is malformed. */
export function readPeftConfig(bytes: Uint8Array): PeftConfig {
  if (bytes.length > peftConfigMaxBytes) refuse('', `it is larger than ${peftConfigMaxBytes} bytes`)
  const document = parseStrictJson(bytes, jsonBounds)
  if (document.kind === 'refused') return refuse('', `it is not the JSON that PEFT writes: ${document.reason}`)
  const config = document.value
  if (!(config instanceof Map)) return refuse('', 'it must hold one JSON object')
  checkOptions(config)

  const rank = rankOf('r', config.get('r'))
  const alpha = alphaOf('lora_alpha', config.get('lora_alpha'))
  const usesRsLora = config.get('use_rslora') === true
  const ranks = patternsOf(config, 'rank_pattern', rankOf)
  const alphas = patternsOf(config, 'alpha_pattern', alphaOf)
  const targets = targetNames(config.get('target_modules'))
  const budget: StepBudget = { left: matchSteps }
  return {
    rank,
    alpha,
    usesRsLora,
    baseModelClass: baseModelClass(config.get('auto_mapping')),
    scalingOf: (module) => {
      const own = {
        rank: firstMatch(ranks, module, budget) ?? rank,
        alpha: firstMatch(alphas, module, budget) ?? alpha,
      }
      return { ...own, scale: own.alpha / (usesRsLora ? Math.sqrt(own.rank) : own.rank) }
    },
    mayTarget: (module) => targets?.some((name) => module === name || module.endsWith(`.${name}`)) ?? true,
  }
}

function refuse(field: string, why: string): never {
  const subject = field === '' ? 'adapter_config.json' : `The option ${field} of adapter_config.json`
  throw new MeshError('peft-unsupported', `${subject} can't be converted: ${why}.`, { field })
}

function checkOptions(config: JsonObject): void {
  for (const field of required) {
    if (!config.has(field)) refuse(field, 'it is missing, and a guess could be silently wrong: add it')
  }
  // In the table's order: what an adapter is comes before how it was trained.
  for (const [field, check] of Object.entries(options)) {
    const value = config.get(field)
    const why = value === undefined ? undefined : check(value)
    if (why !== undefined) refuse(field, why)
  }
  for (const [field, value] of config) {
    if (!Object.hasOwn(options, field) && !isOff(value)) {
      refuse(field.slice(0, 80), 'it is not known here and may change the arithmetic')
    }
  }
}

function rankOf(field: string, value: JsonValue | undefined): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1)
    return refuse(field, 'a rank must be a whole number from 1')
  if (value > limits.rankMax)
    throw new MeshError('rank-limit', `The rank ${value} is above the limit of ${limits.rankMax}.`, {
      field,
      rank: value,
    })
  return value
}

function alphaOf(field: string, value: JsonValue | undefined): number {
  // Zero is excluded on purpose: a LoRA file with alpha 0 means "do not scale by alpha", the opposite of an adapter that does nothing.
  if (typeof value !== 'number' || value <= 0 || value > alphaMax)
    return refuse(field, `an alpha must be above 0 and at most ${alphaMax}`)
  return value
}

interface PatternValue {
  readonly pattern: ModulePattern
  readonly value: number
}

function patternsOf(
  config: JsonObject,
  field: string,
  valueOf: (field: string, value: JsonValue) => number,
): readonly PatternValue[] {
  const patterns = config.get(field) ?? new Map<string, JsonValue>()
  if (!(patterns instanceof Map)) return refuse(field, 'it must map module names to numbers')
  if (patterns.size > patternsMax) refuse(field, `it has more than ${patternsMax} entries`)
  return [...(patterns as JsonObject)].map(([key, value]) => ({
    pattern: compileModulePattern(key),
    value: valueOf(field, value),
  }))
}

function firstMatch(patterns: readonly PatternValue[], module: string, budget: StepBudget): number | undefined {
  return patterns.find(({ pattern }) => pattern.matchesEndOf(module, budget))?.value
}

/** The target modules where they are listed; undefined for a regular expression, `all-linear` or PEFT's own choice. */
function targetNames(value: JsonValue | undefined): readonly string[] | undefined {
  if (value === undefined || value === null || typeof value === 'string') return undefined
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    return refuse('target_modules', 'it must be a text or a list of names')
  }
  return value as string[]
}

function baseModelClass(autoMapping: JsonValue | undefined): string | undefined {
  const name = autoMapping instanceof Map ? (autoMapping as JsonObject).get('base_model_class') : undefined
  return typeof name === 'string' && /^\w{1,80}$/.test(name) ? name : undefined
}
