// Matrix product of strided float32 matrices: packed panels, one register tile of 4 rows by 8 columns.
// Panels are padded with zeros, so any size is right, whatever the tile divides.
import { multiplyAdd } from './lanes'

const tileRows: i32 = 4
const tileColumns: i32 = 8
/** Depth and width of a block of B: 256 x 512 floats stay in a core's second cache. */
const blockDepth: i32 = 256
const blockColumns: i32 = 512

/** Bytes that `gemm` needs at `scratch`: a block of B, a panel of A and one tile. */
export function gemmScratchBytes(): i32 {
  return (blockColumns * blockDepth + tileRows * blockDepth + tileRows * tileColumns) << 2
}

/**
 * C = alpha A B, or C += alpha A B if `accumulate`; A is m x k, B is k x n, C is m x n with rows `cRow` floats apart.
 * A[i][p] lies at a + i aRow + p aColumn, B[p][j] at b + p bRow + j bColumn (strides in floats): a transpose is a pair of strides.
 * Each C[i][j] is summed over p in order, in blocks of `blockDepth`: the result does not depend on who computes which rows.
 */
export function gemm(
  m: i32, n: i32, k: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32,
  c: usize, cRow: i32,
  alpha: f32, accumulate: bool, scratch: usize,
): void {
  const packedB = scratch
  const packedA = packedB + ((blockColumns * blockDepth) << 2)
  const tile = packedA + ((tileRows * blockDepth) << 2)
  const factor = f32x4.splat(alpha)
  const cStep = <usize>cRow << 2
  for (let p = 0; p < k; p += blockDepth) {
    const depth = min(blockDepth, k - p)
    const add = accumulate || p > 0
    for (let column = 0; column < n; column += blockColumns) {
      const columns = min(blockColumns, n - column)
      // What is used once or twice is read where it lies: packing would cost as much as multiplying.
      const readsB = m <= 2 * tileRows && bColumn == 1
      const readsA = columns <= tileColumns
      const bAt = b + (<usize>(p * bRow + column * bColumn) << 2)
      for (let j = 0; j < columns; j += tileColumns) {
        const width = min(tileColumns, columns - j)
        if (readsB && width == tileColumns) continue
        pack(bAt + (<usize>(j * bColumn) << 2), width, bColumn, depth, bRow, packedB + (<usize>(j * depth) << 2), tileColumns)
      }
      for (let i = 0; i < m; i += tileRows) {
        const rows = min(tileRows, m - i)
        const aAt = a + (<usize>(i * aRow + p * aColumn) << 2)
        const packsA = !readsA || rows < tileRows
        if (packsA) pack(aAt, rows, aRow, depth, aColumn, packedA, tileRows)
        for (let j = 0; j < columns; j += tileColumns) {
          const panel = packedB + (<usize>(j * depth) << 2)
          const to = c + <usize>i * cStep + (<usize>(column + j) << 2)
          const width = min(tileColumns, columns - j)
          const whole = rows == tileRows && width == tileColumns
          const target = whole ? to : tile
          const targetStep = whole ? cStep : tileColumns << 2
          const addNow = whole && add
          if (packsA && !(readsB && width == tileColumns)) {
            multiplyTile(depth, packedA, panel, target, targetStep, factor, addNow)
          } else {
            const left = packsA ? packedA : aAt
            const leftRow = packsA ? 1 : aRow
            const leftStep = packsA ? tileRows : aColumn
            const direct = readsB && width == tileColumns
            const right = direct ? bAt + (<usize>j << 2) : panel
            const rightStep = direct ? bRow : tileColumns
            multiplyInPlace(depth, left, leftRow, leftStep, right, rightStep, target, targetStep, factor, addNow)
          }
          if (!whole) copyPart(tile, rows, width, to, cStep, add)
        }
      }
    }
  }
}

/**
 * Copies a strip of `count` lanes and `depth` steps so that the lanes of one step lie together: to[step * lanes + lane]. Lanes from
 * `count` on become zero. Strides in floats.
 */
function pack(from: usize, count: i32, laneStride: i32, depth: i32, stepStride: i32, to: usize, lanes: i32): void {
  const laneBytes = <usize>laneStride << 2
  const stepBytes = <usize>stepStride << 2
  const toBytes = <usize>lanes << 2
  if (count == lanes && laneStride == 1) {
    for (let step = 0; step < depth; step++, from += stepBytes, to += toBytes) {
      v128.store(to, v128.load(from))
      if (lanes == 8) v128.store(to, v128.load(from, 16), 16)
    }
    return
  }
  let lane = 0
  if (stepStride == 1) {
    for (; lane + 4 <= count; lane += 4) packFour(from + <usize>lane * laneBytes, laneBytes, depth, to + (<usize>lane << 2), toBytes)
  }
  for (; lane < lanes; lane++) {
    let source = from + <usize>lane * laneBytes
    let target = to + (<usize>lane << 2)
    if (lane < count) {
      for (let step = 0; step < depth; step++, source += stepBytes, target += toBytes) store<f32>(target, load<f32>(source))
    } else {
      for (let step = 0; step < depth; step++, target += toBytes) store<f32>(target, 0)
    }
  }
}

