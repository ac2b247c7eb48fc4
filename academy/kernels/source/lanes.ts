// Four lanes at a time, and what is left of a row one by one, computed by the same instructions so that a number does not depend on
// the place it has in its row. RELAXED is set by the build: fused multiply-add where the processor has it, other last bits.

@inline
export function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  if (RELAXED != 0) return f32x4.relaxed_madd(a, b, sum)
  return f32x4.add(f32x4.mul(a, b), sum)
}

/** ((lane 0 + lane 1) + (lane 2 + lane 3)), always in this order. */
@inline
export function sumOfLanes(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
}

/** Loads n < 4 floats; the other lanes are zero. */
@inline
export function loadPart(from: usize, n: i32): v128 {
  let x = v128.load32_zero(from)
  if (n > 1) x = f32x4.replace_lane(x, 1, load<f32>(from, 4))
  if (n > 2) x = f32x4.replace_lane(x, 2, load<f32>(from, 8))
  return x
}

@inline
export function storePart(to: usize, x: v128, n: i32): void {
  store<f32>(to, f32x4.extract_lane(x, 0))
  if (n > 1) store<f32>(to, f32x4.extract_lane(x, 1), 4)
  if (n > 2) store<f32>(to, f32x4.extract_lane(x, 2), 8)
}

/** Loads 4 floats, or the n < 4 that are left. */
@inline
export function loadUpTo(from: usize, n: i32): v128 {
  return n >= 4 ? v128.load(from) : loadPart(from, n)
}

@inline
export function storeUpTo(to: usize, x: v128, n: i32): void {
  if (n >= 4) v128.store(to, x)
  else storePart(to, x, n)
}
