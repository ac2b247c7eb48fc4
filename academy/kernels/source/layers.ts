// The parts of a llama block that are not matrix products, forwards and backwards. Shapes: (rows, width) row-major float32, pointers in
// bytes. Sums run in a fixed order, so the same rows give the same bits whichever thread computes them.
import { loadUpTo, multiplyAdd, storeUpTo, sumOfLanes } from './lanes'
import { exp4, log } from './transcendental'

/** out = x / sqrt(mean(x^2) + epsilon) * weight, row by row; inverse[row] keeps 1 / sqrt(...) for the way back. */
export function rmsNorm(rows: i32, width: i32, x: usize, weight: usize, out: usize, inverse: usize, epsilon: f32): void {
  const bytes = <usize>width << 2
  for (let row = 0; row < rows; row++, x += bytes, out += bytes) {
    let squares = f32x4.splat(0)
    for (let i = 0; i < width; i += 4) {
      const v = loadUpTo(x + (<usize>i << 2), width - i)
      squares = multiplyAdd(v, v, squares)
    }
    const scale: f32 = 1 / sqrt<f32>(sumOfLanes(squares) / <f32>width + epsilon)
    store<f32>(inverse + (<usize>row << 2), scale)
    const factor = f32x4.splat(scale)
    for (let i = 0; i < width; i += 4) {
      const at = <usize>i << 2
      const v = f32x4.mul(loadUpTo(x + at, width - i), factor)
      storeUpTo(out + at, f32x4.mul(v, loadUpTo(weight + at, width - i)), width - i)
    }
  }
}

/**
 * dX += and, unless dWeight is 0, dWeight +=, given dOut. With s = inverse[row] and g = weight dOut:
 * dX = s g - x s^3 / width * sum(g x), dWeight = sum over rows of dOut x s.
 */
export function rmsNormBackward(
  rows: i32, width: i32, x: usize, weight: usize, inverse: usize, dOut: usize, dX: usize, dWeight: usize,
): void {
  const bytes = <usize>width << 2
  for (let row = 0; row < rows; row++, x += bytes, dOut += bytes, dX += bytes) {
    const scale = load<f32>(inverse + (<usize>row << 2))
    const factor = f32x4.splat(scale)
    let sum = f32x4.splat(0)
    for (let i = 0; i < width; i += 4) {
      const at = <usize>i << 2
      const g = f32x4.mul(loadUpTo(dOut + at, width - i), loadUpTo(weight + at, width - i))
      sum = multiplyAdd(g, loadUpTo(x + at, width - i), sum)
    }
    const pull = f32x4.splat(-scale * scale * scale * (sumOfLanes(sum) / <f32>width))
    for (let i = 0; i < width; i += 4) {
      const at = <usize>i << 2
      const left = width - i
      const d = loadUpTo(dOut + at, left)
      const v = loadUpTo(x + at, left)
      const g = f32x4.mul(d, loadUpTo(weight + at, left))
      storeUpTo(dX + at, f32x4.add(loadUpTo(dX + at, left), multiplyAdd(g, factor, f32x4.mul(v, pull))), left)
      if (dWeight != 0) {
        const old = loadUpTo(dWeight + at, left)
        storeUpTo(dWeight + at, multiplyAdd(f32x4.mul(d, v), factor, old), left)
      }
    }
  }
}

/**
 * Rotary position embedding of x (rows, heads * headSize) in place, pairs (2i, 2i + 1) of the first `turned` numbers of each head.
 * table: per position `turned` floats, cos and sin of each pair in turn. direction -1 turns back, which is also the way of gradients.
 */
export function rotate(
  rows: i32, heads: i32, headSize: i32, turned: i32, x: usize, positions: usize, table: usize, direction: f32,
): void {
  for (let row = 0; row < rows; row++) {
    const angles = table + (<usize>(load<i32>(positions + (<usize>row << 2)) * turned) << 2)
    for (let head = 0; head < heads; head++) {
      const start = x + (<usize>((row * heads + head) * headSize) << 2)
      for (let i = 0; i < turned; i += 2) {
        const at = <usize>i << 2
        const cosine = load<f32>(angles + at)
        const sine = load<f32>(angles + at, 4) * direction
        const u = load<f32>(start + at)
        const v = load<f32>(start + at, 4)
        store<f32>(start + at, u * cosine - v * sine)
        store<f32>(start + at, u * sine + v * cosine, 4)
      }
    }
  }
}

/**
 * Softmax of each row of (rows, stride) over its first `first` + row + 1 numbers, in place; what lies behind them becomes 0. `first` is
 * how many tokens stand before the first row's.
 */
export function causalSoftmax(rows: i32, first: i32, stride: i32, scores: usize): void {
  for (let row = 0; row < rows; row++, scores += <usize>stride << 2) {
    const n = first + row + 1
    softmax(scores, n)
    for (let i = n; i < stride; i++) store<f32>(scores + (<usize>i << 2), 0)
  }
}

/** The largest of n numbers; NaN may be passed over, the softmax then has it all the same. */
function largest(x: usize, n: i32): f32 {
  let lanes = f32x4.splat(-Infinity)
  let i = 0
  for (; i + 4 <= n; i += 4) lanes = f32x4.pmax(lanes, v128.load(x + (<usize>i << 2)))
  let most = max<f32>(
    max<f32>(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)),
    max<f32>(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)),
  )
  for (; i < n; i++) most = max<f32>(most, load<f32>(x + (<usize>i << 2)))
  return most
}

