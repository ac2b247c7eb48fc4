// What a proposed upgrade is worth by members' own measurements, as JSON and in words.
import { bytesEqual } from '../../protocol/index.ts'
import type { Measurement, ReceiptView, TallyView } from '../../registry/index.ts'
import { agrees } from '../evidence/confirmations.ts'

export type MeasurementAnswer =
  | { readonly kind: 'not-asked' }
  | {
      readonly kind: 'unmeasured'
      readonly why: 'no-suite' | 'too-few-receipts'
      readonly receipts: number
      readonly needed: number
      /** Whether this node's own is among them. */
      readonly own: boolean
      readonly text: string
    }
  | {
      readonly kind: 'measured'
      /** A measured loser can't be accepted, whatever the votes. */
      readonly loses: boolean
      /** Shares, 0 to 1, of the middle receipt. */
      readonly value: number
      readonly againstValue: number
      readonly difference: number
      readonly standardError: number
      readonly receipts: number
      /** Receipts, the middle one among them, that agree with it. */
      readonly confirmedBy: number
      readonly text: string
    }

/** `self`: the identity of whose node answers. */
export function measurementAnswer(
  { measurement, receipts, receiptsNeeded: needed }: TallyView,
  self: Uint8Array,
): MeasurementAnswer {
  switch (measurement.kind) {
    case 'not-asked':
      return { kind: 'not-asked' }
    case 'unmeasured':
      return {
        ...measurement,
        needed,
        own: receipts.some(({ author }) => bytesEqual(author, self)),
        text: unmeasuredText(measurement, needed),
      }
    case 'measured':
      return measuredAnswer(measurement, receipts)
  }
}

function unmeasuredText({ why, receipts }: Extract<Measurement, { readonly kind: 'unmeasured' }>, needed: number) {
  return why === 'no-suite' ? 'UNMEASURED: no suite is bound' : `UNMEASURED: ${receipts} of ${needed} measurements`
}

function measuredAnswer(
  { median, loses }: Extract<Measurement, { readonly kind: 'measured' }>,
  receipts: readonly ReceiptView[],
): MeasurementAnswer {
  const middle = receipts.find(
    ({ value, againstValue, standardError }) =>
      value - againstValue === median.difference && standardError === median.standardError,
  )
  if (middle === undefined) throw new Error('the middle receipt is none of the receipts')
  const differenceOf = ({ value, againstValue, standardError }: ReceiptView) => ({
    value: value - againstValue,
    error: standardError,
  })
  const confirmedBy = receipts.filter((one) => agrees(differenceOf(middle), differenceOf(one))).length
  const score = `${percent(middle.value)} % against ${percent(middle.againstValue)} %`
  const sign = median.difference < 0 ? '-' : '+'
  const gain = `${sign}${percent(Math.abs(median.difference))} +- ${percent(median.standardError)}`
  return {
    kind: 'measured',
    loses,
    value: middle.value / 1e6,
    againstValue: middle.againstValue / 1e6,
    difference: median.difference / 1e6,
    standardError: median.standardError / 1e6,
    receipts: receipts.length,
    confirmedBy,
    text: `${score}, ${gain}, confirmed by ${confirmedBy} of ${receipts.length}${loses ? ': it loses' : ''}`,
  }
}

/** Millionths as a percentage with at most one digit after the point. */
function percent(millionths: number): string {
  return String(Math.round(millionths / 1e3) / 10)
}
