import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aGenesis, aHash, aLog, aManifest, anAuthor, aRootKey, someTimeMs } from '../testing/objects.ts'
import {
  checkLogOpening,
  communityIdOfLink,
  communityLink,
  createGenesis,
  createRecord,
  encodeBody,
  identityFromText,
  identityToText,
  isMeshError,
  issueDeviceCertificate,
  limits,
  noPrevious,
  openGenesis,
  openManifest,
  readBody,
  readDevicesItem,
  readRelease,
  readReleaseItem,
  reopenRecord,
  seal,
  signDevicesItem,
  signManifest,
  signReleaseItem,
  verifyDeviceCertificate,
  verifyRecord,
} from './index.ts'
import type { Manifest, MeshErrorCode } from './index.ts'

const alice = anAuthor(1)
const bob = anAuthor(2)

function codeOf(action: () => unknown): MeshErrorCode | 'accepted' {
  try {
    action()
    return 'accepted'
  } catch (error) {
    if (isMeshError(error)) return error.code
    throw error
  }
}

/** Every single-bit change of `bytes` must be refused by `open` with a MeshError. */
function expectEveryBitToMatter(bytes: Uint8Array, open: (bytes: Uint8Array) => unknown): void {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice()
    changed[bit >> 3]! ^= 1 << (bit & 7)
    expect(
      codeOf(() => open(changed)),
      `bit ${bit}`,
    ).not.toBe('accepted')
  }
}

describe('an identity', () => {
  it('is 52 characters of base32 that read back as the root key', () => {
    const text = identityToText(alice.identity)
    expect(text).toMatch(/^[a-z2-7]{52}$/)
    expect(identityFromText(text)).toEqual(alice.identity)
    expect(codeOf(() => identityFromText(text.slice(1)))).toBe('malformed')
  })

  it('certifies a device, and every bit of the certificate matters', () => {
    const certificate = verifyDeviceCertificate(alice.certificate)
    expect(certificate.identity).toEqual(alice.identity)
    expect(certificate.device).toEqual(alice.device.publicKey)
    expectEveryBitToMatter(alice.certificate, verifyDeviceCertificate)
  })
})

describe('a manifest', () => {
  it('opens as it was signed', () => {
    const signed = signManifest(aManifest(), alice)
    const opened = openManifest(signed.sealed)
    expect(opened.manifest).toEqual(aManifest())
    expect(opened.releaseId).toEqual(signed.releaseId)
  })

  it('has every bit covered by its seal', () => {
    expectEveryBitToMatter(signManifest(aManifest(), alice).sealed, openManifest)
  }, 120_000)

  it('keeps its release id whoever carries the seal, and gets another one for any other content', () => {
    const ids = fc.sample(
      fc.record({ version: fc.constantFrom('1.0.0', '1.0.1'), summary: fc.constantFrom('a', 'b') }),
      20,
    )
    const seen = new Map<string, string>()
    for (const overrides of ids) {
      const id = signManifest(aManifest(overrides), alice).releaseId.join()
      expect(seen.get(JSON.stringify(overrides)) ?? id).toBe(id)
      seen.set(JSON.stringify(overrides), id)
    }
    expect(new Set(seen.values()).size).toBe(seen.size)
  })

  it('cannot name another publisher than its signer', () => {
    expect(codeOf(() => signManifest(aManifest({ publisher: bob.identity }), alice))).toBe('bad-signature')
  })

  const invalid: [string, Partial<Manifest>][] = [
    ['a version that is not semver', { version: '1.0' }],
    ['a name with capitals', { name: 'Biology' }],
    ['a name that is a path', { name: '../biology' }],
    ['a summary of 501 characters', { summary: 'x'.repeat(501) }],
    ['a summary with a right-to-left override', { summary: 'harmless \u202e text' }],
    ['a summary with a zero-width space', { summary: 'bio\u200blogy' }],
    ['a summary with a line feed', { summary: 'two\nlines' }],
    ['no capability', { capabilities: [] }],
    ['seven probe sequences', { probe: aManifest().probe.slice(1) }],
    ['a fractional scale', { use: { scale: 0.5, scaleRange: [0, 1] } }],
    ['a scale outside its range', { use: { scale: 3, scaleRange: [0, 2] } }],
    ['rank 513', { adapter: { ...aManifest().adapter, rank: 513 } }],
    ['unsorted targets', { adapter: { ...aManifest().adapter, targets: ['b', 'a'] } }],
    ['an impossible range', { requires: [{ name: 'x', range: 'not a range' }] }],
    ['a date after the year 9999', { createdAt: 253_402_300_800_000 }],
  ]
  it.each(invalid)('with %s is invalid', (_what, overrides) => {
    expect(codeOf(() => signManifest(aManifest(overrides), alice))).toBe('manifest-invalid')
  })

  it('with a field this version does not know is invalid', () => {
    const extra = { ...aManifest(), colour: 'blue' } as Manifest
    expect(codeOf(() => signManifest(extra, alice))).toBe('manifest-invalid')
  })
})

