// From the gradients of the shards to new parameters.
import { loadUpTo, storeUpTo } from './lanes'

/** out = sum of `count` vectors of n floats that lie `stride` bytes apart, in order. Returns the sum of squares of the result. */
export function sumShards(n: i32, shards: usize, count: i32, stride: usize, out: usize): f64 {
  let squares: f64 = 0
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 2
    let sum = loadUpTo(shards + at, n - i)
    for (let shard = 1; shard < count; shard++) {
      sum = f32x4.add(sum, loadUpTo(shards + <usize>shard * stride + at, n - i))
    }
    storeUpTo(out + at, sum, n - i)
    const low = f64x2.promote_low_f32x4(sum)
    const high = f64x2.promote_low_f32x4(i32x4.shuffle(sum, sum, 2, 3, 2, 3))
    const both = f64x2.add(f64x2.mul(low, low), f64x2.mul(high, high))
    squares += f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1)
  }
  return squares
}

/**
 * One step of Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019) on n parameters, their moments in place.
 * `scale` multiplies the gradient first (clipping); `correction1` = 1 / (1 - beta1^t), `correction2` = 1 / (1 - beta2^t).
 */
export function adam(
  n: i32, parameters: usize, gradients: usize, mean: usize, square: usize,
  scale: f32, rate: f32, beta1: f32, beta2: f32, epsilon: f32, correction1: f32, correction2: f32, decay: f32,
): void {
  const one: f32 = 1
  for (let i = 0; i < n; i += 4) {
    const at = <usize>i << 2
    const left = n - i
    const g = f32x4.mul(loadUpTo(gradients + at, left), f32x4.splat(scale))
    const w = loadUpTo(parameters + at, left)
    const m = f32x4.add(f32x4.mul(loadUpTo(mean + at, left), f32x4.splat(beta1)), f32x4.mul(g, f32x4.splat(one - beta1)))
    const gg = f32x4.mul(g, g)
    const v = f32x4.add(f32x4.mul(loadUpTo(square + at, left), f32x4.splat(beta2)), f32x4.mul(gg, f32x4.splat(one - beta2)))
    storeUpTo(mean + at, m, left)
    storeUpTo(square + at, v, left)
    const root = f32x4.add(f32x4.sqrt(f32x4.mul(v, f32x4.splat(correction2))), f32x4.splat(epsilon))
    const move = f32x4.add(f32x4.div(f32x4.mul(m, f32x4.splat(correction1)), root), f32x4.mul(w, f32x4.splat(decay)))
    storeUpTo(parameters + at, f32x4.sub(w, f32x4.mul(move, f32x4.splat(rate))), left)
  }
}
