// The network itself: one shard of examples forwards and backwards. Attention stays within an example, and positions start anew in each.
// Shapes in comments: S tokens of the shard, D width, Q heads * headSize, K kvHeads * headSize, F feed-forward, V vocabulary,
// P predicted rows, T tokens of one example. Matrices are (outputs, inputs) row-major, as a GGUF holds them, so Y = X W^T.
import type { Kernels } from '../kernels/kernels.ts'
import { Arena } from './memory-plan.ts'
import type { MemoryPlan, NetworkJob, ShardPlan } from './memory-plan.ts'
import { matrixKinds, matrixName, matrixSize, normName, outputName } from './shape.ts'
import type { MatrixKind } from './shape.ts'

export interface Network {
  /** Fills the logits of a shard's predicted rows; leaves what `backward` needs. */
  forward(shard: ShardPlan): void
  /**
   * After `forward`: the sum of -ln p over the predictions. If `share` is not 0, the logits become the gradient of share * sum, else the
   * probabilities.
   */
  loss(shard: ShardPlan, share: number): number
  /** After `loss` with a share: adds the gradient of the parameters to the vector at `gradients`. */
  backward(shard: ShardPlan, gradients: number): void
  /** Byte address of the logits (P, V) after `forward`. */
  readonly logits: number
  /** Byte address of this worker's scratch space for `gemm`. */
  readonly scratch: number
}

interface BlockSpace {
  readonly input: number
  readonly normed: number
  readonly inverse: number
  readonly q: number
  readonly k: number
  readonly v: number
  readonly attended: number
  readonly middle: number
  readonly middleNormed: number
  readonly middleInverse: number
  readonly gate: number
  readonly up: number
  readonly activated: number
}

interface Workspace {
  readonly blocks: readonly BlockSpace[]
  readonly last: number
  readonly lastNormed: number
  readonly lastInverse: number
  readonly predicted: number
  readonly logits: number
  readonly dX: number
  readonly dNormed: number
  readonly dQ: number
  readonly dK: number
  readonly dV: number
  readonly dAttended: number
  readonly dActivated: number
  readonly scores: number
  readonly dScores: number
  readonly low: number
  readonly dLow: number
  readonly gemm: number
  readonly end: number
}

/** One head's attention of a block of rows. `own` and `shared`: byte offsets of the block's first query and the example's first key. */
interface Square {
  readonly first: number
  readonly rows: number
  readonly end: number
  readonly stride: number
  readonly own: number
  readonly shared: number
}

const squareRows = 32

/** Rows of the square are padded to whole vectors. */
function squareStride(tokens: number): number {
  return Math.ceil(tokens / 4) * 4
}

function planWorkspace(kernels: Pick<Kernels, 'gemmScratchBytes'>, job: NetworkJob, start: number): Workspace {
  const { shape, shardTokens: s, exampleTokens, trainable } = job
  const { width, heads, kvHeads, headSize, feedForward } = shape
  const [query, keyValue] = [heads * headSize, kvHeads * headSize]
  const arena = new Arena(start)
  const blocks = Array.from({ length: shape.layers }, () => ({
    input: arena.take(s * width),
    normed: arena.take(s * width),
    inverse: arena.take(s),
    q: arena.take(s * query),
    k: arena.take(s * keyValue),
    v: arena.take(s * keyValue),
    attended: arena.take(s * query),
    middle: arena.take(s * width),
    middleNormed: arena.take(s * width),
    middleInverse: arena.take(s),
    gate: arena.take(s * feedForward),
    up: arena.take(s * feedForward),
    activated: arena.take(s * feedForward),
  }))
  const square = squareRows * squareStride(exampleTokens)
  const rank = trainable.kind === 'lora' ? trainable.rank : 0
  return {
    blocks,
    last: arena.take(s * width),
    lastNormed: arena.take(s * width),
    lastInverse: arena.take(s),
    predicted: arena.take(s * width),
    logits: arena.take(s * shape.vocabulary),
    dX: arena.take(s * width),
    dNormed: arena.take(s * width),
    dQ: arena.take(s * query),
    dK: arena.take(s * keyValue),
    dV: arena.take(s * keyValue),
    dAttended: arena.take(s * query),
    dActivated: arena.take(s * feedForward),
    scores: arena.take(square),
    dScores: arena.take(square),
    low: arena.take(s * rank),
    dLow: arena.take(s * rank),
    gemm: arena.take(kernels.gemmScratchBytes() / 4),
    end: arena.end,
  }
}

