// What models of each architecture consist of, as PEFT names it. A part is one matrix of a block (queries, keys ...); a module holds one, or
// several below each other where the model fuses them. Tensors of the base are described in the same parts: see base-matrices.ts.
import {
  isSupportedArchitecture,
  MeshError,
  supportedArchitectures,
  type SupportedArchitecture,
} from '../protocol/index.ts'

/** Named after the tensor of a GGUF in which nothing is fused. */
export type Part =
  | 'attn_q'
  | 'attn_k'
  | 'attn_v'
  | 'attn_output'
  | 'ffn_gate'
  | 'ffn_up'
  | 'ffn_down'
  | 'output'
  | 'token_embd'

/** Module inside a block, such as `self_attn.q_proj` -> its parts from the first row to the last. */
type BlockModules = ReadonlyMap<string, readonly Part[]>

const shared = [
  ['self_attn.o_proj', ['attn_output']],
  ['mlp.down_proj', ['ffn_down']],
] as const satisfies readonly (readonly [string, readonly Part[]])[]

const separateModules: BlockModules = new Map<string, readonly Part[]>([
  ['self_attn.q_proj', ['attn_q']],
  ['self_attn.k_proj', ['attn_k']],
  ['self_attn.v_proj', ['attn_v']],
  ['mlp.gate_proj', ['ffn_gate']],
  ['mlp.up_proj', ['ffn_up']],
  ...shared,
])

const fusedModules: BlockModules = new Map<string, readonly Part[]>([
  ['self_attn.qkv_proj', ['attn_q', 'attn_k', 'attn_v']],
  ['mlp.gate_up_proj', ['ffn_gate', 'ffn_up']],
  ...shared,
])

interface ArchitectureTraits {
  /** The families of models behind it, for people. */
  readonly families: string
  /** Class names of transformers begin so. */
  readonly classes: RegExp
  readonly modules: BlockModules
  /** The base keeps the two numbers of a rotary pair side by side, transformers half a head apart: rows of q and k change their order. */
  readonly pairsSideBySide?: true
  /** The model multiplies embeddings once they are looked up, and versions of PEFT differ in whether that goes for the update too. */
  readonly scalesEmbeddings?: true
}

const traits: Readonly<Record<SupportedArchitecture, ArchitectureTraits>> = {
  llama: {
    families: 'Llama and Mistral',
    classes: /^(?:Llama|Mistral3?)(?:For|Model)/,
    modules: separateModules,
    pairsSideBySide: true,
  },
  qwen2: { families: 'Qwen2 and Qwen2.5', classes: /^Qwen2(?:For|Model)/, modules: separateModules },
  qwen3: { families: 'Qwen3', classes: /^Qwen3(?:For|Model)/, modules: separateModules },
  gemma2: {
    families: 'Gemma 2',
    classes: /^Gemma2(?:For|Model)/,
    modules: separateModules,
    scalesEmbeddings: true,
  },
  gemma3: {
    families: 'Gemma 3',
    classes: /^Gemma3(?:Text)?(?:For|Model)/,
    modules: separateModules,
    scalesEmbeddings: true,
  },
  phi3: { families: 'Phi-3', classes: /^Phi3(?:For|Model)/, modules: fusedModules },
}

/** Throws `architecture-not-supported`. */
export function traitsOf(architecture: string): ArchitectureTraits {
  if (isSupportedArchitecture(architecture)) return traits[architecture]
  throw new MeshError(
    'architecture-not-supported',
    `Adapters for ${architecture} can't be converted. Supported are ${supportedArchitectures.join(', ')}.`,
    { architecture },
  )
}

/** Throws unless models of this transformers class become bases of the architecture. */
export function requireClass(name: string, architecture: string): void {
  const owner = supportedArchitectures.find((candidate) => traits[candidate].classes.test(name))
  if (owner === architecture) return
  if (owner === undefined) {
    const message = `adapter_config.json says that the adapter was trained on ${name}, whose adapters can't be converted.`
    throw new MeshError('architecture-not-supported', message, { class: name })
  }
  throw new MeshError(
    'architecture-mismatch',
    `adapter_config.json says that the adapter was trained on ${name}, but the base is "${architecture}". Give the base it was trained on.`,
    { class: name, base: architecture },
  )
}

/** The last word of a module's name, such as `q_proj`: what people and configs call it. */
export function shortName(module: string): string {
  return module.slice(module.lastIndexOf('.') + 1)
}

/** The parts of a module inside a block. Throws `architecture-mismatch` for modules of other architectures, `peft-unsupported` for the rest. */
export function partsOfModule(architecture: string, path: string, module: string): readonly Part[] {
  const { modules, families } = traitsOf(architecture)
  const parts = modules.get(path)
  if (parts !== undefined) return parts
  const names = [...modules.keys()].map(shortName).join(', ')
  const other = supportedArchitectures.find((candidate) => traits[candidate].modules.has(path))
  if (other !== undefined) {
    throw new MeshError(
      'architecture-mismatch',
      `The module ${module} is one of ${traits[other].families} and its like. The base is "${architecture}", and ${families} have ${names}. Give the base that the adapter was trained on.`,
      { module, base: architecture },
    )
  }
  throw new MeshError(
    'peft-unsupported',
    `The module ${module} has no matrix of its own in a GGUF of ${families}. Train on ${names} only.`,
    { module },
  )
}
