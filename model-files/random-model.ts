// Model files made of random numbers: valid in every respect, good for nothing but tests and measurements, and of any size.
// The same options give the same bytes. llama.cpp loads them; what they say is noise.
import { MeshError, type SupportedArchitecture } from '../protocol/index.ts'
import type { AdapterBase } from './adapter-validator.ts'
import { elementCount, ggmlTypes } from './gguf-format.ts'
import type { GgufValue } from './gguf-format.ts'
import { writeGguf, writeGgufFile } from './gguf-writer.ts'
import type { GgufContent, WrittenFile } from './gguf-writer.ts'
import { randomNumbers } from './random-numbers.ts'
import { encodeTensor } from './tensor-dtypes.ts'
import { blockTensors, hyperparametersOf, randomMatrix, randomNorm, type RandomTensor } from './random-blocks.ts'
import type { TensorDtype } from './tensor-dtypes.ts'

export interface RandomBaseOptions {
  /** Default llama. */
  readonly architecture?: SupportedArchitecture
  readonly layers?: number
  /** A multiple of `heads` unless `headSize` is given, and with dtype Q8_0 of 32. */
  readonly width?: number
  readonly heads?: number
  /** Divides `heads`. */
  readonly kvHeads?: number
  /** Default width / heads. Even. */
  readonly headSize?: number
  readonly feedForward?: number
  /** At least 260: three control tokens, 256 bytes, and one piece. */
  readonly vocabulary?: number
  readonly contextLength?: number
  readonly rngSeed?: number
  /** Of the matrices; norms are always F32. */
  readonly dtype?: TensorDtype
  /** Leave output.weight out; Gemma 2 and 3 always do. */
  readonly tied?: boolean
  readonly name?: string
}

export interface RandomAdapterOptions {
  readonly rank?: number
  readonly rngSeed?: number
  /** Module names; all that the base's blocks have if absent. */
  readonly targets?: readonly string[]
  readonly dtype?: TensorDtype
  readonly alpha?: number
}

/** A base with an SPM tokenizer of byte tokens and letters; llama.cpp aborts on vocabularies without byte tokens. */
export async function randomBase(options: RandomBaseOptions, path: string): Promise<WrittenFile> {
  return await writeGgufFile(path, randomBaseContent(options))
}

/** Like `randomBase`, in memory: for small ones. */
export function randomBaseBytes(options: RandomBaseOptions = {}): Uint8Array<ArrayBuffer> {
  return inMemory(randomBaseContent(options))
}

/**
 * A LoRA adapter that fits the base. Its size is the sum over blocks and targets of rank * (in + out) numbers: rank 400 on two blocks of
 * width 1024 and feed-forward 2816 makes 64 MB of F32.
 */
export async function randomAdapter(
  base: AdapterBase,
  options: RandomAdapterOptions,
  path: string,
): Promise<WrittenFile> {
  return await writeGgufFile(path, randomAdapterContent(base, options))
}

/** Like `randomAdapter`, in memory: for small ones. */
export function randomAdapterBytes(base: AdapterBase, options: RandomAdapterOptions = {}): Uint8Array<ArrayBuffer> {
  return inMemory(randomAdapterContent(base, options))
}

type Content = GgufContent<Iterable<Uint8Array>>

function randomBaseContent(options: RandomBaseOptions): Content {
  const { architecture = 'llama', layers = 2, width = 64, heads = 4, kvHeads = heads } = options
  const { feedForward = width * 2, headSize = width / heads, vocabulary = 320, contextLength = 512 } = options
  const { rngSeed = 1, dtype = 'F32', tied = architecture.startsWith('gemma') } = options
  if (!Number.isInteger(headSize) || headSize % 2 !== 0 || heads % kvHeads !== 0 || vocabulary < 260) {
    throw new Error(`impossible base: width ${width}, heads ${heads}, kvHeads ${kvHeads}, vocabulary ${vocabulary}`)
  }
  const sizes = { architecture, layers, width, heads, kvHeads, feedForward, headSize, contextLength, dtype }
  const metadata: [string, GgufValue][] = [
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: options.name ?? `random ${rngSeed}` }],
    ...hyperparametersOf(sizes).map(([key, value]): [string, GgufValue] => [`${architecture}.${key}`, value]),
    [`${architecture}.vocab_size`, { type: 'uint32', value: vocabulary }],
    ...tokenizerMetadata(vocabulary),
  ]
  const output = tied ? [] : [randomMatrix('output', dtype, width, vocabulary)]
  const blocks = Array.from({ length: layers }, (_, block) => blockTensors(sizes, block)).flat()
  const embeddings = randomMatrix('token_embd', dtype, width, vocabulary)
  return contentOf(metadata, [embeddings, ...blocks, randomNorm('output_norm', width), ...output], rngSeed)
}

