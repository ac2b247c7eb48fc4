// exp, log, sin and cos from additions and multiplications only. The last bits of the engine's own functions differ between machines;
// these are the same everywhere, which is what makes training repeatable.

const log2e: f64 = 1.4426950408889634
/** ln 2 in two parts: n * ln2High is exact for |n| < 2^20. */
const ln2High: f64 = 0.693147180369123816490
const ln2Low: f64 = 1.90821492927058770002e-10
const ln2: f64 = 0.6931471805599453

/** 1.5 * 2^23: adding it to a small number rounds that number to an integer, which is then in the low bits of the sum. */
const shifter: f32 = 12582912

/**
 * e^x in four lanes: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor series to r^7 (error 5e-9), 2^n by the exponent bits.
 * Below -87 the result is 1.6e-38 or less but not zero, above 88 it is 1.6e38. NaN stays NaN.
 */
@inline
export function exp4(x: v128): v128 {
  x = f32x4.pmax(f32x4.pmin(x, f32x4.splat(88)), f32x4.splat(-87))
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(<f32>log2e)), f32x4.splat(shifter))
  const n = f32x4.sub(shifted, f32x4.splat(shifter))
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)))
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)))
  let p = f32x4.splat(1.0 / 5040.0)
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 720.0))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 120.0))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24.0))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6.0))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1))
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1))
  const power = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(127 << 23))
  return f32x4.mul(p, power)
}

/** e^x. Error below 1e-15 of the result; 0 below -708, infinity above 709. */
export function exp(x: f64): f64 {
  if (x < -708) return 0
  if (x > 709) return Infinity
  const n = nearest(x * log2e)
  const r = x - n * ln2High - n * ln2Low
  let sum: f64 = 1
  for (let i = 18; i > 0; i--) sum = 1 + (r / <f64>i) * sum
  return sum * reinterpret<f64>((<i64>n + 1023) << 52)
}

/** ln x for a positive normal number: ln m + e ln 2 with m in [sqrt 1/2, sqrt 2), ln m = 2 artanh((m - 1) / (m + 1)). */
export function log(x: f64): f64 {
  const bits = reinterpret<i64>(x)
  let exponent = (bits >> 52) - 1023
  let m = reinterpret<f64>((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000)
  if (m > 1.4142135623730951) {
    m *= 0.5
    exponent++
  }
  const t = (m - 1) / (m + 1)
  const square = t * t
  let sum: f64 = 0
  for (let i = 25; i > 0; i -= 2) sum = sum * square + 1 / <f64>i
  return 2 * t * sum + <f64>exponent * ln2
}

/** sin x and cos x for |x| up to 2^20: the nearest multiple of pi / 2 is taken away in two parts, the rest goes into Taylor series. */
export function sin(x: f64): f64 {
  return quarterTurn(x, 0)
}

export function cos(x: f64): f64 {
  return quarterTurn(x, 1)
}

function quarterTurn(x: f64, quarters: i64): f64 {
  const n = nearest(x * 0.6366197723675814)
  const r = x - n * 1.5707963267341256 - n * 6.077100506506192e-11
  const turn = (<i64>n + quarters) & 3
  const square = r * r
  let sum: f64 = 1
  if ((turn & 1) == 0) {
    for (let i = 22; i > 1; i -= 2) sum = 1 - (square / <f64>(i * (i + 1))) * sum
    sum *= r
  } else {
    for (let i = 21; i > 0; i -= 2) sum = 1 - (square / <f64>(i * (i + 1))) * sum
  }
  return turn < 2 ? sum : -sum
}
