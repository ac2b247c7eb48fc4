// The streams behind a baked pair: the A and B matrices of several adapters, joined along the rank, component by component.
// Component i of a pair is (row i of A, column i of B); the update is the sum over components of factor * column * row.
// Numbers pass through float64 and are rounded once, on storing; memory stays at a few MiB, whatever the size of the matrices.
import { MeshError } from '../protocol/index.ts'
import type { AdapterPair } from './adapter-pairs.ts'
import type { GgufFile, GgufTensorInfo } from './gguf-format.ts'
import { decodeTensor, dtypeOf, encodeTensor, type TensorDtype } from './tensor-dtypes.ts'
import type { LoraMatrix } from './write-lora.ts'

/** One adapter's share of a baked pair. */
export interface PairPart {
  readonly file: GgufFile
  readonly pair: AdapterPair
  /** Goes into B: scale * alpha / rank, or scale alone where the file's alpha is 0. */
  readonly factor: number
}

export interface BakedPair {
  readonly a: LoraMatrix
  readonly b: LoraMatrix
}

/** A matrix whose rows are the components' rows, one after the other (A), or whose columns are the components (B, and A of an embedding). */
interface MatrixPart {
  readonly file: GgufFile
  readonly tensor: GgufTensorInfo
  /** One per component of the part. */
  readonly multipliers: Float64Array
}

const chunkElements = 2 ** 18

/** `rank` is at least the sum of the parts' ranks; what it has more is filled with zeros. A and B may be stored in different types. */
export function bakedPair(
  parts: readonly PairPart[],
  rank: number,
  dtypes: { a: TensorDtype; b: TensorDtype },
): BakedPair {
  const target = parts[0]!.pair.target
  const flipped = isFlipped(target)
  const shifts = dtypes.a === 'F32' && dtypes.b === 'F32' ? undefined : balancingShifts(parts, dtypes.b === 'Q8_0')
  const aParts = parts.map(({ file, pair }, index): MatrixPart => {
    const multipliers = Float64Array.from({ length: pair.rank }, (_, i) => 2 ** -(shifts?.[index]?.[i] ?? 0))
    return { file, tensor: pair.a, multipliers }
  })
  const bParts = parts.map(({ file, pair, factor }, index): MatrixPart => {
    const multipliers = Float64Array.from({ length: pair.rank }, (_, i) => factor * 2 ** (shifts?.[index]?.[i] ?? 0))
    return { file, tensor: pair.b, multipliers }
  })
  const { a, b } = parts[0]!.pair
  return {
    a: flipped ? byColumns(aParts, a.shape[1]!, rank, dtypes.a) : byRows(aParts, a.shape[0]!, rank, dtypes.a),
    b: byColumns(bParts, b.shape[1]!, rank, dtypes.b),
  }
}

/** Whether llama.cpp looks A up by rows, one per token, so that its columns are the components. */
export function isFlipped(target: string): boolean {
  return target === 'token_embd.weight'
}

function byRows(parts: readonly MatrixPart[], width: number, rank: number, dtype: TensorDtype): LoraMatrix {
  return {
    dtype,
    shape: [width, rank],
    chunks: function* chunks() {
      let written = 0
      for (const { file, tensor, multipliers } of parts) {
        for (const { firstRow, values } of rowsOf(file, tensor)) {
          const scaled = new Float64Array(values)
          for (let row = 0; row * width < scaled.length; row++) {
            const multiplier = multipliers[firstRow + row]!
            for (let i = row * width; i < (row + 1) * width; i++) scaled[i]! *= multiplier
          }
          yield stored(dtype, scaled, tensor.name)
        }
        written += multipliers.length
      }
      for (; written < rank; written++) yield encodeTensor(dtype, new Float64Array(width))
    },
  }
}

function byColumns(parts: readonly MatrixPart[], rows: number, rank: number, dtype: TensorDtype): LoraMatrix {
  return {
    dtype,
    shape: [rank, rows],
    chunks: function* chunks() {
      const step = Math.max(1, Math.floor(chunkElements / rank))
      for (let firstRow = 0; firstRow < rows; firstRow += step) {
        const count = Math.min(step, rows - firstRow)
        const joined = new Float64Array(count * rank)
        let column = 0
        for (const { file, tensor, multipliers } of parts) {
          placeColumns(joined, rank, column, readRows(file, tensor, firstRow, count), multipliers)
          column += multipliers.length
        }
        yield stored(dtype, joined, parts[0]!.tensor.name)
      }
    },
  }
}