function randomAdapterContent(base: AdapterBase, options: RandomAdapterOptions): Content {
  const { rank = 8, rngSeed = 1, dtype = 'F32', alpha = 2 * rank, targets } = options
  const tensors: RandomTensor[] = []
  for (const [name, { shape }] of base.tensors) {
    const module = /^blk\.\d+\.([a-z0-9_]+)\.weight$/.exec(name)?.[1]
    const [input, output] = shape
    if (module === undefined || input === undefined || output === undefined || shape.length !== 2) continue
    if (targets !== undefined && !targets.includes(module)) continue
    tensors.push({ name: `${name}.lora_a`, dtype, shape: [input, rank], centre: 0, spread: Math.sqrt(3 / input) })
    tensors.push({ name: `${name}.lora_b`, dtype, shape: [rank, output], centre: 0, spread: 0.2 / Math.sqrt(rank) })
  }
  if (tensors.length === 0) throw new MeshError('bad-input', 'The base has none of the modules asked for.', { targets })
  tensors.sort((one, other) => (one.name < other.name ? -1 : 1))
  const metadata: [string, GgufValue][] = [
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.architecture', { type: 'string', value: base.architecture }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: Math.fround(alpha) }],
  ]
  return contentOf(metadata, tensors, rngSeed)
}

/** Token types: 1 normal, 2 unknown, 3 control, 6 byte. */
function tokenizerMetadata(vocabulary: number): [string, GgufValue][] {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const pieces = Array.from({ length: vocabulary - 259 }, (_, index) => (index === 0 ? '\u2581' : letters(index - 1)))
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...pieces]
  const types = [2, 3, 3, ...bytes.map(() => 6), ...pieces.map(() => 1)]
  // SentencePiece merges the pair with the highest score first.
  const scores = tokens.map((_, id) => (id < 259 ? 0 : 259 - id))
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'array', itemType: 'string', value: tokens }],
    ['tokenizer.ggml.scores', { type: 'array', itemType: 'float32', value: scores }],
    ['tokenizer.ggml.token_type', { type: 'array', itemType: 'int32', value: types }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: 1 }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: 2 }],
    ['tokenizer.ggml.unknown_token_id', { type: 'uint32', value: 0 }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: true }],
  ]
}

/** 0 -> a, 25 -> z, 26 -> aa, 27 -> ab ... */
function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26))
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last
}

function contentOf(metadata: [string, GgufValue][], tensors: readonly RandomTensor[], rngSeed: number): Content {
  return {
    metadata,
    tensors: tensors.map((tensor, index) => ({
      name: tensor.name,
      type: ggmlTypes[tensor.dtype],
      shape: tensor.shape,
      data: { [Symbol.iterator]: () => randomChunks(tensor, rngSeed, index) },
    })),
  }
}

/** A multiple of every block size. */
const chunkElements = 2 ** 18

function* randomChunks(tensor: RandomTensor, rngSeed: number, index: number): Generator<Uint8Array> {
  const next = randomNumbers(rngSeed, index)
  const total = elementCount(tensor.shape)
  for (let done = 0; done < total; done += chunkElements) {
    const values = new Float32Array(Math.min(chunkElements, total - done))
    for (let i = 0; i < values.length; i++) values[i] = tensor.centre + tensor.spread * next()
    yield tensor.dtype === 'F32' ? new Uint8Array(values.buffer) : encodeTensor(tensor.dtype, values)
  }
}

function inMemory(content: Content): Uint8Array<ArrayBuffer> {
  const tensors = content.tensors.map((tensor) => ({ ...tensor, data: Buffer.concat([...tensor.data]) }))
  return writeGguf({ metadata: content.metadata, tensors })
}
