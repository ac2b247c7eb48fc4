// The Frobenius norm of a product of thin matrices, without the product.

/** A matrix by its columns, all of one length. */
export type Columns = readonly Float64Array[]

/**
 * || sum over k of left[k] right[k]^T ||. With L = Q1 R1 and R = Q2 R2 the product L R^T is Q1 (R1 R2^T) Q2^T, and factors with orthonormal
 * columns leave the Frobenius norm alone: || L R^T || = || R1 R2^T ||, of two triangular matrices no larger than the number of columns
 * (Golub and Van Loan, Matrix Computations, 4th edition, sections 2.3.5 and 5.2). Unlike the trace of the product of the Gram matrices,
 * which is the same number, this squares no condition: differences of 1e-12 of the norm are still seen.
 * Numbers are of the size of F32's: squares of much smaller ones would vanish.
 */
export function productNorm(left: Columns, right: Columns): number {
  const n = left.length
  if (right.length !== n) throw new Error(`${n} columns on the left, ${right.length} on the right`)
  const r1 = triangularFactor(left)
  const r2 = triangularFactor(right)
  let sum = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let entry = 0
      for (let k = Math.max(i, j); k < n; k++) entry += r1[i * n + k]! * r2[j * n + k]!
      sum += entry * entry
    }
  }
  return Math.sqrt(sum)
}

/**
 * R of a QR factorisation by modified Gram-Schmidt, n x n, row by row, zeros below the diagonal. Its Q may lose orthogonality, its R is as
 * good as Householder's (Bjorck, Numerics of Gram-Schmidt orthogonalization, 1994, section 4). A column that depends on those before it
 * leaves a diagonal of about zero, which is no division by zero: it is skipped where it is exactly zero.
 */
function triangularFactor(columns: Columns): Float64Array {
  const n = columns.length
  const rest = columns.map((column) => column.slice())
  const r = new Float64Array(n * n)
  for (let k = 0; k < n; k++) {
    const q = rest[k]!
    const length = Math.sqrt(dot(q, q))
    r[k * n + k] = length
    if (length === 0) continue
    for (let i = 0; i < q.length; i++) q[i]! /= length
    for (let j = k + 1; j < n; j++) {
      const along = dot(q, rest[j]!)
      r[k * n + j] = along
      subtract(rest[j]!, along, q)
    }
  }
  return r
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function subtract(from: Float64Array, times: number, column: Float64Array): void {
  for (let i = 0; i < from.length; i++) from[i]! -= times * column[i]!
}
