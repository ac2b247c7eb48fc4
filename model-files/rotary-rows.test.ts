import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { reorderRows, rotaryRowOrder } from './rotary-rows.ts'

test('the halves of a head are interleaved, head by head', () => {
  expect([...rotaryRowOrder(12, 2)!]).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
})

test('rows that do not make whole even heads have no order', () => {
  expect(rotaryRowOrder(10, 4)).toBeUndefined()
  expect(rotaryRowOrder(6, 2)).toBeUndefined()
  expect(rotaryRowOrder(0, 2)).toBeUndefined()
  expect(rotaryRowOrder(8, 0)).toBeUndefined()
})

const sizes = fc.record({ heads: fc.integer({ min: 1, max: 9 }), half: fc.integer({ min: 1, max: 9 }) })

test('it is a bijection that stays within each head, and undoing it gives the rows back', () => {
  fc.assert(
    fc.property(sizes, ({ heads, half }) => {
      const rows = heads * half * 2
      const order = rotaryRowOrder(rows, heads)!
      expect([...order].toSorted((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, row) => row))
      expect([...order].every((from, row) => Math.floor(from / (half * 2)) === Math.floor(row / (half * 2)))).toBe(true)
      const back = new Uint32Array(rows)
      for (const [row, from] of order.entries()) back[from] = row
      const bytes = Uint8Array.from({ length: rows * 3 }, (_, index) => index % 251)
      expect(reorderRows(reorderRows(bytes, 3, order), 3, back)).toEqual(bytes)
      expect(reorderRows(reorderRows(bytes, 3, back), 3, order)).toEqual(bytes)
    }),
  )
})
