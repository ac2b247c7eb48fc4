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
 * Bound on scale * |A| * |B| (Frobenius norms), which bounds the norm of the update scale * B * A. Adapters that were trained until they
 * ruined everything else reach 25 on small models. Far above, keys and values overflow an F16 cache.
 */
export const updateNormMax = 1e4

/**
 * Bound on |A| beside a B stored as F16: llama.cpp rounds A * x to F16 there, and one product beyond 65504 turns every logit into NaN.
 * Usual initialisations give the square root of a third of the rank, at most 13.
 */
export const inputNormMax = 1e3

/**
 * Reads every weight once, in pieces, letting other work run between them. Reports numbers that are not finite, updates of absurd
 * strength, and padding that isn't zero.
 */
export async function checkAdapterWeights(
  file: GgufFile,
  pairs: readonly AdapterPair[],
  alpha: number,
  report: Report,
  options: Cancellable,
): Promise<void> {
  for (const pair of pairs) {
    const normA = await normOf(file, pair.a, report, options)
    const normB = await normOf(file, pair.b, report, options)
    const scale = alpha === 0 ? 1 : alpha / pair.rank
    const bound = scale * normA * normB
    if (pair.b.type === ggmlTypes.F16 && normA > inputNormMax) {
      const problem = `the norm of "${pair.a.name}" is ${normA.toExponential(1)}, at most ${inputNormMax} is allowed beside an F16 lora_b`
      report(refused(problem, { tensor: pair.a.name }))
    } else if (bound > updateNormMax) {
      const problem = `the update of ${pair.target} has a strength of up to ${bound.toExponential(1)}, at most ${updateNormMax} is allowed`
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

/** Frobenius norm; 0 after a report of a number that isn't finite. */
async function normOf(file: GgufFile, tensor: GgufTensorInfo, report: Report, options: Cancellable): Promise<number> {
  const dtype = dtypeOf(tensor.type)
  if (dtype === undefined) throw new Error(`pairs of type ${tensor.type.name} are refused earlier`)
  let sum = 0
  let elementsBefore = 0
  for (const chunk of tensorChunks(file, tensor)) {
    const part = sumsOfSquares[dtype](chunk)
    // Squares of finite numbers of these types never overflow a double: the sum is finite exactly if all of them are.
    if (!Number.isFinite(part)) {
      const index = elementsBefore + indexOfNonFinite(decodeTensor(dtype, chunk))
      const message = `This adapter can't be used: number ${index} of the tensor "${tensor.name}" is not finite.`
      report(new MeshError('not-finite', message, { tensor: tensor.name, index }))
      return 0
    }
    sum += part
    elementsBefore += (chunk.length / tensor.type.blockBytes) * tensor.type.blockElements
    await letOthersRun(options)
  }
  return Math.sqrt(sum)
}

const sumsOfSquares: Record<TensorDtype, (bytes: Uint8Array) => number> = {
  F32(bytes) {
    let sum = 0
    for (const value of new Float32Array(aligned(bytes, 4))) sum += value * value
    return sum
  },
  F16(bytes) {
    const squares = f16Squares()
    let sum = 0
    for (const bits of new Uint16Array(aligned(bytes, 2))) sum += squares[bits]!
    return sum
  },
  BF16(bytes) {
    const half = new Uint16Array(aligned(bytes, 2))
    // A BF16 number is the upper half of an F32 one.
    const words = new Uint32Array(half.length)
    for (let i = 0; i < half.length; i++) words[i] = half[i]! << 16
    let sum = 0
    for (const value of new Float32Array(words.buffer)) sum += value * value
    return sum
  },
  Q8_0(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const levels = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let sum = 0
    for (let block = 0; block < bytes.length; block += 34) {
      const scale = f16FromBits(view.getUint16(block, true))
      let squares = 0
      for (let i = block + 2; i < block + 34; i++) squares += levels[i]! * levels[i]!
      sum += scale * scale * squares
    }
    return sum
  },
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
