// How far apart two adapters are, as updates of the base and not as files: the same update can be written in many ways.
import { decodeTensor, dtypeOf, openFileSource, readGguf, readTensor, validateAdapter } from '../model-files/index.ts'
import type { AdapterPair, GgufFile, GgufTensorInfo } from '../model-files/index.ts'
import { MeshError } from '../protocol/index.ts'
import { productNorm } from './product-norm.ts'
import type { Columns } from './product-norm.ts'

export interface KindChange {
  /** The changed matrices' name in every block, such as `attn_q`; `all` for the sum over all. */
  readonly kind: string
  /** Matrices of this kind that either adapter changes. */
  readonly matrices: number
  /** Frobenius norms of the updates, over all matrices of the kind. */
  readonly normA: number
  readonly normB: number
  /** ||dW_b - dW_a|| / ||dW_a||, Frobenius norms over all matrices of the kind; absent where a changes nothing. */
  readonly relativeChange?: number
}

export interface AdapterDifference {
  readonly all: KindChange
  /** Sorted by name. */
  readonly kinds: readonly KindChange[]
}

export interface CompareOptions {
  readonly signal: AbortSignal
  /** Bytes of both adapters' tensors. */
  readonly onProgress?: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void
}

interface OpenAdapter {
  readonly file: GgufFile
  readonly alpha: number
  readonly pairs: ReadonlyMap<string, AdapterPair>
}

/**
 * Of each pair the update is dW = s B A with s = alpha / rank (1 where alpha is 0), B of shape (out, rank) and A of (rank, in). No matrix of
 * the base's size is formed: the difference of two updates is itself a product of thin matrices, and its norm comes from their triangular
 * factors (see `productNorm`). Holds one matrix's factors at a time. Throws what `validateAdapter` throws, and
 * `shape-mismatch` for adapters of different bases.
 */
export async function compareAdapters(
  pathA: string,
  pathB: string,
  { signal, onProgress = () => {} }: CompareOptions,
): Promise<AdapterDifference> {
  using sources = new DisposableStack()
  const open = async (path: string): Promise<OpenAdapter> => {
    const source = sources.use(openFileSource(path))
    const { alpha, pairs } = await validateAdapter(source, undefined, { signal })
    const file = readGguf(source, 'adapter')
    return { file, alpha, pairs: new Map(pairs.map((pair) => [pair.target, pair])) }
  }
  const [a, b] = [await open(pathA), await open(pathB)]
  const squares = new Map<string, Squares>()
  const targets = new Set([...a.pairs.keys(), ...b.pairs.keys()])
  const totalBytes = bytesOf(a, targets) + bytesOf(b, targets)
  let doneBytes = 0
  for (const target of targets) {
    signal.throwIfAborted()
    const kind = (a.pairs.get(target) ?? b.pairs.get(target)!).module
    const [one, other] = [factorsOf(a, target), factorsOf(b, target)]
    if (one !== undefined && other !== undefined) requireSameSize(target, one, other)
    squares.set(kind, added(squares.get(kind), squaresOf(one, other)))
    doneBytes += bytesOf(a, [target]) + bytesOf(b, [target])
    onProgress({ doneBytes, totalBytes })
    // Other work gets its turn between two matrices.
    await new Promise((done) => void setImmediate(done))
  }
  const kinds = [...squares].toSorted(([one], [other]) => (one < other ? -1 : 1))
  const all = kinds.reduce<Squares | undefined>((sum, [, more]) => added(sum, more), undefined)
  return { all: changeOf('all', all ?? nothing), kinds: kinds.map(([kind, sum]) => changeOf(kind, sum)) }
}

function bytesOf({ pairs }: OpenAdapter, targets: Iterable<string>): number {
  let bytes = 0
  for (const target of targets) {
    const pair = pairs.get(target)
    if (pair !== undefined) bytes += pair.a.bytes + pair.b.bytes
  }
  return bytes
}

/** Squared norms of a's update, b's, and of their difference. */
interface Squares {
  readonly matrices: number
  readonly a: number
  readonly b: number
  readonly difference: number
}

