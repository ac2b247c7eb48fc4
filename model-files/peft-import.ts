// PEFT folder -> LoRA GGUF for a base of the GGUF architecture `llama` (Llama, Mistral). Either the file it writes adds exactly the update
// that PEFT would, or nothing is written and a named error says why. Called with folders from strangers: see safetensors.ts for the bounds.
//
// One alpha per file: llama.cpp scales a pair by alpha / rank. Where every module's scale has that form with one common alpha, the matrices
// are copied bit by bit; otherwise each scale is multiplied into B (in float64, rounded once) and alpha is 0, "scaled already".
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { limits, MeshError } from '../protocol/index.ts'
import { alphaMax } from './adapter-metadata.ts'
import { openFileSource, type ByteSource } from './byte-source.ts'
import { peftConfigMaxBytes, readPeftConfig, type PeftConfig } from './peft-config.ts'
import { llamaTarget, parsePeftTensorName, type GgufTarget } from './peft-names.ts'
import { reorderRows, rotaryRowOrder } from './rotary-rows.ts'
import { readSafetensor, readSafetensors, type SafetensorsFile, type SafetensorsTensor } from './safetensors.ts'
import { decodeTensor, encodeTensor, indexOfNonFinite } from './tensor-dtypes.ts'
import { targetKind, writeLora, type LoraMatrix, type LoraPair, type WriteOptions } from './write-lora.ts'

/** What converting needs to know of a base; `inspectBase` gives more. */
export interface ConversionBase {
  readonly architecture: string
  /** Shapes in GGUF order: [in, out]. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>
  /** Per block: of how many heads the rows of attn_q, and those of attn_k and attn_v, consist. */
  readonly heads: readonly { readonly query: number; readonly keyValue: number }[]
  /** Whether the token embedding serves as output too. */
  readonly tied: boolean
}

export interface ConvertPeftRequest extends WriteOptions {
  /** Folder with `adapter_config.json` and `adapter_model.safetensors`. */
  readonly dir: string
  readonly base: ConversionBase
  /** Path of the GGUF to write. */
  readonly out: string
}

export interface ConvertedAdapter {
  readonly out: string
  /** SHA-256 of the file, 32 bytes. */
  readonly sha256: Uint8Array
  readonly bytes: number
  /** The largest rank of any pair. */
  readonly rank: number
  /** `adapter.lora.alpha` of the file; 0 when the scales are folded into B. */
  readonly alpha: number
  /** Kinds of the changed tensors (`attn_q`), sorted. */
  readonly targets: readonly string[]
}

/**
 * Throws `architecture-not-supported`, `peft-unsupported`, `safetensors-malformed`, `shape-mismatch`, `not-finite`, `rank-limit`,
 * `not-found`, or what `writeLora` throws.
 */
export async function convertPeft(request: ConvertPeftRequest): Promise<ConvertedAdapter> {
  const { dir, base, out } = request
  requireLlama(base.architecture, base.architecture)
  requirePart(dir, 'adapter_config.json')
  using configFile = openFileSource(join(dir, 'adapter_config.json'))
  const config = readPeftConfig(configFile.read(0, Math.min(configFile.size, peftConfigMaxBytes + 1)))
  if (config.baseModelClass !== undefined && !/^(Llama|Mistral)/.test(config.baseModelClass)) {
    requireLlama('other', config.baseModelClass)
  }
  using weights = openWeights(dir)
  const file = readSafetensors(weights)
  const modules = pairModules(file, config, base)
  const alpha = commonAlpha(modules)
  const pairs = modules.map((module) => ggufPair(file, module, alpha === 0))
  const written = await writeLora(out, { architecture: base.architecture, alpha, pairs }, request)
  return {
    out,
    ...written,
    rank: Math.max(...modules.map(({ rank }) => rank)),
    alpha,
    targets: [...new Set(modules.map(({ target }) => targetKind(target.tensor)))].toSorted(),
  }
}

interface PeftModule {
  readonly name: string
  readonly target: GgufTarget
  readonly a: SafetensorsTensor
  readonly b: SafetensorsTensor
  readonly embedding: boolean
  readonly rank: number
  readonly scale: number
  readonly rowOrder: Uint32Array | undefined
}

function requireLlama(architecture: string, name: string): void {
  if (architecture === 'llama') return
  throw new MeshError(
    'architecture-not-supported',
    `Adapters for ${name} can't be converted yet: only Llama and Mistral models (GGUF architecture "llama") can.`,
    { architecture: name },
  )
}

