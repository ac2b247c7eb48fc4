// LoRA GGUF -> PEFT folder: the way back of peft-import.ts, for people who go on training or serve the adapter with another engine. Updates
// stay what they are; rows return to the order of transformers, and what the base fuses is taken apart into the modules of the model.
import { MeshError } from '../protocol/index.ts'
import { validateAdapter, type AdapterBase } from './adapter-validator.ts'
import { isFlipped } from './bake-matrices.ts'
import { baseMatrices, rowOrderOf, type BaseMatrix, type ConversionBase, type PartRows } from './base-matrices.ts'
import { openFileSource } from './byte-source.ts'
import type { GgufFile, GgufTensorInfo } from './gguf-format.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { shortName, traitsOf, type Part } from './peft-architectures.ts'
import { exportedConfig } from './peft-export-config.ts'
import { modulesAt, type TextModelName } from './peft-names.ts'
import { inverseOrder } from './rotary-rows.ts'
import {
  allComponents,
  commonRows,
  effectiveComponents,
  stackedA,
  stackedB,
  totalRows,
  transposedValues,
  type RowRun,
  type Share,
  type SourceMatrix,
  type SourcePair,
} from './stacked-pairs.ts'
import { decodeTensor, dtypeOf } from './tensor-dtypes.ts'
import type { WriteOptions } from './write-lora.ts'
import { refuseOverwriting, writePeftFolder, type PeftFolderModule } from './write-peft-folder.ts'

export interface ExportPeftRequest extends WriteOptions {
  /** Path of the LoRA GGUF. */
  readonly file: string
  /** The base it is for. */
  readonly base: ConversionBase & AdapterBase
  /** Folder to write; made if absent, and must hold no adapter yet. */
  readonly dir: string
  /** How PEFT finds the base: a folder, or a name on a hub. */
  readonly baseName: string
  /** Default `model`. With `model.language_model` the folder is for a multimodal model that the base is the text part of. */
  readonly textModel?: TextModelName
}

export interface ExportedAdapter {
  readonly dir: string
  /** The rank that most modules have. */
  readonly rank: number
  /** Kinds of the changed modules (`q_proj`), sorted. */
  readonly targets: readonly string[]
  readonly modules: number
  /** Of both files. */
  readonly bytes: number
}

/**
 * Throws `already-exists`, `peft-unsupported` for what no module holds, `bad-input` for an adapter that changes nothing, or what
 * `validateAdapter` throws. Writing fails with `aborted`, `disk-full` or `storage-failed`.
 */
export async function exportPeft(request: ExportPeftRequest): Promise<ExportedAdapter> {
  const { file, base, dir, baseName, textModel = 'model', signal } = request
  refuseOverwriting(dir)
  using source = openFileSource(file)
  const info = await validateAdapter(source, base, signal === undefined ? {} : { signal })
  const gguf = readGguf(source, 'adapter')
  const changes = info.pairs.map(({ target, rank, a, b }): BaseChange => {
    const { block, matrix } = homeOf(target, base)
    return { block, matrix, alpha: info.alpha === 0 ? rank : info.alpha, pair: pairOf(gguf, target, rank, a, b) }
  })
  const modules = changedModules(changes, base, textModel)
  if (modules.length === 0) throw new MeshError('bad-input', `${file} changes nothing: every B matrix in it is zero.`)
  const config = exportedConfig(modules, baseName, base.heads.length)
  const bytes = await writePeftFolder(dir, modules, config.text, request)
  const targets = [...new Set(modules.map(({ name }) => shortName(name)))].toSorted()
  return { dir, rank: config.rank, targets, modules: modules.length, bytes }
}

/** The pair of one tensor of the base. */
interface BaseChange {
  readonly block: number | undefined
  readonly matrix: BaseMatrix
  readonly pair: SourcePair
  /** The update is alpha / rank * B * A. */
  readonly alpha: number
}