/** Four lanes whose steps lie side by side: transposes squares of four. */
function packFour(from: usize, laneBytes: usize, depth: i32, to: usize, toBytes: usize): void {
  const second = from + laneBytes, third = second + laneBytes, fourth = third + laneBytes
  let step = 0
  for (; step + 4 <= depth; step += 4, to += 4 * toBytes) {
    const at = <usize>step << 2
    const a = v128.load(from + at), b = v128.load(second + at), c = v128.load(third + at), d = v128.load(fourth + at)
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
    const AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7), CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
    v128.store(to, v128.shuffle<f64>(ab, cd, 0, 2))
    v128.store(to + toBytes, v128.shuffle<f64>(ab, cd, 1, 3))
    v128.store(to + 2 * toBytes, v128.shuffle<f64>(AB, CD, 0, 2))
    v128.store(to + 3 * toBytes, v128.shuffle<f64>(AB, CD, 1, 3))
  }
  for (; step < depth; step++, to += toBytes) {
    const at = <usize>step << 2
    store<f32>(to, load<f32>(from + at))
    store<f32>(to, load<f32>(second + at), 4)
    store<f32>(to, load<f32>(third + at), 8)
    store<f32>(to, load<f32>(fourth + at), 12)
  }
}

/**
 * The inner loop: eight accumulators of four lanes, two of B and one of A fit into sixteen vector registers. Two steps a round were
 * a third slower: the engine then runs out of registers.
 */
function multiplyTile(depth: i32, a: usize, b: usize, c: usize, cStep: usize, factor: v128, add: bool): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0)
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0)
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0)
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0)
  let b0 = c00, b1 = c00, x = c00
  const end = a + (<usize>depth << 4)
  for (; a < end; a += 16, b += 32) {
    b0 = v128.load(b, 0)
    b1 = v128.load(b, 16)
    x = v128.load32_splat(a, 0)
    c00 = multiplyAdd(x, b0, c00)
    c01 = multiplyAdd(x, b1, c01)
    x = v128.load32_splat(a, 4)
    c10 = multiplyAdd(x, b0, c10)
    c11 = multiplyAdd(x, b1, c11)
    x = v128.load32_splat(a, 8)
    c20 = multiplyAdd(x, b0, c20)
    c21 = multiplyAdd(x, b1, c21)
    x = v128.load32_splat(a, 12)
    c30 = multiplyAdd(x, b0, c30)
    c31 = multiplyAdd(x, b1, c31)
  }
  storeRow(c, c00, c01, factor, add)
  storeRow(c + cStep, c10, c11, factor, add)
  storeRow(c + 2 * cStep, c20, c21, factor, add)
  storeRow(c + 3 * cStep, c30, c31, factor, add)
}

/** The same sums in the same order, with rows of A and steps of both wherever they lie (strides in floats). */
function multiplyInPlace(
  depth: i32, a: usize, aRow: i32, aStep: i32, b: usize, bStep: i32, c: usize, cStep: usize, factor: v128, add: bool,
): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0)
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0)
  let c20 = f32x4.splat(0), c21 = f32x4.splat(0)
  let c30 = f32x4.splat(0), c31 = f32x4.splat(0)
  const row = <usize>aRow << 2
  const aBytes = <usize>aStep << 2
  const bBytes = <usize>bStep << 2
  for (let step = 0; step < depth; step++, a += aBytes, b += bBytes) {
    const b0 = v128.load(b), b1 = v128.load(b, 16)
    let x = v128.load32_splat(a)
    c00 = multiplyAdd(x, b0, c00)
    c01 = multiplyAdd(x, b1, c01)
    x = v128.load32_splat(a + row)
    c10 = multiplyAdd(x, b0, c10)
    c11 = multiplyAdd(x, b1, c11)
    x = v128.load32_splat(a + 2 * row)
    c20 = multiplyAdd(x, b0, c20)
    c21 = multiplyAdd(x, b1, c21)
    x = v128.load32_splat(a + 3 * row)
    c30 = multiplyAdd(x, b0, c30)
    c31 = multiplyAdd(x, b1, c31)
  }
  storeRow(c, c00, c01, factor, add)
  storeRow(c + cStep, c10, c11, factor, add)
  storeRow(c + 2 * cStep, c20, c21, factor, add)
  storeRow(c + 3 * cStep, c30, c31, factor, add)
}

@inline
function storeRow(to: usize, x: v128, y: v128, factor: v128, add: bool): void {
  x = f32x4.mul(x, factor)
  y = f32x4.mul(y, factor)
  if (add) {
    x = f32x4.add(x, v128.load(to))
    y = f32x4.add(y, v128.load(to, 16))
  }
  v128.store(to, x)
  v128.store(to, y, 16)
}

function copyPart(tile: usize, rows: i32, columns: i32, to: usize, step: usize, add: bool): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const target = to + <usize>i * step + (<usize>j << 2)
      const value = load<f32>(tile + (<usize>(i * tileColumns + j) << 2))
      store<f32>(target, add ? load<f32>(target) + value : value)
    }
  }
}
