import { describe, expect, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import type { SignedRecord } from '../protocol/index.ts'
import { aLog, anAuthor, saysUnknown } from './testing/builders.ts'
import { inlineMax, verifyInWorkers } from './verify-in-workers.ts'

const log = aLog(
  anAuthor('alice'),
  'public',
  Array.from({ length: 999 }, (_, i) => saysUnknown(`number ${i}`)),
)
const signed: SignedRecord[] = log.map(({ envelope, body }) => ({ envelope, body }))

describe('records checked in workers', () => {
  test('come out as verifyRecord gives them, in their order; so do a few, which are checked here', async () => {
    await using verifier = verifyInWorkers(2)
    expect(await verifier.verify(signed)).toEqual(log)
    expect(await verifier.verify(signed.slice(0, inlineMax))).toEqual(log.slice(0, inlineMax))
    expect(await verifier.verify([])).toEqual([])
  })

  test('of several requests at once come to each its own', async () => {
    await using verifier = verifyInWorkers(2)
    const parts = [signed.slice(0, 400), signed.slice(400, 800), signed.slice(800)]
    const results = await Promise.all(parts.map((part) => verifier.verify(part)))
    expect(results.flat().map(({ id }) => toHex(id))).toEqual(log.map(({ id }) => toHex(id)))
  })

  test('are refused with the error of the first that does not hold, and later requests still work', async () => {
    await using verifier = verifyInWorkers(2)
    const envelope = signed[700]!.envelope
    const wrong = { ...signed[700]!, envelope: envelope.with(-1 + envelope.length, envelope.at(-1)! ^ 1) }
    const swapped = { ...signed[300]!, body: signed[301]!.body }
    const some = signed.with(700, wrong)
    await expect(verifier.verify(some)).rejects.toMatchObject({ code: 'bad-signature', blame: 'peer' })
    await expect(verifier.verify(some.with(300, swapped))).rejects.toMatchObject({ code: 'hash-mismatch' })
    expect(await verifier.verify(signed)).toHaveLength(log.length)
  })

  test('are given up when the verifier is closed, and nobody waits for them', async () => {
    const verifier = verifyInWorkers(2)
    const outcome = verifier.verify(signed).catch((error: unknown) => error)
    await verifier[Symbol.asyncDispose]()
    expect(await outcome).toMatchObject({ code: 'aborted' })
    await expect(verifier.verify(signed)).rejects.toThrow('closed')
  })
})
