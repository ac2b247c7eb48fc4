// Regrouping: the pair of one matrix is made of the pairs of others that hold the same parts. Rows of A are stacked; B gets a block for each
// source, at the rows that its parts have here and the columns of its rows of A, and zeros elsewhere. So fused matrices become separate ones
// and the other way round, and the update of every row stays what it was. Also the plain case: one source, all of it.
import { MeshError } from '../protocol/index.ts'
import type { PartRows } from './base-matrices.ts'
import type { Part } from './peft-architectures.ts'
import { decodeTensor, encodeTensor, indexOfNonFinite, type TensorDtype } from './tensor-dtypes.ts'

export interface SourceMatrix {
  readonly dtype: TensorDtype
  /** Row-major. Asked anew for each use: matrices are large. */
  readonly read: () => Float32Array
}

export interface SourcePair {
  readonly rank: number
  /** (rank, inputs) */
  readonly a: SourceMatrix
  /** (outputs, rank) */
  readonly b: SourceMatrix
}

/** Rows `from` and on of the source that become rows `to` and on. */
export interface RowRun {
  readonly from: number
  readonly to: number
  readonly rows: number
  /** `order[row in the result] = row in the source`, both within the run; absent: the same order. */
  readonly order: Uint32Array | undefined
}

/** What one source contributes. */
export interface Share {
  readonly pair: SourcePair
  readonly runs: readonly RowRun[]
  /** Multiplied into B. */
  readonly factor: number
  /** Which rows of A and columns of B are taken. */
  readonly components: readonly number[]
}

export interface StackedMatrix {
  readonly dtype: Exclude<TensorDtype, 'Q8_0'>
  readonly rows: number
  readonly columns: number
  /** Row-major. */
  readonly values: () => Float32Array | Float64Array
}

/** The runs of rows that two matrices have in common, by their parts. */
export function commonRows(
  source: readonly PartRows[],
  result: readonly PartRows[],
  orderOf: (rows: PartRows) => Uint32Array | undefined,
): RowRun[] {
  const runs: RowRun[] = []
  let to = 0
  for (const wanted of result) {
    const from = startOf(source, wanted.part)
    if (from !== undefined) runs.push({ from, to, rows: wanted.rows, order: orderOf(wanted) })
    to += wanted.rows
  }
  return runs
}

export function totalRows(parts: readonly PartRows[]): number {
  return parts.reduce((sum, { rows }) => sum + rows, 0)
}

export function allComponents({ rank }: SourcePair): number[] {
  return Array.from({ length: rank }, (_, index) => index)
}

/** The components that change any row of the runs: those whose column of B is not zero there. */
export function effectiveComponents(pair: SourcePair, runs: readonly RowRun[]): number[] {
  const b = pair.b.read()
  const changes = (component: number): boolean =>
    runs.some(({ from, rows }) => {
      for (let row = from; row < from + rows; row++) if (b[row * pair.rank + component] !== 0) return true
      return false
    })
  return allComponents(pair).filter(changes)
}

/** (components of all shares, inputs) */
export function stackedA(shares: readonly Share[], inputs: number): StackedMatrix {
  const dtype = commonDtype(shares.map(({ pair }) => pair.a.dtype))
  const rank = rankOf(shares)
  const values = (): Float32Array => {
    const stacked = new Float32Array(rank * inputs)
    let row = 0
    for (const { pair, components } of shares) {
      const a = pair.a.read()
      for (const component of components) {
        stacked.set(a.subarray(component * inputs, (component + 1) * inputs), row++ * inputs)
      }
    }
    return stacked
  }
  return { dtype, rows: rank, columns: inputs, values }
}

/** (rows, components of all shares); keeps its half-precision type where every product can be written in it exactly. */
export function stackedB(shares: readonly Share[], rows: number): StackedMatrix {
  const common = commonDtype(shares.map(({ pair }) => pair.b.dtype))
  const scales = shares.some(({ factor }) => factor !== 1)
  const rank = rankOf(shares)
  const values = (): Float32Array | Float64Array => {
    const filled = scales ? new Float64Array(rows * rank) : new Float32Array(rows * rank)
    let column = 0
    for (const share of shares) {
      placeBlock(filled, rank, column, share)
      column += share.components.length
    }
    return filled
  }
  const dtype = common === 'F32' || !scales || isExact(common, values()) ? common : 'F32'
  return { dtype, rows, columns: rank, values }
}

/** Stored bytes, row-major. Throws `not-finite`, with the names of the modules behind the matrix, where a factor made too large a number. */
export function encodeFinite({ dtype, values }: StackedMatrix, modules: string): Uint8Array {
  const bytes = encodeTensor(dtype, values())
  if (indexOfNonFinite(decodeTensor(dtype, bytes)) < 0) return bytes
  throw new MeshError(
    'not-finite',
    `The update of ${modules} is not finite once scaled. The training diverged, or alpha is wrong.`,
    { modules },
  )
}

/** (rows, columns) -> (columns, rows) */
export function transposed({ dtype, rows, columns, values }: StackedMatrix): StackedMatrix {
  return { dtype, rows: columns, columns: rows, values: () => transposedValues(values(), columns) }
}

/** Of row-major numbers with rows of `columns`. */
export function transposedValues<Values extends Float32Array | Float64Array>(values: Values, columns: number): Values {
  const rows = values.length / columns
  const turned = values.slice() as Values
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!
  }
  return turned
}

function placeBlock(
  filled: Float32Array | Float64Array,
  rank: number,
  column: number,
  { pair, runs, factor, components }: Share,
): void {
  const b = pair.b.read()
  for (const { from, to, rows, order } of runs) {
    for (let row = 0; row < rows; row++) {
      const [source, result] = [(from + (order?.[row] ?? row)) * pair.rank, (to + row) * rank + column]
      for (let at = 0; at < components.length; at++) filled[result + at] = b[source + components[at]!]! * factor
    }
  }
}

function startOf(parts: readonly PartRows[], part: Part): number | undefined {
  const index = parts.findIndex((rows) => rows.part === part)
  return index < 0 ? undefined : totalRows(parts.slice(0, index))
}

function rankOf(shares: readonly Share[]): number {
  return shares.reduce((sum, { components }) => sum + components.length, 0)
}

/** F32 holds what any other type does. */
function commonDtype(dtypes: readonly TensorDtype[]): StackedMatrix['dtype'] {
  const [first] = dtypes
  return first !== undefined && first !== 'Q8_0' && dtypes.every((dtype) => dtype === first) ? first : 'F32'
}

function isExact(dtype: TensorDtype, values: Float32Array | Float64Array): boolean {
  const stored = decodeTensor(dtype, encodeTensor(dtype, values))
  return values.every((value, index) => value === stored[index])
}
