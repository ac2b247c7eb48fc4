// Names: from a tensor of a PEFT file to the module it belongs to, and from a module to the tensor of a GGUF base of architecture `llama`.
import { MeshError } from '../protocol/index.ts'

export interface PeftTensorName {
  /** Inside the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly module: string
  readonly part: 'a' | 'b'
  /** PEFT stores the pair of an embedding under names of its own, and A the other way round. */
  readonly embedding: boolean
}

export interface GgufTarget {
  readonly tensor: string
  /** The heads that its rows are permuted by, if any: those of which block, queries or keys and values. */
  readonly rotary: { readonly block: number; readonly heads: 'query' | 'keyValue' } | undefined
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

function reasonAgainst(name: string): string {
  if (name.includes('lora_magnitude_vector'))
    return 'a DoRA magnitude: train with use_dora=False, or merge it into the base'
  if (name.endsWith('.bias')) return 'a trained bias, which has no place in a LoRA file: train with bias="none"'
  if (!name.startsWith(prefix)) return `which does not begin with ${prefix} as PEFT names its tensors`
  return 'which is not the A or B matrix of a LoRA pair: train without modules_to_save'
}

const blockModule = /^model\.layers\.(0|[1-9]\d{0,3})\.(.+)$/
const blockTargets = new Map<string, readonly [name: string, heads?: 'query' | 'keyValue']>([
  ['self_attn.q_proj', ['attn_q', 'query']],
  ['self_attn.k_proj', ['attn_k', 'keyValue']],
  ['self_attn.v_proj', ['attn_v']],
  ['self_attn.o_proj', ['attn_output']],
  ['mlp.gate_proj', ['ffn_gate']],
  ['mlp.up_proj', ['ffn_up']],
  ['mlp.down_proj', ['ffn_down']],
])
const otherTargets = new Map([
  ['lm_head', 'output.weight'],
  ['model.embed_tokens', 'token_embd.weight'],
])
/** Fused projections: Phi-3 and its relatives. */
const foreignModules = /(^|\.)(qkv_proj|gate_up_proj|query_key_value|c_attn|Wqkv)$/

/**
 * The tensor of a `llama` base behind a module of Llama or Mistral. Throws `architecture-not-supported` for modules of other
 * architectures and `peft-unsupported` for unknown ones.
 */
export function llamaTarget(module: string): GgufTarget {
  const block = blockModule.exec(module)
  const target = block && blockTargets.get(block[2]!)
  if (block && target) {
    const [name, heads] = target
    const rotary = heads && { block: Number(block[1]), heads }
    return { tensor: `blk.${block[1]}.${name}.weight`, rotary }
  }
  const other = otherTargets.get(module)
  if (other !== undefined) return { tensor: other, rotary: undefined }
  if (foreignModules.test(module)) {
    throw new MeshError(
      'architecture-not-supported',
      `The module ${module} belongs to an architecture other than Llama and Mistral, which can't be converted yet.`,
      {
        module,
      },
    )
  }
  throw new MeshError(
    'peft-unsupported',
    `The module ${module} has no tensor in a GGUF model. Train on the linear modules of Llama or Mistral only.`,
    { module },
  )
}
