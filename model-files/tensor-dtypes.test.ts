import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ggmlTypes } from './gguf-format.ts'
import {
  bf16ToBits,
  decodeTensor,
  dtypeOf,
  encodeTensor,
  f16FromBits,
  f16ToBits,
  indexOfNonFinite,
} from './tensor-dtypes.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const allPatterns = Array.from({ length: 65_536 }, (_, bits) => bits)
const bf16FromBits = (bits: number): number => decodeTensor('BF16', Uint8Array.of(bits & 255, bits >>> 8))[0]!
const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -3e38, max: 3e38 })

describe('half precision', () => {
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [0.1, 0x2e66],
    [1 / 3, 0x3555],
    [65_504, 0x7bff],
    [65_519.999, 0x7bff],
    [65_520, 0x7c00],
    [-Infinity, 0xfc00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * (1 + 2 ** -40), 0x0001],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [1 + 2 ** -11 + 2 ** -40, 0x3c01],
    [2047.5 * 2 ** -25, 0x0400],
  ])('%d is stored as its known bit pattern', (value, bits) => {
    expect(f16ToBits(value)).toBe(bits)
  })

  test('every one of the 65536 patterns but NaN survives a round trip', () => {
    const changed = allPatterns.filter(
      (bits) => !Number.isNaN(f16FromBits(bits)) && f16ToBits(f16FromBits(bits)) !== bits,
    )
    expect(changed).toEqual([])
    expect(allPatterns.filter((bits) => Number.isNaN(f16FromBits(bits)))).toHaveLength(2 * 1023)
  })

  test('rounding picks the nearest neighbour, and the even one of two', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -65_504, max: 65_504 }), (value) => {
        const bits = f16ToBits(value)
        const error = Math.abs(f16FromBits(bits) - value)
        for (const neighbour of [bits - 1, bits + 1]) {
          if (neighbour < 0 || !Number.isFinite(f16FromBits(neighbour & 0xffff))) continue
          const other = Math.abs(f16FromBits(neighbour & 0xffff) - value)
          expect(other > error || (other === error && bits % 2 === 0)).toBe(true)
        }
      }),
    )
  })
})

describe('bfloat16', () => {
  test.each([
    [1, 0x3f80],
    [-0, 0x8000],
    [0.1, 0x3dcd],
    [1 + 2 ** -8, 0x3f80],
    [1 + 3 * 2 ** -8, 0x3f82],
    [1 + 2 ** -8 + 2 ** -40, 0x3f81],
    [3.4e38, 0x7f80],
    [3.38e38, 0x7f7e],
    [2 ** -133, 0x0001],
    [2 ** -126, 0x0080],
    [-Infinity, 0xff80],
  ])('%d is stored as its known bit pattern', (value, bits) => {
    expect(bf16ToBits(value)).toBe(bits)
  })

  test('every pattern but NaN survives a round trip', () => {
    const changed = allPatterns.filter(
      (bits) => !Number.isNaN(bf16FromBits(bits)) && bf16ToBits(bf16FromBits(bits)) !== bits,
    )
    expect(changed).toEqual([])
    expect(allPatterns.filter((bits) => Number.isNaN(bf16FromBits(bits)))).toHaveLength(2 * 127)
  })
})

describe('Q8_0', () => {
  test('a block is an F16 scale and 32 signed bytes', () => {
    const values = new Float32Array(32)
    values.set([127, -127, 1, 0.5, -0.5, 0.4999, 63.5])
    expect(hex(encodeTensor('Q8_0', values))).toBe(`003c7f810101ff0040${'00'.repeat(25)}`)
  })

  test('zeros stay zeros', () => {
    expect(hex(encodeTensor('Q8_0', new Float32Array(64)))).toBe('00'.repeat(68))
  })

  test('each value comes back within half a step plus the rounding of the scale', () => {
    const block = fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(block, (list) => {
        const values = Float32Array.from(list)
        const largest = Math.max(...values.map(Math.abs))
        const back = decodeTensor('Q8_0', encodeTensor('Q8_0', values))
        const tolerance = (largest / 127) * 0.5 * 1.001 + largest * 2 ** -11 + 127 * 2 ** -25
        for (const [index, value] of values.entries()) {
          expect(Math.abs(back[index]! - value)).toBeLessThanOrEqual(tolerance)
        }
      }),
    )
  })

  test('encoding what was decoded changes nothing', () => {
    const block = fc.array(fc.integer({ min: -127, max: 127 }), { minLength: 31, maxLength: 31 })
    fc.assert(
      fc.property(block, fc.integer({ min: -10, max: 10 }), (levels, exponent) => {
        const values = Float32Array.from([127, ...levels], (level) => level * 2 ** exponent)
        const bytes = encodeTensor('Q8_0', values)
        expect(decodeTensor('Q8_0', bytes)).toEqual(values)
        expect(hex(encodeTensor('Q8_0', decodeTensor('Q8_0', bytes)))).toBe(hex(bytes))
      }),
    )
  })

  test('a partial block or a value that is not finite is a bug of the caller', () => {
    expect(() => encodeTensor('Q8_0', new Float32Array(33))).toThrow(Error)
    expect(() => decodeTensor('Q8_0', new Uint8Array(35))).toThrow(Error)
    expect(() => encodeTensor('Q8_0', new Float32Array(32).fill(NaN))).toThrow(Error)
  })
})

test('F32 keeps every f32 value and rounds doubles like Math.fround', () => {
  fc.assert(
    fc.property(fc.array(finite), (list) => {
      const back = decodeTensor('F32', encodeTensor('F32', Float64Array.from(list)))
      expect([...back]).toEqual(list.map(Math.fround))
    }),
  )
})

test('tensors are read at any byte offset of a larger buffer', () => {
  const inner = encodeTensor('F32', Float32Array.of(1, 2, 3))
  const outer = new Uint8Array(inner.length + 3)
  outer.set(inner, 3)
  expect([...decodeTensor('F32', outer.subarray(3))]).toEqual([1, 2, 3])
})

test('only four of the GGUF types may stand in an adapter', () => {
  const allowed = Object.values(ggmlTypes).filter((type) => dtypeOf(type) !== undefined)
  expect(allowed).toEqual([ggmlTypes.F32, ggmlTypes.F16, ggmlTypes.Q8_0, ggmlTypes.BF16])
})

test('the first value that is not finite is found', () => {
  expect(indexOfNonFinite(Float32Array.of(1, 2, NaN, Infinity))).toBe(2)
  expect(indexOfNonFinite(Float32Array.of(1, 2))).toBe(-1)
})