const nothing: Squares = { matrices: 0, a: 0, b: 0, difference: 0 }

function added(sum: Squares = nothing, more: Squares): Squares {
  return {
    matrices: sum.matrices + more.matrices,
    a: sum.a + more.a,
    b: sum.b + more.b,
    difference: sum.difference + more.difference,
  }
}

function changeOf(kind: string, { matrices, a, b, difference }: Squares): KindChange {
  const norms = { kind, matrices, normA: Math.sqrt(a), normB: Math.sqrt(b) }
  return a === 0 ? norms : { ...norms, relativeChange: Math.sqrt(difference / a) }
}

/** One update as the sum over k of left[k] (of length out) times right[k] (of length in). */
interface Factors {
  readonly left: Columns
  readonly right: Columns
}

function squaresOf(a: Factors | undefined, b: Factors | undefined): Squares {
  const normA = a === undefined ? 0 : productNorm(a.left, a.right)
  const normB = b === undefined ? 0 : productNorm(b.left, b.right)
  const difference = a === undefined ? normB : b === undefined ? normA : normOfDifference(a, b)
  return { matrices: 1, a: normA ** 2, b: normB ** 2, difference: difference ** 2 }
}

function requireSameSize(target: string, a: Factors, b: Factors): void {
  const size = ({ left, right }: Factors): string => `${right[0]?.length} x ${left[0]?.length}`
  if (size(a) === size(b)) return
  const message = `These adapters are for different bases: ${target} is ${size(a)} in one and ${size(b)} in the other.`
  throw new MeshError('shape-mismatch', message, { tensor: target })
}

/**
 * Of equal ranks as (B_b - B_a) A_b + B_a (A_b - A_a), which loses no digits where b was trained on from a; otherwise as
 * B_b A_b - B_a A_a. Both are the same matrix.
 */
function normOfDifference(a: Factors, b: Factors): number {
  if (a.left.length !== b.left.length) {
    return productNorm([...b.left, ...a.left.map(negated)], [...b.right, ...a.right])
  }
  const left = [...b.left.map((column, k) => minus(column, a.left[k]!)), ...a.left]
  const right = [...b.right, ...b.right.map((column, k) => minus(column, a.right[k]!))]
  return productNorm(left, right)
}

function negated(column: Float64Array): Float64Array {
  return column.map((value) => -value)
}

function minus(one: Float64Array, other: Float64Array): Float64Array {
  return one.map((value, i) => value - other[i]!)
}

function factorsOf({ file, alpha, pairs }: OpenAdapter, target: string): Factors | undefined {
  const pair = pairs.get(target)
  if (pair === undefined) return undefined
  const scale = alpha === 0 ? 1 : alpha / pair.rank
  // A of an embedding is looked up by rows, one per token: there its columns are the components, as those of B are.
  const right = pair.module === 'token_embd' ? columnsOf(file, pair.a) : rowsOf(file, pair.a)
  return { left: columnsOf(file, pair.b).map((column) => column.map((value) => scale * value)), right }
}

function rowsOf(file: GgufFile, tensor: GgufTensorInfo): Float64Array[] {
  const values = valuesOf(file, tensor)
  const [width, rows] = tensor.shape as [number, number]
  return Array.from({ length: rows }, (_, row) => Float64Array.from(values.subarray(row * width, (row + 1) * width)))
}

function columnsOf(file: GgufFile, tensor: GgufTensorInfo): Float64Array[] {
  const values = valuesOf(file, tensor)
  const [width, rows] = tensor.shape as [number, number]
  return Array.from({ length: width }, (_, column) =>
    Float64Array.from({ length: rows }, (_, row) => values[row * width + column]!),
  )
}

function valuesOf(file: GgufFile, tensor: GgufTensorInfo): Float32Array {
  const dtype = dtypeOf(tensor.type)
  if (dtype === undefined) throw new Error(`the validator lets no ${tensor.type.name} tensor pass`)
  return decodeTensor(dtype, readTensor(file, tensor))
}
