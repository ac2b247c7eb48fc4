// Which matrices a base has where, and which parts lie in them from the first row to the last. The base's own tensors and head counts decide:
// the same model may have been written with q, k and v fused or not.
import { MeshError } from '../protocol/index.ts'
import { traitsOf, type Part } from './peft-architectures.ts'
import { rotaryRowOrder } from './rotary-rows.ts'

/** What converting needs to know of a base; `inspectBase` gives more. */
export interface ConversionBase {
  readonly architecture: string
  /** Shapes in GGUF order: [in, out]. */
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>
  /** Per block: of how many heads the rows of attn_q, and those of attn_k and attn_v, consist. */
  readonly heads: readonly { readonly query: number; readonly keyValue: number }[]
  /** Whether the token embedding serves as output too. */
  readonly tied: boolean
}

export interface PartRows {
  readonly part: Part
  readonly rows: number
}

export interface BaseMatrix {
  readonly tensor: string
  readonly inputs: number
  readonly parts: readonly PartRows[]
}

/** The matrices of a block, or with undefined those outside the blocks. Throws `shape-mismatch` for a fused one that can't be divided. */
export function baseMatrices(base: ConversionBase, block: number | undefined): BaseMatrix[] {
  if (block === undefined) return [whole(base, 'output', 'output'), embedding(base)].filter(isPresent)
  const fusedAttention = fused(base, block, 'attn_qkv', qkvRows)
  const attention = fusedAttention ? [fusedAttention] : (['attn_q', 'attn_k', 'attn_v'] as const)
  // Of the architectures here only phi3 computes with gate and up in one matrix, and it has no other form.
  const gateAndUp = traitsOf(base.architecture).modules.has('mlp.gate_up_proj')
    ? [fused(base, block, 'ffn_up', gateUpRows)]
    : (['ffn_gate', 'ffn_up'] as const)
  return [...attention, 'attn_output' as const, ...gateAndUp, 'ffn_down' as const]
    .map((entry) => (typeof entry === 'string' ? whole(base, `blk.${block}.${entry}`, entry) : entry))
    .filter(isPresent)
}

/**
 * The order of the rows of a part: `order[row in the base] = row in transformers`; undefined if it is the same on both sides.
 * Throws `shape-mismatch` if the rows don't make the base's heads.
 */
export function rowOrderOf(
  base: ConversionBase,
  block: number | undefined,
  { part, rows }: PartRows,
): Uint32Array | undefined {
  if (block === undefined || (part !== 'attn_q' && part !== 'attn_k')) return undefined
  if (traitsOf(base.architecture).pairsSideBySide === undefined) return undefined
  const heads = base.heads[block]?.[part === 'attn_q' ? 'query' : 'keyValue'] ?? 0
  const order = rotaryRowOrder(rows, heads)
  if (order !== undefined) return order
  throw mismatch(`The ${rows} rows of blk.${block}.${part} don't make ${heads} heads of an even size.`, { block, part })
}

const isPresent = (matrix: BaseMatrix | undefined): matrix is BaseMatrix => matrix !== undefined

function shapeOf(base: ConversionBase, tensor: string): readonly [inputs: number, rows: number] | undefined {
  const shape = base.tensors.get(`${tensor}.weight`)?.shape
  return shape?.length === 2 ? [shape[0]!, shape[1]!] : undefined
}

function whole(base: ConversionBase, tensor: string, part: Part): BaseMatrix | undefined {
  const shape = shapeOf(base, tensor)
  return shape && { tensor: `${tensor}.weight`, inputs: shape[0], parts: [{ part, rows: shape[1] }] }
}

/** Its input is a token, its output a vector: the other way round than the shape says. */
function embedding(base: ConversionBase): BaseMatrix | undefined {
  const shape = shapeOf(base, 'token_embd')
  return shape && { tensor: 'token_embd.weight', inputs: shape[1], parts: [{ part: 'token_embd', rows: shape[0] }] }
}

type Divide = (base: ConversionBase, block: number, rows: number) => readonly PartRows[]

function fused(base: ConversionBase, block: number, name: string, divide: Divide): BaseMatrix | undefined {
  const shape = shapeOf(base, `blk.${block}.${name}`)
  if (shape === undefined) return undefined
  const parts = divide(base, block, shape[1])
  if (parts.every(({ rows }) => Number.isInteger(rows) && rows > 0)) {
    return { tensor: `blk.${block}.${name}.weight`, inputs: shape[0], parts }
  }
  const names = parts.map(({ part }) => part).join(', ')
  throw mismatch(`The ${shape[1]} rows of the base's blk.${block}.${name}.weight can't be divided into ${names}.`, {
    block,
  })
}

/** Values are as wide as the inputs of attn_output say; what they leave is shared by the heads of queries and keys, all of one width. */
const qkvRows: Divide = (base, block, rows) => {
  const { query, keyValue } = base.heads[block] ?? { query: 0, keyValue: 0 }
  const valueRows = ((shapeOf(base, `blk.${block}.attn_output`)?.[0] ?? 0) / query) * keyValue
  const keyLength = (rows - valueRows) / (query + keyValue)
  return [
    { part: 'attn_q', rows: query * keyLength },
    { part: 'attn_k', rows: keyValue * keyLength },
    { part: 'attn_v', rows: valueRows },
  ]
}

const gateUpRows: Divide = (base, block, rows) => {
  const feedForward = shapeOf(base, `blk.${block}.ffn_down`)?.[0] ?? 0
  return [
    { part: 'ffn_gate', rows: feedForward },
    { part: 'ffn_up', rows: rows - feedForward === feedForward ? feedForward : 0 },
  ]
}

function mismatch(message: string, details: Record<string, unknown>): MeshError {
  return new MeshError('shape-mismatch', message, details)
}
