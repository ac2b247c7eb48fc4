// What a base model file is: its base id, its tokenizer id and the tensors that an adapter may change.
// The ids are defined in protocol/ (base-id, base-hyperparameters) and PROTOCOL.md; this file gathers their inputs from a GGUF.
import {
  baseIdOf,
  bytesEqual,
  entersBaseId,
  hyperparameterBits,
  isSupportedArchitecture,
  limits,
  MeshError,
  resolveHyperparameters,
  sha256,
  supportedArchitectures,
  toHex,
} from '../protocol/index.ts'
import type { HyperparameterValue, ResolvedHyperparameters, SupportedArchitecture } from '../protocol/index.ts'
import { tokenizerIdOfFile } from './base-tokenizer.ts'
import { openFileSource } from './byte-source.ts'
import type { ByteSource } from './byte-source.ts'
import { letOthersRun } from './event-loop.ts'
import type { Cancellable } from './event-loop.ts'
import { elementCount } from './gguf-format.ts'
import type { GgmlType, GgufFile, GgufTensorInfo, GgufValue } from './gguf-format.ts'
import { readGguf, readTensor, tensorChunks } from './gguf-reader.ts'

export interface BaseTensor {
  readonly type: GgmlType
  /** ne order: [in, out] for a matrix. */
  readonly shape: readonly number[]
}

/** What can be said of any model file, whether or not the mesh has a base id for its architecture. */
export interface BaseSummary {
  readonly architecture: string
  /** For people: the file's own name for the model, without invisible characters; never an identity. */
  readonly label: string
  readonly contextLength: number | undefined
  /** Number of weights in all tensors; the embeddings of a tied base count once. */
  readonly parameters: number
  /** Size of the file. */
  readonly bytes: number
  readonly tensors: ReadonlyMap<string, BaseTensor>
}

export interface BaseInfo extends BaseSummary {
  readonly architecture: SupportedArchitecture
  /** 64 hex digits. */
  readonly baseId: string
  /** 64 hex digits. */
  readonly tokenizerId: string
  readonly hyperparameters: ResolvedHyperparameters
  /** One entry per block. The rows of attn_q are `query` heads of equal size, those of attn_k and attn_v `keyValue` heads. */
  readonly heads: readonly { readonly query: number; readonly keyValue: number }[]
  /** No `output.weight`, or one with the bytes of `token_embd.weight`. */
  readonly tied: boolean
}

/**
 * Reads a base model file. Throws `not-found`, `bad-input`, `gguf-malformed`, `gguf-refused` (an adapter, a part of a split model, no
 * tokenizer ...) or `architecture-not-supported`.
 */
export async function inspectBase(path: string, options: Cancellable = {}): Promise<BaseInfo> {
  using source = openFileSource(path)
  return await inspectBaseSource(source, options)
}

export async function inspectBaseSource(source: ByteSource, options: Cancellable = {}): Promise<BaseInfo> {
  return await baseInfoOf(readGguf(source, 'base'), options)
}

export function summariseBase(file: GgufFile): BaseSummary {
  refuseOtherKinds(file)
  const architecture = stringAt(file, 'general.architecture')
  if (!architecture) throw refused('general.architecture is missing')
  const parameters = file.tensors.reduce((total, { shape }) => total + elementCount(shape), 0)
  return {
    architecture,
    label: labelOf(file) || `${architecture}, ${parameters} parameters`,
    contextLength: integerOf(file.metadata.get(`${architecture}.context_length`)),
    parameters,
    bytes: file.source.size,
    tensors: new Map(file.tensors.map(({ name, type, shape }) => [name, { type, shape }])),
  }
}

