import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { inverseOrder, rotaryRowOrder } from './rotary-rows.ts'

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
      const back = inverseOrder(order)
      const inTurn = Array.from({ length: rows }, (_, row) => row)
      expect(inTurn.map((row) => back[order[row]!])).toEqual(inTurn)
      expect(inTurn.map((row) => order[back[row]!])).toEqual(inTurn)
    }),
  )
})
