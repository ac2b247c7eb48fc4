// The shape of a llama-architecture network, and the names and sizes of its tensors as a GGUF has them.

export interface ModelShape {
  readonly layers: number
  /** Length of a token's vector. */
  readonly width: number
  readonly heads: number
  /** Divides `heads`. */
  readonly kvHeads: number
  readonly headSize: number
  readonly feedForward: number
  readonly vocabulary: number
  readonly contextLength: number
  /** How many numbers of each head the rotary embedding turns, in pairs. */
  readonly turned: number
  readonly ropeBase: number
  readonly epsilon: number
  /** The output matrix is the embedding table. */
  readonly tied: boolean
}

/** The matrices of a block that an adapter can change. */
export const matrixKinds = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'] as const
export type MatrixKind = (typeof matrixKinds)[number]

export interface TensorShape {
  readonly name: string
  /** Outputs of a matrix; 1 for a norm. */
  readonly rows: number
  /** Inputs of a matrix; the width of a norm. */
  readonly columns: number
}

export function matrixName(layer: number, kind: MatrixKind): string {
  return `blk.${layer}.${kind}.weight`
}

export function normName(layer: number, kind: 'attn_norm' | 'ffn_norm'): string {
  return `blk.${layer}.${kind}.weight`
}

export function outputName(shape: Pick<ModelShape, 'tied'>): string {
  return shape.tied ? 'token_embd.weight' : 'output.weight'
}

/** [rows, columns] = [outputs, inputs] of a block's matrix. */
export function matrixSize(shape: ModelShape, kind: MatrixKind): readonly [rows: number, columns: number] {
  const { width, feedForward, headSize, heads, kvHeads } = shape
  switch (kind) {
    case 'attn_q':
      return [heads * headSize, width]
    case 'attn_k':
    case 'attn_v':
      return [kvHeads * headSize, width]
    case 'attn_output':
      return [width, heads * headSize]
    case 'ffn_gate':
    case 'ffn_up':
      return [feedForward, width]
    case 'ffn_down':
      return [width, feedForward]
  }
}

/** Every tensor of the network, in the order in which a GGUF of ours holds them. */
export function tensorsOf(shape: ModelShape): TensorShape[] {
  const { width, vocabulary } = shape
  const norm = (name: string): TensorShape => ({ name, rows: 1, columns: width })
  const blocks = Array.from({ length: shape.layers }, (_, layer) => {
    const matrix = (kind: MatrixKind): TensorShape => {
      const [rows, columns] = matrixSize(shape, kind)
      return { name: matrixName(layer, kind), rows, columns }
    }
    const [q, k, v, output, gate, up, down] = matrixKinds.map(matrix) as [
      TensorShape,
      TensorShape,
      TensorShape,
      TensorShape,
      TensorShape,
      TensorShape,
      TensorShape,
    ]
    return [norm(normName(layer, 'attn_norm')), q, k, v, output, norm(normName(layer, 'ffn_norm')), gate, up, down]
  })
  const embedding = { name: 'token_embd.weight', rows: vocabulary, columns: width }
  const output = shape.tied ? [] : [{ name: 'output.weight', rows: vocabulary, columns: width }]
  return [embedding, ...blocks.flat(), norm('output_norm.weight'), ...output]
}

export function parameterCount(shape: ModelShape): number {
  return tensorsOf(shape).reduce((sum, { rows, columns }) => sum + rows * columns, 0)
}