describe('a seal', () => {
  it('of one purpose is worthless for another', () => {
    expect(codeOf(() => openGenesis(signManifest(aManifest(), alice).sealed))).toBe('bad-signature')
    expect(codeOf(() => openManifest(aGenesis().sealed))).toBe('bad-signature')
  })

  it("under another device's certificate is worthless", () => {
    const swapped = { ...alice, certificate: bob.certificate }
    expect(codeOf(() => openManifest(seal('manifest', new Uint8Array(3), swapped)))).toBe('bad-signature')
  })
})

describe('a record', () => {
  const [opening, release] = aLog([
    {
      type: 'release/1',
      body: { sealedManifest: signManifest(aManifest(), alice).sealed, infohash: new Uint8Array(20) },
    },
  ])

  it('verifies, opens its log and announces its release', () => {
    checkLogOpening(verifyRecord(opening!))
    const read = readRelease(verifyRecord(release!))
    expect(read.kind === 'release' && read.release.manifest.name).toBe('biology')
  })

  it('has every bit of its envelope and body covered', () => {
    expectEveryBitToMatter(opening!.envelope, (envelope) => verifyRecord({ ...opening!, envelope }))
    expectEveryBitToMatter(opening!.body, (body) => verifyRecord({ ...opening!, body }))
  })

  it('has one id however its signature bytes are carried', () => {
    expect(verifyRecord(opening!).id).toEqual(opening!.id)
  })

  it('read back under its id is what was verified, whatever became of its signature', () => {
    const { id, envelope, body, fields } = verifyRecord(release!)
    expect(reopenRecord({ id, envelope, body })).toEqual(verifyRecord(release!))
    const damaged = envelope.slice()
    damaged[Buffer.from(envelope).indexOf(fields.signature) + 9]! ^= 1
    expect(reopenRecord({ id, envelope: damaged, body }).id).toEqual(id)
    expectEveryBitToMatter(id, (bytes) => reopenRecord({ id: bytes, envelope, body }))
    expectEveryBitToMatter(body, (bytes) => reopenRecord({ id, envelope, body: bytes }))
  })

  it('of an unknown type or version is verified and has no effect', () => {
    const dance = aLog([{ type: 'dance/7', bytes: Uint8Array.of(1, 2, 3) }])[1]!
    expect(readBody(verifyRecord(dance))).toEqual({ type: 'unknown' })
    const future = aLog([{ type: 'release/2', bytes: Uint8Array.of(1) }])[1]!
    expect(readBody(verifyRecord(future))).toEqual({ type: 'unknown' })
  })

  it('of a known type with a broken body is kept without effect, so that it cannot cut off the log behind it', () => {
    const broken = aLog([{ type: 'job/1', bytes: Uint8Array.of(0x80) }])[1]!
    expect(readBody(verifyRecord(broken)).type).toBe('invalid')
    expect(readRelease(verifyRecord(broken)).kind).toBe('void')
  })

  it("that announces another publisher's release has no effect", () => {
    const foreign = signManifest(aManifest({}, bob), bob).sealed
    const [, record] = aLog([{ type: 'release/1', body: { sealedManifest: foreign, infohash: new Uint8Array(20) } }])
    expect(readRelease(record!)).toMatchObject({ kind: 'void' })
  })

  it('cannot open a log with a certificate of another device or author', () => {
    const stolen = encodeBody('log/1', { certificate: bob.certificate })
    const draft = { scope: 'public', index: 0, previous: noPrevious, type: 'log/1', time: someTimeMs, body: stolen }
    expect(codeOf(() => checkLogOpening(createRecord(draft, alice)))).toBe('bad-certificate')
    expect(codeOf(() => checkLogOpening(release!))).toBe('bad-certificate')
  })

  it('with a body over the limit is refused', () => {
    const draft = {
      scope: 'public',
      index: 1,
      previous: aHash(1),
      type: 'x/1',
      time: 0,
      body: new Uint8Array(limits.recordBodyMaxBytes + 1),
    }
    expect(codeOf(() => createRecord(draft, alice))).toBe('too-large')
  })

  it.each(['Public', 'public ', 'ab', ''])('with the scope "%s" is refused', (scope) => {
    const draft = { scope, index: 0, previous: noPrevious, type: 'log/1', time: 0, body: new Uint8Array(1) }
    expect(codeOf(() => createRecord(draft, alice))).toBe('malformed')
  })
})

