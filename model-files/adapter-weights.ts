// The numbers of a LoRA GGUF: all finite, and together no stronger than a model can bear. One NaN or one overflow turns every logit into NaN.
import { MeshError } from '../protocol/index.ts'
import { refused } from './adapter-metadata.ts'
import type { Report } from './adapter-metadata.ts'
import type { AdapterPair } from './adapter-pairs.ts'
import { letOthersRun } from './event-loop.ts'
import type { Cancellable } from './event-loop.ts'
import { ggmlTypes, ggufAlignment, padTo } from './gguf-format.ts'
import type { GgufFile, GgufTensorInfo } from './gguf-format.ts'
import { tensorChunks } from './gguf-reader.ts'
import { decodeTensor, dtypeOf, f16FromBits, indexOfNonFinite } from './tensor-dtypes.ts'
import type { TensorDtype } from './tensor-dtypes.ts'

/**
 * Bound on scale * |A| * max |row of B| (|A| of Frobenius), which bounds how far one number of the output moves per unit of input, however
 * many rows B has. Beyond it keys and values overflow an F16 cache. On small models adapters that ruined everything else reach 25. For
 * real ones: width 4096, rank 64, alpha 128 with rsLoRA (scale 16), |A| 8, numbers of B around 0.03 gives 30; rank 512, alpha 1024 with
 * rsLoRA (scale 45), |A| 20, a row of B four times as long as most gives 1.6e3. The norm of all of B would grow with its rows and put an
 * ordinary adapter of a vocabulary of 262144 above 1e4.
 */
export const rowStrengthMax = 1e4

/**
 * Bound on |A| beside a B stored as F16: llama.cpp rounds A * x to F16 there, and one product beyond 65504 turns every logit into NaN.
 * Usual initialisations give the square root of a third of the rank, at most 13; those by singular values stay below 100.
 */
export const inputNormMax = 1e3

/**
 * Reads every weight once, in pieces, letting other work run between them. Reports numbers that are not finite, and updates of absurd
 * strength.
 */
export async function checkAdapterWeights(
  file: GgufFile,
  pairs: readonly AdapterPair[],
  alpha: number,
  report: Report,
  options: Cancellable,
): Promise<void> {
  for (const pair of pairs) {
    const a = await normsOf(file, pair.a, report, options)
    const b = await normsOf(file, pair.b, report, options)
    // The input of token_embd picks one row of A (its embedding side starts at N(0, 1) in PEFT); any other input meets all of A.
    const normA = pair.module === 'token_embd' ? a.largestRow : a.whole
    const strength = (alpha === 0 ? 1 : alpha / pair.rank) * normA * b.largestRow
    if (pair.b.type === ggmlTypes.F16 && normA > inputNormMax) {
      const problem = `the norm of "${pair.a.name}" is ${normA.toExponential(1)}, at most ${inputNormMax} is allowed beside an F16 lora_b`
      report(refused(problem, { tensor: pair.a.name }))
    } else if (strength > rowStrengthMax) {
      const problem = `the update of ${pair.target} has a strength of up to ${strength.toExponential(1)}, at most ${rowStrengthMax} is allowed`
      report(refused(problem, { tensor: pair.target }))
    }
  }
}

/** Reports padding after a tensor that isn't zero: bytes that nobody reads must not tell one file from another. */
export function checkPadding(file: GgufFile, report: Report): void {
  for (const tensor of file.tensors) {
    const end = tensor.offset + tensor.bytes
    const padding = file.source.read(file.dataOffset + end, padTo(end, ggufAlignment) - end)
    if (padding.some((byte) => byte !== 0)) {
      const message = `This is not a valid GGUF file: the padding after the tensor "${tensor.name}" is not zero.`
      report(new MeshError('gguf-malformed', message, { tensor: tensor.name }))
    }
  }
}

/** Frobenius norms of a matrix and of the row that has the largest. */
interface Norms {
  readonly whole: number
  readonly largestRow: number
}

