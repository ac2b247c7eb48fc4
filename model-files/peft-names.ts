// The names in a PEFT file: from a tensor to the module it belongs to, from a module to its place in the model, and back.
import { MeshError } from '../protocol/index.ts'
import { partsOfModule, traitsOf, type Part } from './peft-architectures.ts'

export interface PeftTensorName {
  /** Inside the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly module: string
  readonly part: 'a' | 'b'
  /** PEFT stores the pair of an embedding under names of its own, and A the other way round. */
  readonly embedding: boolean
}

export interface ModulePlace {
  /** Undefined outside the blocks. */
  readonly block: number | undefined
  /** From the first row of the module to the last. */
  readonly parts: readonly Part[]
}

const prefix = 'base_model.model.'
const linearPart = /^(.+)\.lora_(A|B)\.weight$/
const embeddingPart = /^(.+)\.lora_embedding_(A|B)$/

/** Throws `peft-unsupported` for whatever is not the A or B matrix of a pair. */
export function parsePeftTensorName(name: string): PeftTensorName {
  const inner = name.startsWith(prefix) ? name.slice(prefix.length) : ''
  const linear = linearPart.exec(inner)
  if (linear) return { module: linear[1]!, part: linear[2] === 'A' ? 'a' : 'b', embedding: false }
  const embedding = embeddingPart.exec(inner)
  if (embedding) return { module: embedding[1]!, part: embedding[2] === 'A' ? 'a' : 'b', embedding: true }
  throw new MeshError('peft-unsupported', `The adapter holds the tensor ${name}, ${reasonAgainst(name)}.`, {
    tensor: name,
  })
}

/** The opposite of `parsePeftTensorName`. */
export function peftTensorName({ module, part, embedding }: PeftTensorName): string {
  const letter = part.toUpperCase()
  return embedding ? `${prefix}${module}.lora_embedding_${letter}` : `${prefix}${module}.lora_${letter}.weight`
}

const reasonsAgainst: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/lora_magnitude_vector/, 'a DoRA magnitude: train with use_dora=False, or merge it into the base'],
  [/\.bias$/, 'a trained bias, which has no place in a LoRA file: train with bias="none" and lora_bias=False'],
  [/trainable_tokens/, 'retrained token embeddings, which have no place in a LoRA file: train without them'],
  [/norm\.weight$/, 'a trained norm vector, which llama.cpp ignores in a LoRA file: train without modules_to_save'],
  [
    /(?:embed_tokens|lm_head)\.(?:base_layer\.)?weight$/,
    'a whole matrix. If it is only a copy of the base (PEFT adds one beside a LoRA on embeddings), save with save_pretrained(folder, save_embedding_layers=False); if it was trained, train without modules_to_save and without new tokens',
  ],
]

function reasonAgainst(name: string): string {
  const reason = reasonsAgainst.find(([pattern]) => pattern.test(name))?.[1]
  if (reason !== undefined) return reason
  if (!name.startsWith(prefix)) return `which does not begin with ${prefix} as PEFT names its tensors`
  return 'which is not the A or B matrix of a LoRA pair: train without modules_to_save'
}

/** Plain text models; the text part of multimodal ones, as transformers names it now and as it did before version 4.52. */
const textModel = '(?:model|model\\.language_model|language_model\\.model)'
const blockModule = new RegExp(`^${textModel}\\.layers\\.(0|[1-9]\\d{0,3})\\.(.+)$`)
const embeddingModule = new RegExp(`^${textModel}\\.embed_tokens$`)
const outputModule = /^(?:language_model\.)?lm_head$/
const otherSenses =
  /(?:^|\.)(?:vision\w*|visual|image\w*|audio\w*|multi_?modal\w*|mm_projector|embed_vision|embed_audio)(?:\.|$)/

/** Throws `architecture-mismatch` for modules that only other architectures have, and `peft-unsupported` for all else that has no place. */
export function placeOfModule(architecture: string, module: string): ModulePlace {
  if (otherSenses.test(module)) {
    throw new MeshError(
      'peft-unsupported',
      `The module ${module} belongs to the part of a multimodal model that sees or hears, and a GGUF base is the part that reads and writes. Train on the language model only: begin a pattern for target_modules with ".*language_model.*".`,
      { module },
    )
  }
  const block = blockModule.exec(module)
  if (block) return { block: Number(block[1]), parts: partsOfModule(architecture, block[2]!, module) }
  if (outputModule.test(module)) return { block: undefined, parts: ['output'] }
  if (embeddingModule.test(module)) return { block: undefined, parts: ['token_embd'] }
  return { block: undefined, parts: partsOfModule(architecture, module, module) }
}

/** Where transformers keeps the model that reads and writes: plain text models, and multimodal ones from version 4.52 on. */
export type TextModelName = 'model' | 'model.language_model'

/** The modules of a block, or with undefined those outside the blocks, under their names in a model of the architecture. */
export function modulesAt(
  architecture: string,
  block: number | undefined,
  textModel: TextModelName,
): { readonly name: string; readonly parts: readonly Part[] }[] {
  if (block === undefined) {
    return [
      { name: 'lm_head', parts: ['output'] },
      { name: `${textModel}.embed_tokens`, parts: ['token_embd'] },
    ]
  }
  const { modules } = traitsOf(architecture)
  return [...modules].map(([path, parts]) => ({ name: `${textModel}.layers.${block}.${path}`, parts }))
}