/** Writes `values`, rows of `multipliers.length`, into rows of `rank` from `column` on. */
function placeColumns(
  joined: Float64Array,
  rank: number,
  column: number,
  values: Float32Array,
  multipliers: Float64Array,
): void {
  const width = multipliers.length
  for (let row = 0; row * width < values.length; row++) {
    const [from, to] = [row * width, row * rank + column]
    for (let i = 0; i < width; i++) joined[to + i] = values[from + i]! * multipliers[i]!
  }
}

function* rowsOf(file: GgufFile, tensor: GgufTensorInfo): Generator<{ firstRow: number; values: Float32Array }> {
  const [width, rows] = [tensor.shape[0]!, tensor.shape[1]!]
  const step = Math.max(1, Math.floor(chunkElements / width))
  for (let firstRow = 0; firstRow < rows; firstRow += step) {
    yield { firstRow, values: readRows(file, tensor, firstRow, Math.min(step, rows - firstRow)) }
  }
}

function readRows(file: GgufFile, tensor: GgufTensorInfo, firstRow: number, count: number): Float32Array {
  const dtype = dtypeOf(tensor.type)
  if (dtype === undefined) throw new Error(`the validator lets no ${tensor.type.name} tensor pass`)
  const rowBytes = tensor.bytes / tensor.shape[1]!
  return decodeTensor(dtype, file.source.read(file.dataOffset + tensor.offset + firstRow * rowBytes, count * rowBytes))
}

const largestOf: Record<TensorDtype, number> = {
  F32: 3.4028234663852886e38,
  F16: 65_504,
  BF16: 3.3895313892515355e38,
  Q8_0: 65_504 * 127,
}

/** The validator bounds the product of A and B, not each of them: a huge B beside a tiny A may leave the range once scaled. */
function stored(dtype: TensorDtype, values: Float64Array, tensor: string): Uint8Array {
  const largest = largestOf[dtype]
  let fits = true
  // Written so that NaN fails too.
  for (let i = 0; i < values.length; i++) fits &&= Math.abs(values[i]!) <= largest
  if (fits) return encodeTensor(dtype, values)
  throw new MeshError('not-finite', `Scaled, ${tensor} has numbers too large for ${dtype}. Use a smaller scale.`, {
    tensor,
    dtype,
  })
}

/**
 * Narrow types keep few bits of small numbers, and trained B matrices are often much smaller than A. Multiplying a column of B by 2^n and
 * its row of A by 2^-n changes nothing but where the bits are: exponents are chosen so that F16 sees both at like magnitudes, and Q8_0,
 * where 32 columns of B share one scale, sees all columns alike. One exponent per part and component.
 */
function balancingShifts(parts: readonly PairPart[], alikeInB: boolean): Int32Array[] {
  const exponents = parts.map(({ file, pair, factor }) => {
    const a = exponentsOf(componentMaxima(file, pair.a, !isFlipped(pair.target)))
    const b = exponentsOf(componentMaxima(file, pair.b, false).map((value) => value * Math.abs(factor)))
    return { a, b }
  })
  const middles = exponents
    .flatMap(({ a, b }) => a.map((exponent, i) => (exponent + b[i]!) / 2))
    .filter(Number.isFinite)
  const middle = Math.round(middles.reduce((sum, value) => sum + value, 0) / Math.max(1, middles.length))
  return exponents.map(({ a, b }) =>
    Int32Array.from(a, (exponent, i) => {
      const wanted = alikeInB ? middle - b[i]! : Math.round((exponent - b[i]!) / 2)
      return Number.isFinite(wanted) ? Math.max(-120, Math.min(120, wanted)) : 0
    }),
  )
}

/** floor(log2) of each; minus infinity for zero. */
function exponentsOf(maxima: Float64Array): number[] {
  return [...maxima].map((value) => Math.floor(Math.log2(value)))
}

/** The largest magnitude in each row, or in each column. */
function componentMaxima(file: GgufFile, tensor: GgufTensorInfo, inRows: boolean): Float64Array {
  const width = tensor.shape[0]!
  const maxima = new Float64Array(inRows ? tensor.shape[1]! : width)
  for (const { firstRow, values } of rowsOf(file, tensor)) {
    for (let row = 0; row * width < values.length; row++) {
      for (let i = 0; i < width; i++) {
        const component = inRows ? firstRow + row : i
        const magnitude = Math.abs(values[row * width + i]!)
        if (magnitude > maxima[component]!) maxima[component] = magnitude
      }
    }
  }
  return maxima
}
