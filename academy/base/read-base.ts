// A base model file as the trainer needs it: the network's shape, its numbers, and the ids of the tokens that begin and end a text.
// What the trainer can't compute exactly as llama.cpp does is refused by name.
import { MeshError, toHex } from '../../protocol/index.ts'
import {
  baseInfoOf,
  decodeTensor,
  dtypeOf,
  indexOfNonFinite,
  openFileSource,
  readGguf,
  readTensor,
  sha256File,
} from '../../model-files/index.ts'
import type { BaseInfo, ByteSource, GgufFile, GgufValue } from '../../model-files/index.ts'
import { tensorsOf } from '../network/shape.ts'
import type { ModelShape } from '../network/shape.ts'

export interface TrainableBase extends Disposable {
  readonly path: string
  /** Lower-case hex. */
  readonly sha256: string
  readonly info: BaseInfo
  readonly shape: ModelShape
  /** Absent where the base begins texts without one. */
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** The file's metadata, the tokenizer's tables among it. */
  readonly metadata: ReadonlyMap<string, GgufValue>
  /** The numbers of a tensor of `shape`, row-major (outputs, inputs). Throws `gguf-refused` if some are none. */
  read(tensor: string): Float32Array
}

/** Throws what reading a base throws, `architecture-not-supported`, or `gguf-refused` with what can't be trained. */
export async function readBase(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<TrainableBase> {
  const source = openFileSource(path)
  try {
    return await baseOf(path, source, options)
  } catch (error) {
    source[Symbol.dispose]()
    throw error
  }
}

async function baseOf(
  path: string,
  source: ByteSource & Disposable,
  options: { readonly signal?: AbortSignal },
): Promise<TrainableBase> {
  const file = readGguf(source, 'base')
  const info = await baseInfoOf(file, options)
  const shape = shapeOf(file, info)
  const byName = new Map(file.tensors.map((tensor) => [tensor.name, tensor]))
  return {
    path,
    sha256: toHex(await sha256File(path, options)),
    info,
    shape,
    ...endsOf(file, shape.vocabulary),
    metadata: file.metadata,
    read(name) {
      const tensor = byName.get(name)!
      const numbers = decodeTensor(dtypeOf(tensor.type)!, readTensor(file, tensor))
      if (indexOfNonFinite(numbers) >= 0) throw refused(`${name} holds NaN or infinity`)
      return numbers
    },
    [Symbol.dispose]: () => source[Symbol.dispose](),
  }
}

function shapeOf(file: GgufFile, info: BaseInfo): ModelShape {
  if (info.architecture !== 'llama') {
    throw new MeshError(
      'architecture-not-supported',
      `Training works on bases of the llama architecture; this one is "${info.architecture}". Train with PEFT and import the result.`,
      { architecture: info.architecture },
    )
  }
  const shape = statedShape(file, info)
  checkParts(file, info, shape)
  return shape
}

function statedShape(file: GgufFile, info: BaseInfo): ModelShape {
  const number = (key: string): number => {
    const value = info.hyperparameters.get(key)
    if (typeof value !== 'number') throw refused(`${key} differs from block to block`)
    return value
  }
  const [, vocabulary] = info.tensors.get('token_embd.weight')!.shape
  return {
    layers: number('block_count'),
    width: number('embedding_length'),
    heads: number('attention.head_count'),
    kvHeads: number('attention.head_count_kv'),
    headSize: number('attention.key_length'),
    feedForward: number('feed_forward_length'),
    vocabulary: vocabulary ?? 0,
    contextLength: info.contextLength ?? 512,
    turned: number('rope.dimension_count'),
    ropeBase: number('rope.freq_base'),
    epsilon: number('attention.layer_norm_rms_epsilon'),
    tied: info.tied || !file.tensors.some(({ name }) => name === 'output.weight'),
  }
}

/** Exactly the tensors of the plain architecture, in their sizes, stored as numbers that can be read. */
function checkParts(file: GgufFile, info: BaseInfo, shape: ModelShape): void {
  const { heads, kvHeads, headSize, turned } = shape
  if (info.hyperparameters.get('expert_count') !== 0) throw refused('it is a mixture of experts')
  if (info.hyperparameters.get('attention.causal') === 0) throw refused('its attention looks ahead')
  if (info.hyperparameters.get('attention.value_length') !== headSize) throw refused('keys and values differ in size')
  if (kvHeads === 0 || heads % kvHeads !== 0) throw refused(`${heads} heads can't share ${kvHeads} keys and values`)
  // llama.cpp refuses to turn only a part of a head in this architecture.
  if (turned !== headSize || turned % 2 !== 0) throw refused(`it turns ${turned} of ${headSize} numbers of a head`)
  const stretched = [...file.metadata].find(([key, value]) => key.startsWith('llama.rope.scal') && !isNeutral(value))
  if (stretched !== undefined) throw refused(`its rotary embedding is scaled (${stretched[0]})`)
  if (shape.ropeBase < 1) throw refused(`its rope.freq_base is ${shape.ropeBase}`)
  if (shape.epsilon < 0) throw refused(`its layer_norm_rms_epsilon is ${shape.epsilon}`)
  if (shape.contextLength < 2) throw refused(`its context length is ${shape.contextLength}`)
  const tokens = file.metadata.get('tokenizer.ggml.tokens')
  if (tokens?.type === 'array' && tokens.value.length > shape.vocabulary) {
    throw refused(`its tokenizer has ${tokens.value.length} tokens, its table of embeddings ${shape.vocabulary}`)
  }
  const expected = new Map(tensorsOf(shape).map((tensor) => [tensor.name, tensor]))
  for (const { name, type, shape: stored } of file.tensors) {
    if (name === 'output.weight' && shape.tied) continue
    const tensor = expected.get(name)
    if (tensor === undefined) throw refused(`it has the tensor ${name}, which the plain architecture has not`)
    const [columns, rows = 1] = stored
    if (columns !== tensor.columns || rows !== tensor.rows) {
      throw refused(`${name} is ${stored.join(' x ')}, not ${tensor.columns} x ${tensor.rows}`)
    }
    if (dtypeOf(type) === undefined) {
      throw refused(`${name} is stored as ${type.name}. Take an F32, F16, BF16 or Q8_0 file of this base`)
    }
    expected.delete(name)
  }
  const [missing] = expected.keys()
  if (missing !== undefined) throw refused(`it has no ${missing}`)
}

/** What scales nothing, however it is said. */
function isNeutral(value: GgufValue): boolean {
  if (value.type === 'string') return value.value === 'none'
  return value.type !== 'array' && (Number(value.value) === 1 || value.type === 'bool')
}

/**
 * As llama.cpp does for its two usual kinds: SPM puts BOS in front unless told otherwise, with the ids 1 and 2 where none are named; GPT-2's
 * BPE only when told so. Other kinds of BPE decide by their pre-tokenizer: whoever tokenizes for them knows.
 */
function endsOf(file: GgufFile, vocabulary: number): Pick<TrainableBase, 'bos' | 'eos'> {
  const model = file.metadata.get('tokenizer.ggml.model')
  const isSpm = model?.type === 'string' && model.value === 'llama'
  const idAt = (key: string, otherwise: number): number | undefined => {
    const stated = file.metadata.get(key)
    const id = stated?.type === 'uint32' || stated?.type === 'int32' ? stated.value : isSpm ? otherwise : undefined
    return id !== undefined && id >= 0 && id < vocabulary ? id : undefined
  }
  const stated = file.metadata.get('tokenizer.ggml.add_bos_token')
  const addBos = stated?.type === 'bool' ? stated.value : isSpm
  return {
    bos: addBos ? idAt('tokenizer.ggml.bos_token_id', 1) : undefined,
    eos: idAt('tokenizer.ggml.eos_token_id', 2),
  }
}

function refused(problem: string): MeshError {
  return new MeshError('gguf-refused', `This base can't be trained here: ${problem}.`)
}