/** Softmax of n numbers in place. Returns nothing: whoever needs the logarithm of the sum computes it from a probability. */
function softmax(x: usize, n: i32): void {
  const shift = f32x4.splat(largest(x, n))
  let sum = f32x4.splat(0)
  for (let i = 0; i < n; i += 4) {
    const at = x + (<usize>i << 2)
    const left = n - i
    const e = exp4(f32x4.sub(loadUpTo(at, left), shift))
    storeUpTo(at, e, left)
    // The lanes behind the last number must not count: read back what was stored.
    sum = f32x4.add(sum, left >= 4 ? e : loadUpTo(at, left))
  }
  const factor = f32x4.splat(1 / sumOfLanes(sum))
  for (let i = 0; i < n; i += 4) {
    const at = x + (<usize>i << 2)
    storeUpTo(at, f32x4.mul(loadUpTo(at, n - i), factor), n - i)
  }
}

/** Turns d probabilities into d scores in place: dS = P (dP - sum(dP P)), row by row of (rows, stride) as above. */
export function causalSoftmaxBackward(rows: i32, first: i32, stride: i32, probabilities: usize, d: usize): void {
  const bytes = <usize>stride << 2
  for (let row = 0; row < rows; row++, probabilities += bytes, d += bytes) {
    const n = first + row + 1
    let sum = f32x4.splat(0)
    for (let i = 0; i < n; i += 4) {
      const at = <usize>i << 2
      sum = multiplyAdd(loadUpTo(d + at, n - i), loadUpTo(probabilities + at, n - i), sum)
    }
    const mean = f32x4.splat(sumOfLanes(sum))
    for (let i = 0; i < n; i += 4) {
      const at = <usize>i << 2
      const s = f32x4.mul(loadUpTo(probabilities + at, n - i), f32x4.sub(loadUpTo(d + at, n - i), mean))
      storeUpTo(d + at, s, n - i)
    }
    for (let i = n; i < stride; i++) store<f32>(d + (<usize>i << 2), 0)
  }
}

/** out = gate / (1 + e^-gate) * up */
export function swiglu(n: i32, gate: usize, up: usize, out: usize): void {
  const one = f32x4.splat(1)
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const g = loadUpTo(gate + at, n - i)
    const silu = f32x4.div(g, f32x4.add(one, exp4(f32x4.neg(g))))
    storeUpTo(out + at, f32x4.mul(silu, loadUpTo(up + at, n - i)), n - i)
  }
}

/** dGate and dUp from dOut; dGate and dUp may be the places of gate and up. silu'(g) = s (1 + g (1 - s)) with s the logistic function. */
export function swigluBackward(n: i32, gate: usize, up: usize, dOut: usize, dGate: usize, dUp: usize): void {
  const one = f32x4.splat(1)
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const left = n - i
    const g = loadUpTo(gate + at, left)
    const u = loadUpTo(up + at, left)
    const d = loadUpTo(dOut + at, left)
    const s = f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(g))))
    const slope = f32x4.mul(s, f32x4.add(one, f32x4.mul(g, f32x4.sub(one, s))))
    storeUpTo(dGate + at, f32x4.mul(f32x4.mul(d, u), slope), left)
    storeUpTo(dUp + at, f32x4.mul(d, f32x4.mul(g, s)), left)
  }
}

/** x += y */
export function add(n: i32, x: usize, y: usize): void {
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 2
    storeUpTo(x + at, f32x4.add(loadUpTo(x + at, n - i), loadUpTo(y + at, n - i)), n - i)
  }
}

/** out[i] = table[ids[i]], rows of `width` floats */
export function gatherRows(rows: i32, width: i32, table: usize, ids: usize, out: usize): void {
  const bytes = <usize>width << 2
  for (let row = 0; row < rows; row++) {
    memory.copy(out + <usize>row * bytes, table + <usize>load<i32>(ids + (<usize>row << 2)) * bytes, bytes)
  }
}

/** table[ids[i]] += x[i], in the order of the rows */
export function scatterAddRows(rows: i32, width: i32, x: usize, ids: usize, table: usize): void {
  const bytes = <usize>width << 2
  for (let row = 0; row < rows; row++) {
    add(width, table + <usize>load<i32>(ids + (<usize>row << 2)) * bytes, x + <usize>row * bytes)
  }
}

/**
 * Cross-entropy of rows of logits against target ids. Gives the sum of -ln p(target) and, if `share` is not 0, leaves
 * share * (softmax - onehot), the gradient of share * sum, in the place of the logits (else the softmax).
 */
export function crossEntropy(rows: i32, vocabulary: i32, logits: usize, targets: usize, share: f32): f64 {
  let total: f64 = 0
  const factor = f32x4.splat(share)
  for (let row = 0; row < rows; row++, logits += <usize>vocabulary << 2) {
    const target = logits + (<usize>load<i32>(targets + (<usize>row << 2)) << 2)
    softmax(logits, vocabulary)
    total -= log(max<f64>(<f64>load<f32>(target), 1e-38))
    if (share == 0) continue
    store<f32>(target, load<f32>(target) - 1)
    for (let i = 0; i < vocabulary; i += 4) {
      const at = logits + (<usize>i << 2)
      storeUpTo(at, f32x4.mul(loadUpTo(at, vocabulary - i), factor), vocabulary - i)
    }
  }
  return total
}
