// PEFT folder -> LoRA GGUF. Either the file it writes adds exactly the update that PEFT would, or nothing is written and a named error says
// why. Called with folders from strangers: see safetensors.ts for the bounds.
//
// One alpha per file: llama.cpp scales a pair by alpha / rank. Where every module's scale has that form with one common alpha, the matrices
// are copied bit by bit; otherwise each scale is multiplied into B (in float64, rounded once) and alpha is 0, "scaled already". Where the base
// fuses what the model has apart, or the other way round, the pairs are regrouped: see stacked-pairs.ts.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { limits, MeshError } from '../protocol/index.ts'
import { alphaMax } from './adapter-metadata.ts'
import { baseMatrices, rowOrderOf, type BaseMatrix, type ConversionBase } from './base-matrices.ts'
import { openFileSource, type ByteSource } from './byte-source.ts'
import { peftConfigMaxBytes, readPeftConfig, type PeftConfig } from './peft-config.ts'
import { requireClass, traitsOf } from './peft-architectures.ts'
import { pairModules, type PeftModule } from './peft-modules.ts'
import { readSafetensors } from './safetensors.ts'
import {
  allComponents,
  commonRows,
  encodeFinite,
  stackedA,
  stackedB,
  totalRows,
  transposed,
  type Share,
  type StackedMatrix,
} from './stacked-pairs.ts'
import { targetKind, writeLora, type LoraMatrix, type LoraPair, type WriteOptions } from './write-lora.ts'

export type { ConversionBase } from './base-matrices.ts'

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
 * Throws `architecture-not-supported`, `architecture-mismatch`, `peft-unsupported`, `safetensors-malformed`, `shape-mismatch`, `not-finite`,
 * `rank-limit`, `not-found`, or what `writeLora` throws.
 */
export async function convertPeft(request: ConvertPeftRequest): Promise<ConvertedAdapter> {
  const { dir, base, out } = request
  traitsOf(base.architecture)
  const config = readConfig(dir)
  if (config.baseModelClass !== undefined) requireClass(config.baseModelClass, base.architecture)
  using weights = openWeights(dir)
  const modules = pairModules(readSafetensors(weights), config, base)
  const changed = changedMatrices(modules, base)
  const alpha = commonAlpha(changed)
  const pairs = changed.map((matrix) => ggufPair(matrix, alpha === 0))
  const written = await writeLora(out, { architecture: base.architecture, alpha, pairs }, request)
  return {
    out,
    ...written,
    rank: Math.max(...changed.map(({ rank }) => rank)),
    alpha,
    targets: [...new Set(changed.map(({ matrix }) => targetKind(matrix.tensor)))].toSorted(),
  }
}

function readConfig(dir: string): PeftConfig {
  requirePart(dir, 'adapter_config.json')
  using file = openFileSource(join(dir, 'adapter_config.json'))
  return readPeftConfig(file.read(0, Math.min(file.size, peftConfigMaxBytes + 1)))
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

/** A matrix of the base that the adapter changes, and the modules that hold its parts. */
interface ChangedMatrix {
  readonly matrix: BaseMatrix
  /** Of the pair to write: the ranks of its modules add up. */
  readonly rank: number
  readonly shares: readonly { readonly module: PeftModule; readonly runs: Share['runs'] }[]
}

function changedMatrices(modules: readonly PeftModule[], base: ConversionBase): ChangedMatrix[] {
  const byBlock = Map.groupBy(modules, ({ block }) => block)
  return [...byBlock].flatMap(([block, ofBlock]) =>
    baseMatrices(base, block)
      .map((matrix) => changedMatrix(matrix, ofBlock, base))
      .filter(({ shares }) => shares.length > 0),
  )
}

function changedMatrix(matrix: BaseMatrix, modules: readonly PeftModule[], base: ConversionBase): ChangedMatrix {
  const shares = modules
    .map((module) => {
      const runs = commonRows(module.parts, matrix.parts, (rows) => rowOrderOf(base, module.block, rows))
      return { module, runs }
    })
    .filter(({ runs }) => runs.length > 0)
  const rank = shares.reduce((sum, { module }) => sum + module.pair.rank, 0)
  if (rank <= limits.rankMax) return { matrix, rank, shares }
  const names = shares.map(({ module }) => module.name).join(', ')
  throw new MeshError(
    'rank-limit',
    `The base keeps ${names} in one matrix, ${matrix.tensor}, whose update would have rank ${rank}; at most ${limits.rankMax} is allowed. Use a base file without fused tensors.`,
    { tensor: matrix.tensor, rank },
  )
}

/** The alpha for the file: the one for which alpha / rank is every module's scale, or 0 if there is none and scales must be folded. */
function commonAlpha(changed: readonly ChangedMatrix[]): number {
  const alphas = new Set(
    changed.flatMap(({ rank, shares }) => shares.map(({ module }) => Math.fround(module.scale * rank))),
  )
  const [alpha] = alphas
  return alphas.size === 1 && alpha !== undefined && alpha <= alphaMax ? alpha : 0
}

function ggufPair({ matrix, shares }: ChangedMatrix, fold: boolean): LoraPair {
  const stacked = shares.map(({ module: { pair, scale }, runs }): Share => ({
    pair,
    runs,
    factor: fold ? scale : 1,
    components: allComponents(pair),
  }))
  const a = stackedA(stacked, matrix.inputs)
  const names = shares.map(({ module }) => module.name).join(', ')
  return {
    target: matrix.tensor,
    // An embedding is read by rows, one per token: llama.cpp wants its A as (tokens, rank).
    a: loraMatrix(matrix.tensor === 'token_embd.weight' ? transposed(a) : a, names),
    b: loraMatrix(stackedB(stacked, totalRows(matrix.parts)), names),
  }
}

function loraMatrix(matrix: StackedMatrix, modules: string): LoraMatrix {
  return {
    dtype: matrix.dtype,
    shape: [matrix.columns, matrix.rows],
    chunks: () => encodeFinite(matrix, modules),
  }
}
