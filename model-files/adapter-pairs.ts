// The tensors of a LoRA GGUF: complete pairs of matrices named after tensors of the base, with shapes that fit each other and the base.
// llama.cpp checks some of this, skips some silently, and aborts the process on the rest.
import { limits, MeshError } from '../protocol/index.ts'
import { refused } from './adapter-metadata.ts'
import type { Report } from './adapter-metadata.ts'
import type { BaseInfo } from './base-info.ts'
import type { GgufTensorInfo } from './gguf-format.ts'
import { dtypeOf } from './tensor-dtypes.ts'

export interface AdapterPair {
  /** The base's tensor, such as `blk.0.attn_q.weight`. */
  readonly target: string
  /** The target without block and suffix, such as `attn_q`. */
  readonly module: string
  readonly rank: number
  /** Shape [in, rank]; for token_embd [rank, vocabulary]. */
  readonly a: GgufTensorInfo
  /** Shape [rank, out]; for token_embd [rank, width]. */
  readonly b: GgufTensorInfo
}

/** What of a base decides whether an adapter fits. */
export type TargetBase = Pick<BaseInfo, 'tensors' | 'tied'>

const pairName =
  /^(?<target>(?:blk\.(?:0|[1-9]\d{0,2})\.(?<inBlock>[a-z][a-z0-9_]*)|(?<outside>token_embd|output))\.weight)\.lora_(?<side>[ab])$/
interface Half {
  readonly target: string
  readonly module: string
  readonly side: 'a' | 'b'
  readonly tensor: GgufTensorInfo
}

/** Reports every problem of names, pairing and shapes; returns the pairs that have none. Without a base, names and shapes of its tensors stay unchecked. */
export function checkAdapterPairs(
  tensors: readonly GgufTensorInfo[],
  base: TargetBase | undefined,
  report: Report,
): AdapterPair[] {
  if (tensors.length === 0) report(refused('it has no tensors'))
  const halves = tensors.map((tensor) => checkTensor(tensor, report)).filter((half) => half !== undefined)
  const byTarget = Map.groupBy(halves, ({ target }) => target)
  return [...byTarget.values()].map((group) => checkPair(group, base, report)).filter((pair) => pair !== undefined)
}

function checkTensor(tensor: GgufTensorInfo, report: Report): Half | undefined {
  const details = { tensor: tensor.name }
  const groups = pairName.exec(tensor.name)?.groups
  const target = groups?.['target']
  const module = groups?.['inBlock'] ?? groups?.['outside']
  if (groups === undefined || target === undefined || module === undefined) {
    report(refused(`it has a tensor ${JSON.stringify(tensor.name)}: ${reasonAgainstName(tensor.name)}`, details))
    return undefined
  }
  if (module.endsWith('_norm')) {
    report(refused(`"${tensor.name}" changes a norm vector, which llama.cpp ignores without a word`, details))
    return undefined
  }
  if (dtypeOf(tensor.type) === undefined) {
    report(refused(`"${tensor.name}" is stored as ${tensor.type.name}; allowed are F32, F16, BF16 and Q8_0`, details))
    return undefined
  }
  if (tensor.shape.length !== 2) {
    report(refused(`"${tensor.name}" has ${tensor.shape.length} dimensions instead of 2`, details))
    return undefined
  }
  return { target, module, side: groups['side'] === 'a' ? 'a' : 'b', tensor }
}

function reasonAgainstName(name: string): string {
  if (name.endsWith('_norm.weight')) return 'trained norm vectors are ignored by llama.cpp without a word'
  if (name.includes('magnitude')) return 'weight-decomposed adapters (DoRA) are no low-rank updates'
  if (/^(?:base_model\.|model\.)/.test(name)) return 'such names belong into a PEFT folder. Import the folder instead'
  return 'only pairs named after a matrix of the base, with .lora_a and .lora_b, are allowed'
}

function checkPair(group: readonly Half[], base: TargetBase | undefined, report: Report): AdapterPair | undefined {
  const { target, module } = group[0]!
  const a = group.find(({ side }) => side === 'a')?.tensor
  const b = group.find(({ side }) => side === 'b')?.tensor
  if (a === undefined || b === undefined) {
    report(refused(`the pair for ${target} has no lora_${a === undefined ? 'a' : 'b'}`, { tensor: target }))
    return undefined
  }
  const rank = rankOf(target, module, a, b, report)
  if (rank === undefined) return undefined
  if (base !== undefined && !fitsBase(target, module, a, b, base, report)) return undefined
  return { target, module, rank, a, b }
}

function rankOf(
  target: string,
  module: string,
  a: GgufTensorInfo,
  b: GgufTensorInfo,
  report: Report,
): number | undefined {
  const rank = b.shape[0]!
  const rankOfA = module === 'token_embd' ? a.shape[0]! : a.shape[1]!
  if (rankOfA !== rank) {
    const message = `This adapter can't be used: the ranks of the pair for ${target} differ: ${rankOfA} in lora_a, ${rank} in lora_b.`
    report(new MeshError('shape-mismatch', message, { tensor: target, a: a.shape, b: b.shape }))
    return undefined
  }
  if (rank > limits.rankMax) {
    report(
      refused(`the pair for ${target} has rank ${rank}, at most ${limits.rankMax} is allowed`, {
        tensor: target,
        rank,
      }),
    )
    return undefined
  }
  return rank
}

function fitsBase(
  target: string,
  module: string,
  a: GgufTensorInfo,
  b: GgufTensorInfo,
  base: TargetBase,
  report: Report,
): boolean {
  const details = { tensor: target }
  if (base.tied && (module === 'token_embd' || module === 'output')) {
    const message = `it changes ${target}, but the base uses one matrix for input and output embeddings. llama.cpp would end the process`
    report(refused(message, details))
    return false
  }
  const shape = base.tensors.get(target)?.shape
  if (shape === undefined) {
    const message = `This adapter can't be used: the base has no tensor ${target}. It was made for another base.`
    report(new MeshError('shape-mismatch', message, details))
    return false
  }
  if (shape.length !== 2) {
    report(refused(`${target} is no matrix in the base (shape ${shape.join(' x ')})`, details))
    return false
  }
  const [input, output] = shape as [number, number]
  const fits =
    module === 'token_embd'
      ? a.shape[1] === output && b.shape[1] === input
      : a.shape[0] === input && b.shape[1] === output
  if (!fits) {
    const message =
      `This adapter can't be used: the pair for ${target} has the shapes ${a.shape.join(' x ')} and ${b.shape.join(' x ')}, ` +
      `the base's matrix is ${input} x ${output}. It was made for another base.`
    report(new MeshError('shape-mismatch', message, { ...details, a: a.shape, b: b.shape, base: shape }))
  }
  return fits
}
