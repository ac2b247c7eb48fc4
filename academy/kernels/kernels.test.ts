import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { randomNumbers } from '../../model-files/index.ts'
import { bindKernels, compileKernels, fastestArithmetic, sharedMemory } from './kernels.ts'
import type { Arithmetic } from './kernels.ts'

function openKernels(arithmetic: Arithmetic) {
  const memory = sharedMemory(8 * 2 ** 20)
  const kernels = bindKernels(compileKernels(arithmetic), memory)
  return { kernels, floats: new Float32Array(memory.buffer) }
}

const plain = openKernels('plain')
const [aAt, bAt, cAt, scratchAt] = [64, 2 ** 20, 2 ** 21, 2 ** 22]

describe.each([plain, openKernels(fastestArithmetic())])('the matrix product', ({ kernels, floats }) => {
  const size = fc.integer({ min: 1, max: 40 })
  test('is right for every size, transposed or not, added or not, and touches nothing beside its result', () => {
    fc.assert(
      fc.property(
        fc.record({ m: size, n: size, k: fc.oneof(size, fc.integer({ min: 250, max: 300 })) }),
        fc.record({ left: fc.boolean(), right: fc.boolean(), add: fc.boolean(), gap: fc.integer({ min: 0, max: 3 }) }),
        fc.integer(),
        ({ m, n, k }, { left, right, add, gap }, seed) => {
          const random = randomNumbers(seed, 0)
          const cRow = n + gap
          const marker = 12_345
          for (let i = 0; i < m * k; i++) floats[aAt / 4 + i] = random()
          for (let i = 0; i < k * n; i++) floats[bAt / 4 + i] = random()
          for (let i = 0; i < m * cRow + 8; i++) floats[cAt / 4 + i] = marker
          const a = (i: number, p: number): number => floats[aAt / 4 + (left ? p * m + i : i * k + p)]!
          const b = (p: number, j: number): number => floats[bAt / 4 + (right ? j * k + p : p * n + j)]!
          const [aStrides, bStrides] = [left ? [1, m] : [k, 1], right ? [1, k] : [n, 1]]
          kernels.gemm(
            m,
            n,
            k,
            aAt,
            aStrides[0]!,
            aStrides[1]!,
            bAt,
            bStrides[0]!,
            bStrides[1]!,
            cAt,
            cRow,
            0.5,
            add,
            scratchAt,
          )
          for (let i = 0; i < m; i++) {
            for (let j = 0; j < cRow; j++) {
              const found = floats[cAt / 4 + i * cRow + j]!
              if (j >= n) {
                expect(found).toBe(marker)
                continue
              }
              let sum = 0
              for (let p = 0; p < k; p++) sum += a(i, p) * b(p, j)
              expect(Math.abs(found - 0.5 * sum - (add ? marker : 0))).toBeLessThan(add ? 0.01 : 1e-4)
            }
          }
          for (let i = 0; i < 8; i++) expect(floats[cAt / 4 + m * cRow + i]).toBe(marker)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('the functions that the trainer has instead of the engine’s', () => {
  const { kernels, floats } = plain
  const near = (found: number, expected: number): void => {
    expect(Math.abs(found - expected)).toBeLessThanOrEqual(4e-15 * Math.max(1, Math.abs(expected)))
  }

  test('exp, log, sin and cos are right to the last bits', () => {
    fc.assert(fc.property(fc.double({ min: -60, max: 60, noNaN: true }), (x) => near(kernels.exp(x) / Math.exp(x), 1)))
    fc.assert(
      fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (x) => near(kernels.log(x), Math.log(x))),
    )
    fc.assert(
      fc.property(fc.double({ min: -1e5, max: 1e5, noNaN: true }), (x) => {
        expect(Math.abs(kernels.sin(x) - Math.sin(x))).toBeLessThan(2e-11)
        expect(Math.abs(kernels.cos(x) - Math.cos(x))).toBeLessThan(2e-11)
      }),
    )
    expect(kernels.exp(0)).toBe(1)
    expect(kernels.cos(0)).toBe(1)
    expect(kernels.log(1)).toBe(0)
  })

  test('the exponential of the activations is right to 2e-7, and SwiGLU of a large gate does not overflow', () => {
    const gates = [-200, -87.5, -30, -1, -0.001, 0, 0.001, 1, 30, 90, 200]
    floats.set(gates, aAt / 4)
    floats.fill(1, bAt / 4, bAt / 4 + gates.length)
    kernels.swiglu(gates.length, aAt, bAt, cAt)
    for (const [i, gate] of gates.entries()) {
      const silu = gate / (1 + Math.exp(-gate))
      expect(Math.abs(floats[cAt / 4 + i]! - silu)).toBeLessThan(2e-7 * Math.max(1, Math.abs(silu)))
    }
  })
})

test('a softmax row may end anywhere, and what lies behind it becomes zero', () => {
  const { kernels, floats } = plain
  const stride = 12
  for (let i = 0; i < 3 * stride; i++) floats[aAt / 4 + i] = (i * 7) % 5
  kernels.causalSoftmax(3, 6, stride, aAt)
  for (let row = 0; row < 3; row++) {
    const values = Array.from({ length: stride }, (_, i) => (((row * stride + i) * 7) % 5) - 4)
    const sum = values.slice(0, 7 + row).reduce((total, value) => total + Math.exp(value), 0)
    for (const [i, value] of values.entries()) {
      const expected = i < 7 + row ? Math.exp(value) / sum : 0
      expect(floats[aAt / 4 + row * stride + i]).toBeCloseTo(expected, 6)
    }
  }
})
