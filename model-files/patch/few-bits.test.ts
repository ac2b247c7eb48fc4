import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../random-numbers.ts'
import { addDifferences, foldCodes, foldedLength, quantise, unfoldCodes } from './few-bits.ts'

function someNumbers(count: number, size = 1): Float32Array<ArrayBuffer> {
  const random = randomNumbers(1, count)
  return Float32Array.from({ length: count }, () => random() * random() * size)
}

function relativeError(differences: Float32Array<ArrayBuffer>, bits: number): number {
  const rebuilt = addDifferences(new Float32Array(differences.length), quantise(differences, bits), bits)
  const square = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0)
  return Math.sqrt(square(rebuilt.map((value, i) => value - differences[i]!)) / square(differences))
}

describe('differences of a few bits', () => {
  it('come closer with every bit: twice as close, or nearly', () => {
    const differences = someNumbers(10_000)
    const errors = [2, 3, 4, 5, 6, 7, 8].map((bits) => relativeError(differences, bits))
    expect(errors[0]).toBeLessThan(0.4)
    for (const [i, error] of errors.slice(1).entries()) expect(error).toBeLessThan(errors[i]! / 1.7)
  })

  it('of nothing are nothing, and leave negative zero what it is', () => {
    const older = Float32Array.from([1, -2, 0, -0])
    expect(addDifferences(older, quantise(new Float32Array(4), 2), 2)).toEqual(older)
  })

  it('share a scale with 63 others only', () => {
    const differences = new Float32Array(130).fill(1e-6)
    differences[0] = 1_000
    const rebuilt = addDifferences(new Float32Array(130), quantise(differences, 8), 8)
    expect(rebuilt[128]).toBeCloseTo(1e-6, 8)
    expect(quantise(differences, 8).scales).toHaveLength(3)
  })

  it('fold into as few bytes as fit and unfold again', () => {
    const jobs = fc
      .integer({ min: 2, max: 8 })
      .chain((bits) => fc.tuple(fc.constant(bits), fc.uint8Array({ max: 2 ** bits - 1, maxLength: 50 })))
    fc.assert(
      fc.property(jobs, ([bits, codes]) => {
        const folded = foldCodes(codes, bits)
        expect(folded).toHaveLength(foldedLength(codes.length, bits))
        expect(unfoldCodes(folded, codes.length, bits)).toEqual(codes)
      }),
    )
    expect([2, 3, 4, 5, 8].map((bits) => foldedLength(100, bits))).toEqual([25, 50, 50, 100, 100])
  })
})
