// Row order of the query and key projections. Transformers keeps the two halves of each rotary pair half a head apart; the GGUF architecture
// `llama` keeps them side by side. The order is the same for a weight and for the B matrix of its update; A is never touched.

/**
 * `order[row in GGUF] = row in transformers`: GGUF row h*d + 2j + s is transformers row h*d + s*d/2 + j, for s = 0 or 1 and heads of size d.
 * Undefined if `rows` don't make `heads` heads of an even size. Heads are counted per projection: k and v have fewer of them than q.
 */
export function rotaryRowOrder(rows: number, heads: number): Uint32Array<ArrayBuffer> | undefined {
  const headSize = rows / heads
  if (!Number.isInteger(headSize) || headSize % 2 !== 0 || headSize === 0) return undefined
  const half = headSize / 2
  const order = new Uint32Array(rows)
  for (let row = 0; row < rows; row++) {
    const inHead = row % headSize
    order[row] = row - inHead + (inHead % 2) * half + Math.floor(inHead / 2)
  }
  return order
}

/** The way back: `inverse[order[row]] = row`. */
export function inverseOrder(order: Uint32Array): Uint32Array<ArrayBuffer> {
  const inverse = new Uint32Array(order.length)
  for (const [row, from] of order.entries()) inverse[from] = row
  return inverse
}
