// The adapter_config.json of an exported adapter: all the options that PEFT itself writes, those that say nothing here at their defaults.
import { shortName } from './peft-architectures.ts'

export interface ExportedScale {
  /** Inside the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly name: string
  readonly rank: number
  /** The update is alpha / rank * B * A. */
  readonly alpha: number
}

export interface ExportedConfig {
  readonly rank: number
  readonly text: string
}

/** Options in the order of PEFT 0.21.2, which sorts them. The version tells readers of that format and later ones what to expect. */
const plainOptions = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: '',
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 0,
  lora_bias: false,
  lora_dropout: 0,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.21.2',
  qalora_group_size: 16,
  r: 0,
  rank_pattern: {},
  revision: null,
  target_modules: [] as readonly string[],
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
}

/** `blocks` is how many the base has: a kind of module that is changed in all of them is named once. */
export function exportedConfig(modules: readonly ExportedScale[], baseName: string, blocks: number): ExportedConfig {
  const rank = mostCommon(modules.map((module) => module.rank))
  const alpha = mostCommon(modules.map((module) => module.alpha))
  const rsLora = rsLoraAlpha(modules)
  const options = {
    ...plainOptions,
    base_model_name_or_path: baseName,
    r: rank,
    rank_pattern: patternOf(modules, (module) => module.rank, rank),
    ...(rsLora === undefined
      ? { lora_alpha: alpha, alpha_pattern: patternOf(modules, (module) => module.alpha, alpha) }
      : { lora_alpha: rsLora, use_rslora: true }),
    target_modules: targetsOf(modules, blocks),
  }
  return { rank, text: JSON.stringify(options, null, 2) }
}

function mostCommon(values: readonly number[]): number {
  const groups = [...Map.groupBy(values, (value) => value)]
  return groups.toSorted(([, one], [, other]) => other.length - one.length)[0]![0]
}

/** A pattern matches the end of a module's name, so the kind alone will do where all modules of a kind are alike. */
function patternOf(
  modules: readonly ExportedScale[],
  valueOf: (module: ExportedScale) => number,
  usual: number,
): Record<string, number> {
  const pattern: Record<string, number> = {}
  for (const [kind, ofKind] of Map.groupBy(modules, ({ name }) => shortName(name))) {
    const values = new Set(ofKind.map(valueOf))
    for (const module of values.size === 1 ? [{ ...ofKind[0]!, name: kind }] : ofKind) {
      if (valueOf(module) !== usual) pattern[module.name] = valueOf(module)
    }
  }
  return pattern
}

/**
 * Names that PEFT takes for no other module: a kind stands for all blocks, so it is given only where all of them have it, and never in a
 * multimodal model, whose other parts have modules of the same kinds.
 */
function targetsOf(modules: readonly ExportedScale[], blocks: number): string[] {
  const isPlain = ({ name }: ExportedScale): boolean => !name.startsWith('model.language_model.')
  return [...Map.groupBy(modules, ({ name }) => shortName(name))].flatMap(([kind, ofKind]) => {
    const everywhere = ofKind.length === blocks || !ofKind.some(({ name }) => name.includes('.layers.'))
    return everywhere && ofKind.every(isPlain) ? [kind] : ofKind.map(({ name }) => name)
  })
}

/** The whole alpha of an rsLoRA adapter (scale alpha / sqrt(rank)) whose import gave exactly this alpha; plain ones have a whole alpha. */
function rsLoraAlpha(modules: readonly ExportedScale[]): number | undefined {
  const { rank, alpha } = modules[0]!
  if (Number.isInteger(alpha) || modules.some((module) => module.rank !== rank || module.alpha !== alpha))
    return undefined
  const whole = Math.round(alpha / Math.sqrt(rank))
  return whole > 0 && Math.fround((whole / Math.sqrt(rank)) * rank) === alpha ? whole : undefined
}