/** A folder without it is no PEFT folder; where there is no folder at all, opening it says so. */
function requirePart(dir: string, name: string): void {
  if (!existsSync(dir) || existsSync(join(dir, name))) return
  throw new MeshError(
    'peft-unsupported',
    `${dir} holds no ${name}: give the folder that save_pretrained wrote, with adapter_config.json and adapter_model.safetensors.`,
    { file: name },
  )
}

function openWeights(dir: string): ByteSource & Disposable {
  const has = (name: string): boolean => existsSync(join(dir, name))
  const name = 'adapter_model.safetensors'
  if (!has(name)) {
    if (has('adapter_model.bin')) {
      throw new MeshError(
        'peft-unsupported',
        'adapter_model.bin is a Python pickle, which could run code and is not read. Load the adapter in PEFT and save it with save_pretrained(folder, safe_serialization=True).',
        { file: 'adapter_model.bin' },
      )
    }
    if (has(`${name}.index.json`)) {
      throw new MeshError(
        'peft-unsupported',
        'This adapter is split into several files. Save it as one adapter_model.safetensors.',
        { file: name },
      )
    }
    requirePart(dir, name)
  }
  const weights = openFileSource(join(dir, name))
  if (weights.size <= limits.adapterMaxBytes) return weights
  weights[Symbol.dispose]()
  throw new MeshError(
    'too-large',
    `The adapter has ${weights.size} bytes, at most ${limits.adapterMaxBytes} are allowed.`,
    { bytes: weights.size },
  )
}

function pairModules(file: SafetensorsFile, config: PeftConfig, base: ConversionBase): PeftModule[] {
  if (file.tensors.length === 0)
    throw new MeshError('peft-unsupported', 'The adapter holds no tensors. Nothing was trained, or nothing was saved.')
  const found = new Map<string, { embedding: boolean; a?: SafetensorsTensor; b?: SafetensorsTensor }>()
  for (const tensor of file.tensors) {
    const { module, part, embedding } = parsePeftTensorName(tensor.name)
    const pair = found.get(module) ?? { embedding }
    if (pair.embedding !== embedding || pair[part] !== undefined)
      throw incomplete(module, 'has more than one pair of matrices')
    pair[part] = tensor
    found.set(module, pair)
  }
  return [...found].map(([name, { a, b, embedding }]) => {
    if (a === undefined || b === undefined) throw incomplete(name, `lacks its ${a === undefined ? 'A' : 'B'} matrix`)
    return aModule(name, a, b, embedding, config, base)
  })
}

function incomplete(module: string, problem: string): MeshError {
  return new MeshError(
    'peft-unsupported',
    `The module ${module} ${problem}. Save the adapter again with save_pretrained.`,
    { module },
  )
}

function aModule(
  name: string,
  a: SafetensorsTensor,
  b: SafetensorsTensor,
  embedding: boolean,
  config: PeftConfig,
  base: ConversionBase,
): PeftModule {
  const target = llamaTarget(name)
  if (embedding !== (target.tensor === 'token_embd.weight'))
    throw incomplete(name, 'is an embedding on one side and a linear module on the other')
  if (!config.mayTarget(name)) {
    throw new MeshError(
      'peft-unsupported',
      `The adapter holds ${name}, but target_modules of adapter_config.json does not list it: PEFT would leave it out. Make the two agree.`,
      {
        module: name,
      },
    )
  }
  const { rank, scale } = config.scalingOf(name)
  checkShapes(name, target.tensor, a, b, rank, embedding, base)
  const rowOrder = rowOrderOf(name, target, b.shape[0]!, base)
  return { name, target, a, b, embedding, rank, scale, rowOrder }
}

function rowOrderOf(name: string, { rotary }: GgufTarget, rows: number, base: ConversionBase): Uint32Array | undefined {
  if (rotary === undefined) return undefined
  const heads = base.heads[rotary.block]?.[rotary.heads] ?? 0
  const order = rotaryRowOrder(rows, heads)
  if (order === undefined) throw mismatch(name, `its ${rows} rows don't make ${heads} heads of an even size`)
  return order
}

function mismatch(module: string, problem: string): MeshError {
  return new MeshError('shape-mismatch', `The module ${module} does not fit: ${problem}.`, { module })
}