/** Bytes that one worker's intermediate results take. */
export function workspaceBytes(kernels: Pick<Kernels, 'gemmScratchBytes'>, job: NetworkJob): number {
  return planWorkspace(kernels, job, 0).end
}

export function createNetwork(
  kernels: Kernels,
  memory: WebAssembly.Memory,
  job: NetworkJob,
  plan: MemoryPlan,
  worker: number,
): Network {
  const { shape, trainable } = job
  const { width, heads, kvHeads, headSize, feedForward, vocabulary, turned } = shape
  const [query, keyValue] = [heads * headSize, kvHeads * headSize]
  const space = planWorkspace(kernels, job, plan.workspaces[worker]!)
  const integers = new Int32Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  const scoreScale = 1 / Math.sqrt(headSize)
  const sizes = new Map(matrixKinds.map((kind) => [kind, matrixSize(shape, kind)]))

  return {
    logits: space.logits,
    scratch: space.gemm,
    forward(shard) {
      const { tokens, predictions } = counts(shard)
      let x = blockAt(0).input
      kernels.gatherRows(tokens, width, weight('token_embd.weight'), shard.tokens, x)
      for (let layer = 0; layer < shape.layers; layer++) {
        const b = blockAt(layer)
        const next = layer + 1 < shape.layers ? blockAt(layer + 1).input : space.last
        kernels.rmsNorm(tokens, width, x, weight(normName(layer, 'attn_norm')), b.normed, b.inverse, shape.epsilon)
        linear(layer, 'attn_q', tokens, b.normed, b.q)
        linear(layer, 'attn_k', tokens, b.normed, b.k)
        linear(layer, 'attn_v', tokens, b.normed, b.v)
        turn(shard, tokens, b.q, b.k, 1)
        forEachExample(shard, (start, length) => attend(b, start, length))
        copy(b.middle, x, tokens * width)
        linear(layer, 'attn_output', tokens, b.attended, b.middle, true)
        const middleNorm = weight(normName(layer, 'ffn_norm'))
        kernels.rmsNorm(tokens, width, b.middle, middleNorm, b.middleNormed, b.middleInverse, shape.epsilon)
        linear(layer, 'ffn_gate', tokens, b.middleNormed, b.gate)
        linear(layer, 'ffn_up', tokens, b.middleNormed, b.up)
        kernels.swiglu(tokens * feedForward, b.gate, b.up, b.activated)
        copy(next, b.middle, tokens * width)
        linear(layer, 'ffn_down', tokens, b.activated, next, true)
        x = next
      }
      const norm = weight('output_norm.weight')
      kernels.rmsNorm(tokens, width, x, norm, space.lastNormed, space.lastInverse, shape.epsilon)
      kernels.gatherRows(predictions, width, space.lastNormed, shard.predictedRows, space.predicted)
      timesTransposed(predictions, vocabulary, width, space.predicted, weight(outputName(shape)), space.logits)
    },
    loss(shard, share) {
      const { predictions } = counts(shard)
      return kernels.crossEntropy(predictions, vocabulary, space.logits, shard.predictedTokens, share)
    },
    backward(shard, gradients) {
      const { tokens, predictions } = counts(shard)
      const output = outputName(shape)
      // d predicted (P, D) = d logits (P, V) W (V, D)
      times(predictions, width, vocabulary, space.logits, weight(output), space.dNormed, false)
      weightGradient(gradients, output, predictions, vocabulary, width, space.logits, space.predicted)
      copy(space.predicted, space.dNormed, predictions * width)
      clear(space.dNormed, tokens * width)
      kernels.scatterAddRows(predictions, width, space.predicted, shard.predictedRows, space.dNormed)
      clear(space.dX, tokens * width)
      normBackward(gradients, 'output_norm.weight', tokens, space.last, space.lastInverse)
      for (let layer = shape.layers - 1; layer >= 0; layer--) {
        const b = blockAt(layer)
        linearBackward(gradients, layer, 'ffn_down', tokens, b.activated, space.dX, space.dActivated, false)
        kernels.swigluBackward(tokens * feedForward, b.gate, b.up, space.dActivated, b.gate, b.up)
        linearBackward(gradients, layer, 'ffn_gate', tokens, b.middleNormed, b.gate, space.dNormed, false)
        linearBackward(gradients, layer, 'ffn_up', tokens, b.middleNormed, b.up, space.dNormed, true)
        normBackward(gradients, normName(layer, 'ffn_norm'), tokens, b.middle, b.middleInverse)
        linearBackward(gradients, layer, 'attn_output', tokens, b.attended, space.dX, space.dAttended, false)
        clear(space.dK, tokens * keyValue)
        clear(space.dV, tokens * keyValue)
        forEachExample(shard, (start, length) => attendBackward(b, start, length))
        turn(shard, tokens, space.dQ, space.dK, -1)
        // Nothing below the first block is trained by an adapter.
        const below = layer > 0 || trainable.kind === 'everything'
        linearBackward(gradients, layer, 'attn_q', tokens, b.normed, space.dQ, below ? space.dNormed : 0, false)
        linearBackward(gradients, layer, 'attn_k', tokens, b.normed, space.dK, below ? space.dNormed : 0, true)
        linearBackward(gradients, layer, 'attn_v', tokens, b.normed, space.dV, below ? space.dNormed : 0, true)
        if (below) normBackward(gradients, normName(layer, 'attn_norm'), tokens, b.input, b.inverse)
      }
      const embedding = plan.parameters.tensors.get('token_embd.weight')
      if (embedding !== undefined) {
        kernels.scatterAddRows(tokens, width, space.dX, shard.tokens, gradients + embedding * 4)
      }
    },
  }

  function counts({ counts: at }: ShardPlan): { tokens: number; examples: number; predictions: number } {
    return { tokens: integers[at >>> 2]!, examples: integers[(at >>> 2) + 1]!, predictions: integers[(at >>> 2) + 2]! }
  }

  function forEachExample(shard: ShardPlan, visit: (start: number, length: number) => void): void {
    const { examples } = counts(shard)
    const at = shard.starts >>> 2
    for (let i = 0; i < examples; i++) visit(integers[at + i]!, integers[at + i + 1]! - integers[at + i]!)
  }

  function blockAt(layer: number): BlockSpace {
    return space.blocks[layer]!
  }

  function weight(name: string): number {
    return plan.weights.get(name)!
  }

  function copy(to: number, from: number, count: number): void {
    floats.copyWithin(to >>> 2, from >>> 2, (from >>> 2) + count)
  }

  function clear(at: number, count: number): void {
    floats.fill(0, at >>> 2, (at >>> 2) + count)
  }

  /** C (m, n) = A (m, k) B (n, k)^T */
  function timesTransposed(m: number, n: number, k: number, a: number, b: number, c: number, add = false): void {
    kernels.gemm(m, n, k, a, k, 1, b, 1, k, c, n, 1, add, space.gemm)
  }

  /** C (m, n) = A (m, k) B (k, n) */
  function times(m: number, n: number, k: number, a: number, b: number, c: number, add: boolean, scale = 1): void {
    kernels.gemm(m, n, k, a, k, 1, b, n, 1, c, n, scale, add, space.gemm)
  }

  /** C (m, n) += scale A (k, m)^T B (k, n) */
  function addTransposedTimes(m: number, n: number, k: number, a: number, b: number, c: number, scale = 1): void {
    kernels.gemm(m, n, k, a, 1, m, b, n, 1, c, n, scale, true, space.gemm)
  }

  function linear(layer: number, kind: MatrixKind, rows: number, x: number, y: number, add = false): void {
    const [outputs, inputs] = sizeOf(kind)
    timesTransposed(rows, outputs, inputs, x, weight(matrixName(layer, kind)), y, add)
  }

  function sizeOf(kind: MatrixKind): readonly [outputs: number, inputs: number] {
    return sizes.get(kind)!
  }

  /** dX = dY W unless dX is 0, and the gradient of what is trained in W. */
  function linearBackward(
    gradients: number,
    layer: number,
    kind: MatrixKind,
    rows: number,
    x: number,
    dY: number,
    dX: number,
    add: boolean,
  ): void {
    const [outputs, inputs] = sizeOf(kind)
    const name = matrixName(layer, kind)
    if (dX !== 0) times(rows, inputs, outputs, dY, weight(name), dX, add)
    weightGradient(gradients, name, rows, outputs, inputs, dY, x)
  }

  /** dW += dY^T X; of a pair of factors, with H = X A^T: dB += s dY^T H and dA += (s dY B)^T X. */
  function weightGradient(
    gradients: number,
    name: string,
    rows: number,
    outputs: number,
    inputs: number,
    dY: number,
    x: number,
  ): void {
    const offset = plan.parameters.tensors.get(name)
    if (offset !== undefined) addTransposedTimes(outputs, inputs, rows, dY, x, gradients + offset * 4)
    const pair = plan.parameters.lora.get(name)
    if (pair === undefined || trainable.kind !== 'lora') return
    const { rank, alpha } = trainable
    const [a, b] = [plan.parameters.address + pair.a * 4, plan.parameters.address + pair.b * 4]
    timesTransposed(rows, rank, inputs, x, a, space.low)
    addTransposedTimes(outputs, rank, rows, dY, space.low, gradients + pair.b * 4, alpha / rank)
    times(rows, rank, outputs, dY, b, space.dLow, false, alpha / rank)
    addTransposedTimes(rank, inputs, rows, space.dLow, x, gradients + pair.a * 4)
  }

  /** Adds to dX what dNormed makes of the norm's input. */
  function normBackward(gradients: number, name: string, rows: number, x: number, inverse: number): void {
    const offset = plan.parameters.tensors.get(name)
    const dWeight = offset === undefined ? 0 : gradients + offset * 4
    kernels.rmsNormBackward(rows, width, x, weight(name), inverse, space.dNormed, space.dX, dWeight)
  }

  function turn(shard: ShardPlan, rows: number, q: number, k: number, direction: number): void {
    kernels.rotate(rows, heads, headSize, turned, q, shard.positions, plan.angles, direction)
    kernels.rotate(rows, kvHeads, headSize, turned, k, shard.positions, plan.angles, direction)
  }

  /** First number of the key and value head that a query head shares. */
  function kvOf(head: number): number {
    return Math.floor((head * kvHeads) / heads) * headSize
  }

  /**
   * Attention goes block by block of an example's rows: a block looks at what stands before its end only, and its square of
   * probabilities takes little memory however long the example is. (R, E): rows of the block, tokens up to its end.
   */
  function forEachSquare(start: number, length: number, visit: (square: Square) => void): void {
    for (let head = 0; head < heads; head++) {
      for (let first = 0; first < length; first += squareRows) {
        const end = Math.min(first + squareRows, length)
        const own = ((start + first) * query + head * headSize) * 4
        const shared = (start * keyValue + kvOf(head)) * 4
        visit({ first, rows: end - first, end, stride: squareStride(end), own, shared })
      }
    }
  }

  /** Leaves P (R, E) = softmax(Q K^T / sqrt(headSize)) in `scores`. */
  function attention(b: BlockSpace, { first, rows, end, stride, own, shared }: Square): void {
    const [q, k] = [b.q + own, b.k + shared]
    kernels.gemm(rows, end, headSize, q, query, 1, k, 1, keyValue, space.scores, stride, scoreScale, false, space.gemm)
    kernels.causalSoftmax(rows, first, stride, space.scores)
  }

  function attend(b: BlockSpace, start: number, length: number): void {
    forEachSquare(start, length, (square) => {
      attention(b, square)
      const { rows, end, stride, own, shared } = square
      const [v, out] = [b.v + shared, b.attended + own]
      kernels.gemm(rows, headSize, end, space.scores, stride, 1, v, keyValue, 1, out, query, 1, false, space.gemm)
    })
  }

  /** The probabilities are computed again: keeping them would take memory by the square of the length. */
  function attendBackward(b: BlockSpace, start: number, length: number): void {
    const { gemm } = kernels
    const { scores, dScores, gemm: scratch } = space
    forEachSquare(start, length, (square) => {
      attention(b, square)
      const { first, rows, end, stride, own, shared } = square
      const dOut = space.dAttended + own
      // dP = dO V^T, dV += P^T dO
      gemm(rows, end, headSize, dOut, query, 1, b.v + shared, 1, keyValue, dScores, stride, 1, false, scratch)
      gemm(end, headSize, rows, scores, 1, stride, dOut, query, 1, space.dV + shared, keyValue, 1, true, scratch)
      kernels.causalSoftmaxBackward(rows, first, stride, scores, dScores)
      // dQ = dS K, dK += dS^T Q
      const [dQ, dK] = [space.dQ + own, space.dK + shared]
      gemm(rows, headSize, end, dScores, stride, 1, b.k + shared, keyValue, 1, dQ, query, scoreScale, false, scratch)
      gemm(end, headSize, rows, dScores, 1, stride, b.q + own, query, 1, dK, keyValue, scoreScale, true, scratch)
    })
  }
}