function homeOf(target: string, base: ConversionBase): { block: number | undefined; matrix: BaseMatrix } {
  const digits = /^blk\.(\d+)\./.exec(target)?.[1]
  const block = digits === undefined ? undefined : Number(digits)
  const matrix = baseMatrices(base, block).find(({ tensor }) => tensor === target)
  const { families, scalesEmbeddings } = traitsOf(base.architecture)
  if (matrix !== undefined && !(scalesEmbeddings && isFlipped(target))) return { block, matrix }
  const reason = matrix
    ? 'embeddings are scaled once they are looked up, and versions of PEFT differ in whether they scale the update too'
    : 'no module that PEFT could train stands for it'
  const message = `The adapter changes ${target}, which can't be exported: in ${families} ${reason}.`
  throw new MeshError('peft-unsupported', message, { tensor: target })
}

function pairOf(file: GgufFile, target: string, rank: number, a: GgufTensorInfo, b: GgufTensorInfo): SourcePair {
  const stored = matrixOf(file, a)
  const flipped = { ...stored, read: () => transposedValues(stored.read(), rank) }
  return { rank, a: isFlipped(target) ? flipped : stored, b: matrixOf(file, b) }
}

function matrixOf(file: GgufFile, tensor: GgufTensorInfo): SourceMatrix {
  const dtype = dtypeOf(tensor.type)
  if (dtype === undefined) throw new Error(`the validator lets no ${tensor.type.name} tensor pass`)
  return { dtype, read: () => decodeTensor(dtype, readTensor(file, tensor)) }
}

interface ChangedModule extends PeftFolderModule {
  readonly rank: number
  /** The update is alpha / rank * B * A. */
  readonly alpha: number
}

function changedModules(
  changes: readonly BaseChange[],
  base: ConversionBase,
  textModel: TextModelName,
): ChangedModule[] {
  const blocks = [...Map.groupBy(changes, ({ block }) => block)]
  return blocks
    .toSorted(([one = Infinity], [other = Infinity]) => one - other)
    .flatMap(([block, ofBlock]) => {
      const matrices = baseMatrices(base, block)
      return modulesAt(base.architecture, block, textModel).map(({ name, parts }) => {
        const rows = parts.flatMap((part) => partRows(matrices, part))
        const orderOf = (part: PartRows): Uint32Array | undefined => orderBack(base, block, part)
        return changedModule(name, rows, ofBlock, orderOf)
      })
    })
    .filter((module) => module !== undefined)
}

function partRows(matrices: readonly BaseMatrix[], part: Part): PartRows[] {
  return matrices.flatMap(({ parts }) => parts.filter((rows) => rows.part === part))
}

function orderBack(base: ConversionBase, block: number | undefined, part: PartRows): Uint32Array | undefined {
  const order = rowOrderOf(base, block, part)
  return order && inverseOrder(order)
}

function changedModule(
  name: string,
  parts: readonly PartRows[],
  changes: readonly BaseChange[],
  orderOf: (part: PartRows) => Uint32Array | undefined,
): ChangedModule | undefined {
  const sources = changes.flatMap((change) => sharesOf(change, commonRows(change.matrix.parts, parts, orderOf)))
  const [first] = sources
  if (first === undefined) return undefined
  const { alpha, pair, matrix } = first.change
  const shares = sources.map(({ change, share }) => ({ ...share, factor: scaleOf(change) / scaleOf(first.change) }))
  const rank = shares.reduce((sum, { components }) => sum + components.length, 0)
  return {
    name,
    embedding: parts.some(({ part }) => part === 'token_embd'),
    rank,
    alpha: (alpha * rank) / pair.rank,
    a: stackedA(shares, matrix.inputs),
    b: stackedB(shares, totalRows(parts)),
  }
}

function scaleOf({ alpha, pair }: BaseChange): number {
  return alpha / pair.rank
}

/** None or one. Of a pair that holds more than the module, only the components that change the module: the others are other modules'. */
function sharesOf(change: BaseChange, runs: readonly RowRun[]): { change: BaseChange; share: Share }[] {
  if (runs.length === 0) return []
  const { matrix, pair } = change
  const components = matrix.parts.length > runs.length ? effectiveComponents(pair, runs) : allComponents(pair)
  return components.length === 0 ? [] : [{ change, share: { pair, runs, factor: 1, components } }]
}
