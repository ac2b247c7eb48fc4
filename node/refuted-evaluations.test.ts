import { expect, test } from 'vitest'
import type { ReceiptView } from '../registry/index.ts'
import { aHash, aManifest, anAuthor } from '../testing/objects.ts'
import { refutations } from './refuted-evaluations.ts'

const suite = aHash(77)
const claim = { suite, metric: 'accuracy', value: 900_000, baseValue: 100_000, n: 100, standardError: 30_000 }
const manifest = aManifest({ evaluations: [claim] })

test('a median far below the claim refutes it, with both values and the number of members', () => {
  expect(refutations(manifest, receiptsOf(500_000, 890_000, 480_000), 3)).toEqual([
    { suite: '4d'.repeat(32), claimed: 900_000, measured: 500_000, receipts: 3 },
  ])
})

test('one low measurement among others does not', () => {
  expect(refutations(manifest, receiptsOf(100_000, 890_000, 910_000), 3)).toEqual([])
})

test('what chance explains is no refutation: up to two standard errors of the difference', () => {
  // sqrt(30,000^2 + 40,000^2) = 50,000
  expect(refutations(manifest, receiptsOf(800_000, 800_000, 800_000), 3)).toEqual([])
  expect(refutations(manifest, receiptsOf(799_999, 799_999, 799_999), 3)).toHaveLength(1)
})

test('fewer than three measurements are not enough, unless there are no more members', () => {
  const low = receiptsOf(100_000, 100_000)
  expect(refutations(manifest, low, 3)).toEqual([])
  expect(refutations(manifest, low, 2)).toHaveLength(1)
  expect(refutations(manifest, [], 0)).toEqual([])
})

test.each([
  ['of strangers', { member: false }],
  ['of the publisher', { author: manifest.publisher }],
  ['with another suite', { suite: aHash(78) }],
  ['in another metric', { metric: 'nll' }],
  ['on a base file that the claim was not made on', { file: aHash(14) }],
])('measurements %s do not count', (_whose, facts) => {
  const receipts = receiptsOf(100_000, 100_000, 100_000)
  expect(refutations(manifest, receipts, 3)).toHaveLength(1)
  expect(refutations(manifest, [...receipts.slice(1), { ...receipts[0]!, ...facts }], 3)).toEqual([])
})

test('a member counts once, with what speaks most for the claim', () => {
  const [one, two, three] = receiptsOf(100_000, 100_000, 100_000) as [ReceiptView, ReceiptView, ReceiptView]
  const twice = { ...two, author: one.author, against: aHash(5) }
  expect(refutations(manifest, [one, twice, three], 3)).toEqual([])
  const better = { ...one, value: 890_000, against: aHash(5) }
  expect(refutations(manifest, [one, better, two, three], 3)).toMatchObject([{ measured: 100_000, receipts: 3 }])
  const alsoBetter = { ...two, value: 890_000, against: aHash(5) }
  expect(refutations(manifest, [one, better, two, alsoBetter, three], 3)).toEqual([])
})

/** Of as many members, on the file that `aManifest` was evaluated on. */
function receiptsOf(...values: readonly number[]): ReceiptView[] {
  return values.map((value, i) => ({
    id: aHash(i),
    author: anAuthor(10 + i).identity,
    time: 1,
    release: aHash(1),
    against: undefined,
    suite,
    file: aHash(13),
    metric: 'accuracy',
    value,
    valueError: 40_000,
    againstValue: 100_000,
    standardError: 50_000,
    n: 100,
    member: true,
  }))
}