function checkShapes(
  name: string,
  tensor: string,
  a: SafetensorsTensor,
  b: SafetensorsTensor,
  rank: number,
  embedding: boolean,
  base: ConversionBase,
): void {
  const weight = base.tensors.get(tensor)
  if (weight === undefined || weight.shape.length !== 2) {
    const hint =
      /attn_[qkv]/.test(tensor) && base.tensors.has(tensor.replace(/attn_[qkv]/, 'attn_qkv'))
        ? ' (its q, k and v are fused: use a GGUF without fused tensors)'
        : ''
    throw mismatch(name, `the base has no matrix ${tensor}${hint}`)
  }
  if (base.tied && (tensor === 'token_embd.weight' || tensor === 'output.weight')) {
    throw new MeshError(
      'peft-unsupported',
      "The base uses its token embedding as output too, and an adapter of that shared matrix can't be run. Train without embed_tokens and lm_head.",
      { module: name },
    )
  }
  const [inputs, outputs] = embedding ? [weight.shape[1], weight.shape[0]] : weight.shape
  const describe = (shape: readonly (number | undefined)[]): string => `[${shape.join(', ')}]`
  for (const [part, { shape }, expected] of [
    ['A', a, [rank, inputs]],
    ['B', b, [outputs, rank]],
  ] as const) {
    if (shape.length !== 2 || shape[0] !== expected[0] || shape[1] !== expected[1]) {
      throw mismatch(
        name,
        `${part} has the shape ${describe(shape)} where ${describe(expected)} is expected (rank ${rank}, by adapter_config.json, on ${tensor})`,
      )
    }
  }
}

/** The alpha for the file: the one for which alpha / rank is every module's scale, or 0 if there is none and scales must be folded. */
function commonAlpha(modules: readonly PeftModule[]): number {
  const alphas = new Set(modules.map(({ scale, rank }) => Math.fround(scale * rank)))
  const [alpha] = alphas
  return alphas.size === 1 && alpha !== undefined && alpha <= alphaMax ? alpha : 0
}

function ggufPair(file: SafetensorsFile, module: PeftModule, fold: boolean): LoraPair {
  const { a, b, target, rank } = module
  return {
    target: target.tensor,
    // An embedding is read by rows, one per token: llama.cpp wants its A as (tokens, rank).
    a: module.embedding
      ? { dtype: a.dtype, shape: [rank, a.shape[1]!], chunks: () => transposed(finiteBytes(file, a), a) }
      : { dtype: a.dtype, shape: [a.shape[1]!, rank], chunks: () => finiteBytes(file, a) },
    b: fold
      ? foldedMatrix(file, module)
      : { dtype: b.dtype, shape: [rank, b.shape[0]!], chunks: () => permuted(finiteBytes(file, b), module) },
  }
}

/** B with its scale multiplied in; stays in its half-precision type where every product can be written in it exactly. */
function foldedMatrix(file: SafetensorsFile, module: PeftModule): LoraMatrix {
  const { b, scale, rank } = module
  const products = (): Float64Array =>
    Float64Array.from(decodeTensor(b.dtype, finiteBytes(file, b)), (value) => value * scale)
  const keepsType = b.dtype !== 'F32' && isExact(b.dtype, products())
  const dtype = keepsType ? b.dtype : 'F32'
  return {
    dtype,
    shape: [rank, b.shape[0]!],
    chunks: () => permuted(finite(b.name, dtype, encodeTensor(dtype, products())), module),
  }
}

function isExact(dtype: SafetensorsTensor['dtype'], values: Float64Array): boolean {
  const stored = decodeTensor(dtype, encodeTensor(dtype, values))
  return values.every((value, index) => value === stored[index])
}

function permuted(bytes: Uint8Array, { rowOrder }: PeftModule): Uint8Array {
  return rowOrder === undefined ? bytes : reorderRows(bytes, bytes.length / rowOrder.length, rowOrder)
}

/** Row-major (rows, columns) -> (columns, rows), any element size. */
function transposed(bytes: Uint8Array, { shape }: SafetensorsTensor): Uint8Array {
  const [rows, columns] = [shape[0]!, shape[1]!]
  const size = bytes.length / (rows * columns)
  const out = new Uint8Array(bytes.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * size
      out.set(bytes.subarray(from, from + size), (column * rows + row) * size)
    }
  }
  return out
}

function finiteBytes(file: SafetensorsFile, tensor: SafetensorsTensor): Uint8Array {
  return finite(tensor.name, tensor.dtype, readSafetensor(file, tensor))
}

function finite(name: string, dtype: SafetensorsTensor['dtype'], bytes: Uint8Array): Uint8Array {
  const index = indexOfNonFinite(decodeTensor(dtype, bytes))
  if (index < 0) return bytes
  throw new MeshError(
    'not-finite',
    `Value ${index} of ${name} is not a finite number once scaled. The training diverged, or the file is damaged.`,
    {
      tensor: name,
      index,
    },
  )
}