/** All 0 after a report of a number that isn't finite. */
async function normsOf(file: GgufFile, tensor: GgufTensorInfo, report: Report, options: Cancellable): Promise<Norms> {
  const dtype = dtypeOf(tensor.type)
  if (dtype === undefined) throw new Error(`pairs of type ${tensor.type.name} are refused earlier`)
  const rowLength = tensor.shape[0]!
  const sums = { whole: 0, largestRow: 0, row: 0 }
  let elementsBefore = 0
  for (const chunk of tensorChunks(file, tensor)) {
    const elements = (chunk.length / tensor.type.blockBytes) * tensor.type.blockElements
    const sumOfSquares = sumsOfSquares[dtype](chunk)
    // Pieces end anywhere, also in the middle of a row.
    for (let from = 0; from < elements;) {
      const inRow = (elementsBefore + from) % rowLength
      const to = Math.min(elements, from + rowLength - inRow)
      const part = sumOfSquares(from, to)
      // Squares of finite numbers of these types never overflow a double: the sum is finite exactly if all of them are.
      if (!Number.isFinite(part)) {
        const index = elementsBefore + indexOfNonFinite(decodeTensor(dtype, chunk))
        const message = `This adapter can't be used: number ${index} of the tensor "${tensor.name}" is not finite.`
        report(new MeshError('not-finite', message, { tensor: tensor.name, index }))
        return { whole: 0, largestRow: 0 }
      }
      sums.whole += part
      sums.row = inRow === 0 ? part : sums.row + part
      sums.largestRow = Math.max(sums.largestRow, sums.row)
      from = to
    }
    elementsBefore += elements
    await letOthersRun(options)
  }
  return { whole: Math.sqrt(sums.whole), largestRow: Math.sqrt(sums.largestRow) }
}

/** Of the elements `from` to `to` (exclusive) of a chunk; rows, and so both ends, are whole blocks. */
type SumOfSquares = (from: number, to: number) => number

const sumsOfSquares: Record<TensorDtype, (bytes: Uint8Array) => SumOfSquares> = {
  F32: (bytes) => floatSquares(new Float32Array(aligned(bytes, 4))),
  F16(bytes) {
    const squares = f16Squares()
    const values = new Uint16Array(aligned(bytes, 2))
    return (from, to) => {
      let sum = 0
      for (let i = from; i < to; i++) sum += squares[values[i]!]!
      return sum
    }
  },
  BF16(bytes) {
    const half = new Uint16Array(aligned(bytes, 2))
    // A BF16 number is the upper half of an F32 one.
    const words = new Uint32Array(half.length)
    for (let i = 0; i < half.length; i++) words[i] = half[i]! << 16
    return floatSquares(new Float32Array(words.buffer))
  },
  Q8_0(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const levels = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return (from, to) => {
      let sum = 0
      for (let block = (from / 32) * 34; block < (to / 32) * 34; block += 34) {
        const scale = f16FromBits(view.getUint16(block, true))
        let squares = 0
        for (let i = block + 2; i < block + 34; i++) squares += levels[i]! * levels[i]!
        sum += scale * scale * squares
      }
      return sum
    }
  },
}

function floatSquares(values: Float32Array): SumOfSquares {
  return (from, to) => {
    let sum = 0
    for (let i = from; i < to; i++) sum += values[i]! * values[i]!
    return sum
  }
}

/** The bytes as a buffer of their own where a typed array can't look at them in place. Chunks of files need no copy. */
function aligned(bytes: Uint8Array, elementBytes: number): ArrayBuffer {
  if (bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer) {
    return bytes.buffer
  }
  if (bytes.byteLength % elementBytes !== 0) throw new Error('chunks are whole elements')
  return bytes.slice().buffer
}

let squaresByBits: Float64Array | undefined

function f16Squares(): Float64Array {
  squaresByBits ??= Float64Array.from({ length: 65_536 }, (_, bits) => f16FromBits(bits) ** 2)
  return squaresByBits
}