export async function baseInfoOf(file: GgufFile, options: Cancellable = {}): Promise<BaseInfo> {
  const summary = summariseBase(file)
  const { architecture } = summary
  if (!isSupportedArchitecture(architecture)) {
    throw new MeshError(
      'architecture-not-supported',
      `The mesh has no base id for the architecture "${architecture}". Supported are ${supportedArchitectures.join(', ')}.`,
      { architecture },
    )
  }
  if (!summary.tensors.has('token_embd.weight')) throw refused('it has no token_embd.weight')
  const hyperparameters = resolveHyperparameters(architecture, statedHyperparameters(file, architecture))
  const tied = await isTied(file, options)
  const norms = file.tensors.filter(({ name, type }) => name.endsWith('_norm.weight') && type.name === 'F32')
  if (norms.length === 0) throw refused('it has no F32 norm tensors, by which a base is told from its fine-tunes')
  const baseId = baseIdOf({
    architecture,
    hyperparameters: hyperparameterBits(architecture, hyperparameters),
    tensors: file.tensors.filter(({ name }) => entersBaseId(name) && !(tied && name === 'output.weight')),
    norms: norms.map((tensor) => ({ name: tensor.name, sha256: sha256(readTensor(file, tensor)) })),
  })
  await letOthersRun(options)
  const repeated = tied ? elementCount(summary.tensors.get('output.weight')?.shape ?? [0]) : 0
  return {
    ...summary,
    parameters: summary.parameters - repeated,
    architecture,
    baseId: toHex(baseId),
    tokenizerId: toHex(tokenizerIdOfFile(file)),
    hyperparameters,
    heads: headsOf(hyperparameters),
    tied,
  }
}

function refuseOtherKinds(file: GgufFile): void {
  const kind = stringAt(file, 'general.type') ?? 'model'
  if (kind === 'adapter') throw refused('it is an adapter. Give the model file that it was made for')
  if (kind !== 'model') throw refused(`its general.type is ${JSON.stringify(kind)}, not "model"`)
  const parts = integerOf(file.metadata.get('split.count')) ?? 1
  if (parts > 1) throw refused(`it is one of ${parts} parts of a split model. Merge them into one file first`)
}

/** Every number under the architecture's prefix, by its key without the prefix. */
function statedHyperparameters(file: GgufFile, architecture: string): Map<string, HyperparameterValue> {
  const prefix = `${architecture}.`
  const stated = new Map<string, HyperparameterValue>()
  for (const [key, entry] of file.metadata) {
    if (!key.startsWith(prefix)) continue
    const value = numericValue(entry)
    if (value !== undefined) stated.set(key.slice(prefix.length), value)
  }
  return stated
}

function numericValue(entry: GgufValue): HyperparameterValue | undefined {
  if (entry.type === 'string') return undefined
  if (entry.type !== 'array') return Number(entry.value)
  return entry.itemType === 'string' ? undefined : entry.value.map(Number)
}

/** Tied also counts a copy of the embeddings stored as output.weight: the two files compute the same. */
async function isTied(file: GgufFile, options: Cancellable): Promise<boolean> {
  const output = file.tensors.find(({ name }) => name === 'output.weight')
  const embeddings = file.tensors.find(({ name }) => name === 'token_embd.weight')
  if (output === undefined || embeddings === undefined) return output === undefined
  return await haveEqualBytes(file, output, embeddings, options)
}

async function haveEqualBytes(
  file: GgufFile,
  one: GgufTensorInfo,
  other: GgufTensorInfo,
  options: Cancellable,
): Promise<boolean> {
  if (one.type !== other.type || one.shape.join() !== other.shape.join()) return false
  const others = tensorChunks(file, other)
  for (const chunk of tensorChunks(file, one)) {
    if (!bytesEqual(chunk, others.next().value!)) return false
    await letOthersRun(options)
  }
  return true
}

function headsOf(hyperparameters: ResolvedHyperparameters): BaseInfo['heads'] {
  const at = (key: string, block: number): number => {
    const value = hyperparameters.get(key) ?? 0
    return typeof value === 'number' ? value : (value[block] ?? 0)
  }
  return Array.from({ length: at('block_count', 0) }, (_, block) => ({
    query: at('attention.head_count', block),
    keyValue: at('attention.head_count_kv', block),
  }))
}

const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu

function labelOf(file: GgufFile): string {
  const name = stringAt(file, 'general.name') ?? stringAt(file, 'general.basename') ?? ''
  const plain = name.replace(invisible, '').trim()
  return plain.slice(0, limits.labelMaxChars).replace(/[\uD800-\uDBFF]$/, '')
}

function stringAt(file: GgufFile, key: string): string | undefined {
  const entry = file.metadata.get(key)
  return entry?.type === 'string' ? entry.value : undefined
}

function integerOf(entry: GgufValue | undefined): number | undefined {
  if (entry === undefined || entry.type === 'array') return undefined
  const value = Number(entry.value)
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function refused(problem: string): MeshError {
  return new MeshError('gguf-refused', `This model file can't be a base: ${problem}.`)
}
