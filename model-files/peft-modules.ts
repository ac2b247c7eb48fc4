// The modules that a PEFT file changes: pairs of matrices with names, shapes and scales that fit the config and the base.
import { MeshError } from '../protocol/index.ts'
import { baseMatrices, type BaseMatrix, type ConversionBase, type PartRows } from './base-matrices.ts'
import { traitsOf, type Part } from './peft-architectures.ts'
import type { PeftConfig } from './peft-config.ts'
import { parsePeftTensorName, placeOfModule } from './peft-names.ts'
import { readSafetensor, type SafetensorsFile, type SafetensorsTensor } from './safetensors.ts'
import { totalRows, type SourceMatrix, type SourcePair } from './stacked-pairs.ts'
import { decodeTensor, indexOfNonFinite } from './tensor-dtypes.ts'

export interface PeftModule {
  readonly name: string
  /** Undefined outside the blocks. */
  readonly block: number | undefined
  /** The rows of its update, from the first to the last. */
  readonly parts: readonly PartRows[]
  readonly pair: SourcePair
  /** The update is scale * B * A. */
  readonly scale: number
}

/** Throws `peft-unsupported`, `architecture-mismatch`, `shape-mismatch` or `rank-limit`; reading a pair later throws `not-finite`. */
export function pairModules(file: SafetensorsFile, config: PeftConfig, base: ConversionBase): PeftModule[] {
  if (file.tensors.length === 0)
    throw new MeshError('peft-unsupported', 'The adapter holds no tensors. Nothing was trained, or nothing was saved.')
  const modules = foundPairs(file).map((found) => aModule(file, found, config, base))
  refuseRepeated(modules)
  return modules
}

interface FoundPair {
  readonly name: string
  readonly embedding: boolean
  readonly a: SafetensorsTensor
  readonly b: SafetensorsTensor
}

function foundPairs(file: SafetensorsFile): FoundPair[] {
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
    return { name, embedding, a, b }
  })
}

function aModule(file: SafetensorsFile, found: FoundPair, config: PeftConfig, base: ConversionBase): PeftModule {
  const { name, embedding, a, b } = found
  const { block, parts } = placeOfModule(base.architecture, name)
  if (embedding !== parts.includes('token_embd'))
    throw incomplete(name, 'is an embedding on one side and a linear module on the other')
  if (!config.mayTarget(name)) {
    const message = `The adapter holds ${name}, but target_modules of adapter_config.json does not list it: PEFT would leave it out. Make the two agree.`
    throw new MeshError('peft-unsupported', message, { module: name })
  }
  refuseEmbeddings(name, parts, base)
  const { rank, scale } = config.scalingOf(name)
  const place = placeInBase(name, block, parts, base)
  const rows = totalRows(place.parts)
  checkShape(found, 'a', [rank, place.inputs], rank)
  checkShape(found, 'b', [rows, rank], rank)
  return { name, block, parts: place.parts, scale, pair: { rank, a: matrixOf(file, a), b: matrixOf(file, b) } }
}

function refuseEmbeddings(module: string, parts: readonly Part[], base: ConversionBase): void {
  const embedding = parts.includes('token_embd')
  if (!embedding && !parts.includes('output')) return
  if (base.tied) {
    const message =
      "The base uses its token embedding as output too, and an adapter of that shared matrix can't be run. Train without embed_tokens and lm_head."
    throw new MeshError('peft-unsupported', message, { module })
  }
  if (!embedding || traitsOf(base.architecture).scalesEmbeddings === undefined) return
  const message = `The module ${module} can't be converted: ${traitsOf(base.architecture).families} scale embeddings once they are looked up, and versions of PEFT differ in whether they scale the update too. Train without embed_tokens.`
  throw new MeshError('peft-unsupported', message, { module })
}

interface PlaceInBase {
  readonly inputs: number
  readonly parts: readonly PartRows[]
}

function placeInBase(
  module: string,
  block: number | undefined,
  parts: readonly Part[],
  base: ConversionBase,
): PlaceInBase {
  const matrices = baseMatrices(base, block)
  const homes = parts.map((part) => {
    const matrix = matrices.find((candidate) => candidate.parts.some((rows) => rows.part === part))
    if (matrix !== undefined) return { matrix, rows: rowsOf(matrix, part) }
    throw mismatch(module, `the base has no matrix ${block === undefined ? '' : `blk.${block}.`}${part}.weight`)
  })
  const [inputs, other] = new Set(homes.map(({ matrix }) => matrix.inputs))
  if (inputs === undefined || other !== undefined)
    throw mismatch(module, `the base's matrices for it take ${inputs} and ${other} inputs`)
  return { inputs, parts: homes.map(({ rows }) => rows) }
}

function rowsOf(matrix: BaseMatrix, part: Part): PartRows {
  return matrix.parts.find((rows) => rows.part === part)!
}

function checkShape(
  { name, ...pair }: FoundPair,
  side: 'a' | 'b',
  expected: readonly [number, number],
  rank: number,
): void {
  const { shape } = pair[side]
  if (shape.length === 2 && shape[0] === expected[0] && shape[1] === expected[1]) return
  const describe = (lengths: readonly number[]): string => `[${lengths.join(', ')}]`
  throw mismatch(
    name,
    `${side.toUpperCase()} has the shape ${describe(shape)} where ${describe(expected)} is expected (rank ${rank}, by adapter_config.json, on this base)`,
  )
}

/** The text part of a multimodal model has two names; an adapter that uses both would change the same matrix twice. */
function refuseRepeated(modules: readonly PeftModule[]): void {
  const owners = new Map<string, string>()
  for (const { name, block, parts } of modules) {
    for (const { part } of parts) {
      const key = `${block}.${part}`
      const owner = owners.get(key)
      if (owner !== undefined) throw incomplete(name, `is another name of ${owner}, which the adapter holds too`)
      owners.set(key, name)
    }
  }
}

function matrixOf(file: SafetensorsFile, tensor: SafetensorsTensor): SourceMatrix {
  const read = (): Float32Array => {
    const values = decodeTensor(tensor.dtype, readSafetensor(file, tensor))
    const index = indexOfNonFinite(values)
    if (index < 0) return values
    throw new MeshError(
      'not-finite',
      `Value ${index} of ${tensor.name} is not a finite number. The training diverged, or the file is damaged.`,
      { tensor: tensor.name, index },
    )
  }
  return { dtype: tensor.dtype, read }
}

function incomplete(module: string, problem: string): MeshError {
  return new MeshError(
    'peft-unsupported',
    `The module ${module} ${problem}. Save the adapter again with save_pretrained.`,
    { module },
  )
}

function mismatch(module: string, problem: string): MeshError {
  return new MeshError('shape-mismatch', `The module ${module} does not fit: ${problem}.`, { module })
}
