import { describe, expect, test } from 'vitest'
import type { ReceiptView } from '../../registry/index.ts'
import { confirm, confirmationText, middleOf } from './confirmations.ts'

const aReceipt = (by: number, percent: number, valueError = 20_000): ReceiptView => ({
  id: new Uint8Array(32).fill(by),
  author: new Uint8Array(32).fill(by),
  time: 0,
  release: new Uint8Array(32),
  against: undefined,
  suite: new Uint8Array(32),
  file: new Uint8Array(32),
  metric: 'exact-match',
  value: percent * 10_000,
  valueError,
  againstValue: 0,
  standardError: 0,
  n: 100,
  member: true,
})

describe('a claimed score', () => {
  const claim = { value: 920_000, error: 30_000 }

  test('is confirmed by measurements within twice the error of the difference, and says who got something else', () => {
    const confirmation = confirm(claim, [
      aReceipt(1, 92),
      aReceipt(2, 90),
      aReceipt(3, 95),
      aReceipt(4, 89),
      aReceipt(5, 60),
    ])
    expect(confirmationText(confirmation)).toBe('92 % +- 3, confirmed by 4 of 5')
    expect(confirmation.disagree).toEqual([{ by: new Uint8Array(32).fill(5), value: 600_000 }])
  })

  test('that nobody else measured says so', () => {
    expect(confirmationText(confirm(claim, []))).toBe('92 % +- 3, confirmed by nobody yet')
  })

  test('of all right answers is no certainty: one question in a hundred may differ', () => {
    const sure = { value: 1_000_000, error: 0 }
    expect(confirm(sure, [aReceipt(1, 99, 0)]).agree).toHaveLength(1)
    expect(confirm(sure, [aReceipt(1, 98, 0)]).agree).toHaveLength(0)
  })
})

test('without a claim the middle receipt speaks, the lower of two', () => {
  expect(middleOf([aReceipt(1, 90), aReceipt(2, 50)])?.value).toBe(500_000)
  expect(middleOf([])).toBeUndefined()
})