describe('a genesis', () => {
  const twoMembers = aGenesis({
    members: [
      { identity: alice.identity, role: 'admin' },
      { identity: bob.identity, role: 'user' },
    ],
  })

  it('is found again by its link', () => {
    expect(communityIdOfLink(communityLink(twoMembers.id))).toEqual(twoMembers.id)
    expect(openGenesis(twoMembers.sealed).id).toEqual(twoMembers.id)
  })

  it.each(['', 'loramesh:community:', 'loramesh:community:aaaa', 'magnet:?xt=urn:btih:00'])(
    'is not named by "%s"',
    (link) => {
      expect(codeOf(() => communityIdOfLink(link))).toBe('malformed')
    },
  )

  it('is not named by a link with one wrong, missing or swapped character', () => {
    const link = communityLink(twoMembers.id)
    const start = 'loramesh:community:'.length
    for (let at = start; at < link.length; at++) {
      const wrong = link[at] === 'a' ? 'b' : 'a'
      expect(codeOf(() => communityIdOfLink(link.slice(0, at) + wrong + link.slice(at + 1)))).toBe('malformed')
      expect(codeOf(() => communityIdOfLink(link.slice(0, at) + link.slice(at + 1)))).toBe('malformed')
      if (link[at] === link[at + 1] || at + 1 === link.length) continue
      const swapped = link.slice(0, at) + link[at + 1]! + link[at]! + link.slice(at + 2)
      expect(codeOf(() => communityIdOfLink(swapped))).toBe('malformed')
    }
  })

  it('must be signed by one of its admins', () => {
    const members = [{ identity: bob.identity, role: 'admin' as const }]
    expect(codeOf(() => aGenesis({ members }, alice))).toBe('bad-signature')
    const demoted = [{ identity: alice.identity, role: 'user' as const }]
    expect(codeOf(() => aGenesis({ members: demoted }, alice))).toBe('bad-signature')
  })

  it('cannot name a member twice', () => {
    const twice = [twoMembers.genesis.members[0]!, twoMembers.genesis.members[0]!]
    expect(codeOf(() => createGenesis({ ...twoMembers.genesis, members: twice }, alice))).toBe('malformed')
  })
})

describe('a DHT pointer', () => {
  const root = aRootKey(1)
  const pointer = {
    release: aHash(1),
    infohash: new Uint8Array(20),
    length: 5,
    signedAt: someTimeMs,
    expiresAt: someTimeMs + 7_200_000,
  }

  it('leads from the root key to the device, and from the device to a release', () => {
    const [certificate] = readDevicesItem(signDevicesItem([alice.certificate], 1, root))
    expect(certificate?.device).toEqual(alice.device.publicKey)
    const item = signReleaseItem('biology', aHash(11), pointer, alice.device)
    expect(readReleaseItem(item)).toEqual({ format: 1, ...pointer })
    expect(item.salt).toHaveLength(20)
  })

  it('is worthless with another salt, sequence number, value or key', () => {
    const item = signReleaseItem('biology', aHash(11), pointer, alice.device)
    const changed = [
      { ...item, salt: new Uint8Array(20) },
      { ...item, seq: 6 },
      { ...item, value: item.value.slice(1) },
      { ...item, publicKey: bob.device.publicKey },
      { ...item, signature: new Uint8Array(63) },
    ]
    for (const other of changed) expect(codeOf(() => readReleaseItem(other))).toBe('bad-signature')
  })

  it('carries its log length as sequence number, or a higher one when it is renewed, but never a lower one', () => {
    expect(signReleaseItem('biology', aHash(11), pointer, alice.device).seq).toBe(5)
    const renewed = signReleaseItem('biology', aHash(11), pointer, alice.device, 6)
    expect(renewed.seq).toBe(6)
    expect(readReleaseItem(renewed).length).toBe(5)
    const low = signReleaseItem('biology', aHash(11), pointer, alice.device, 4)
    expect(codeOf(() => readReleaseItem(low))).toBe('malformed')
  })

  it("cannot list another identity's device", () => {
    expect(codeOf(() => readDevicesItem(signDevicesItem([bob.certificate], 1, root)))).toBe('bad-certificate')
  })

  it('cannot claim to live for a year', () => {
    const forever = { ...pointer, expiresAt: someTimeMs + 366 * 24 * 3_600_000 }
    expect(codeOf(() => readReleaseItem(signReleaseItem('biology', aHash(11), forever, alice.device)))).toBe(
      'malformed',
    )
  })

  it('holds at most four devices, within the 996 bytes of BEP 44', () => {
    const certificates = [1, 2, 3, 4].map((n) => issueDeviceCertificate(root, aRootKey(n).publicKey, someTimeMs))
    expect(signDevicesItem(certificates, 1, root).value.length).toBeLessThanOrEqual(996)
  })
})
