import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { kit } from '../testing/kit.ts'
import { aHash, aRootKey } from '../testing/objects.ts'
import { fromHex, mutableItemBytes, signBytes, utf8, verifyBytes, verifyRaw } from './index.ts'

const key = aRootKey(1)

describe('the one verifier', () => {
  const message = utf8('the same words')
  const signature = signBytes('record', message, key.secretKey)

  it('accepts what was signed for the same purpose and nothing else', () => {
    expect(verifyBytes('record', message, signature, key.publicKey)).toBe(true)
    expect(verifyBytes('manifest', message, signature, key.publicKey)).toBe(false)
    expect(verifyBytes('record', utf8('other words'), signature, key.publicKey)).toBe(false)
    expect(verifyBytes('record', message, signature, aRootKey(2).publicKey)).toBe(false)
  })

  it('says no, without throwing, to signatures and keys of other lengths', () => {
    for (const length of [0, 1, 63, 65, 128]) {
      const other = new Uint8Array(length)
      other.set(signature.subarray(0, length))
      expect(verifyBytes('record', message, other, key.publicKey)).toBe(false)
    }
    for (const length of [0, 31, 33])
      expect(verifyBytes('record', message, signature, new Uint8Array(length))).toBe(false)
  })

  it('refuses small-order keys, under which one signature fits many messages', () => {
    const identityPoint = aHash(0)
    identityPoint[0] = 1
    const forged = new Uint8Array(64)
    forged[0] = 1
    expect(verifyRaw(message, forged, identityPoint)).toBe(false)
  })
})

interface Wycheproof {
  testGroups: { publicKey: { pk: string }; tests: { tcId: number; msg: string; sig: string; result: string }[] }[]
}
interface SpecCheck {
  cases: { message: string; pub_key: string; signature: string; [verdict: string]: unknown }[]
}

describe.skipIf(!kit.present)('the one verifier on published vectors (needs the kit)', () => {
  const read = <T>(name: string): T => JSON.parse(readFileSync(kit.path('golden', name), 'utf8')) as T

  it('agrees with all 151 Wycheproof cases', () => {
    const wrong: number[] = []
    let count = 0
    for (const group of read<Wycheproof>('ed25519-wycheproof.json').testGroups) {
      for (const test of group.tests) {
        count++
        const verdict = verifyRaw(fromHex(test.msg), fromHex(test.sig), fromHex(group.publicKey.pk))
        if (verdict !== (test.result === 'valid')) wrong.push(test.tcId)
      }
    }
    expect({ wrong, count }).toEqual({ wrong: [], count: 151 })
  })

  it('decides the edge cases of the speccheck list as libsodium does', () => {
    const file = read<SpecCheck>('ed25519-speccheck.json')
    const verdicts = file.cases.map((item) =>
      verifyRaw(fromHex(item.message), fromHex(item.signature), fromHex(item.pub_key)),
    )
    expect(verdicts).toEqual(file.cases.map((item) => item['libsodium']))
  })

  it('verifies the signed vectors of BEP 44 over our own buffer, and refuses the altered ones', () => {
    const file = read<Bep44>('bep44.json')
    const signed = file.vectors.filter((vector) => vector.signature !== undefined)
    for (const vector of signed) {
      const value = utf8('Hello World!')
      const buffer = mutableItemBytes({ salt: utf8(vector.salt ?? ''), seq: vector.seq ?? 0, value })
      expect(new TextDecoder().decode(buffer)).toBe(vector.signed_buffer)
      expect(verifyRaw(buffer, fromHex(vector.signature ?? ''), fromHex(vector.public_key ?? ''))).toBe(true)
    }
    expect(signed).toHaveLength(2)
    for (const vector of file.must_not_verify) {
      expect(verifyRaw(utf8(vector.signed_buffer), fromHex(vector.signature), fromHex(vector.public_key))).toBe(false)
    }
    expect(file.must_not_verify).toHaveLength(3)
  })
})

interface Bep44 {
  vectors: { public_key?: string; salt?: string | null; seq?: number; signed_buffer?: string; signature?: string }[]
  must_not_verify: { public_key: string; signed_buffer: string; signature: string }[]
}
