import { describe, expect, it } from 'vitest'
import { encodeCanonical, limits, taggedId, toHex, utf8 } from '../protocol/index.ts'
import type { Canonical } from '../protocol/index.ts'
import { aCard } from './card.fixture.ts'
import { whyRelease } from './explain.ts'
import {
  createLockfile,
  decodeLockfile,
  encodeLockfile,
  lockfileDigest,
  lockfileText,
  parseLockfile,
  personaIdOf,
} from './lockfile.ts'
import type { LockDetails, Lockfile } from './lockfile.ts'
import { facetsMax } from './facets.ts'
import { createNgramEmbedder } from './ngram-embedder.ts'
import { planRequest } from './plan.ts'

const id = (byte: string): string => byte.repeat(32)
const details = new Map<string, LockDetails>(
  ['aa', 'bb', 'cc'].map((byte) => [
    id(byte),
    {
      publisher: 'p'.repeat(52),
      sha256: id(byte),
      bytes: 1_000,
      infohash: byte.repeat(20),
      scale: 700_000,
      capability: 'latin',
    },
  ]),
)
const cards = [
  aCard({ name: 'law', id: id('aa'), requires: [{ name: 'latin', range: '*' }] }),
  aCard({ name: 'music', id: id('bb') }),
  aCard({ name: 'latin', id: id('cc') }),
]
/** Digest of the lockfile below. */
const golden = 'de070fcde3b4db40f36a5a38e0d1461c1439a926266fd867e2d273941a8dbbb6'
const base = { id: id('01'), label: 'stories', file: id('02') }

async function aLockfile(systemPrompt?: string): Promise<Lockfile> {
  const plan = await planRequest({ text: 'music, law and wine', cards, embedder: createNgramEmbedder() })
  return createLockfile({ plan, base, details, ...(systemPrompt === undefined ? {} : { systemPrompt }) })
}

describe('the lockfile', () => {
  it('holds what the persona is made of, and not the request', async () => {
    const lockfile = await aLockfile()
    expect(
      lockfile.releases.map(({ name, facets, requiredBy, capability }) => [name, facets, requiredBy, capability]),
    ).toEqual([
      ['latin', [], ['law'], 'latin'],
      ['law', ['law'], [], 'law'],
      ['music', ['music'], [], 'music'],
    ])
    expect(lockfile.gaps).toEqual([{ facet: 'wine', capability: 'wine' }])
    expect(lockfileText(lockfile)).not.toContain('music, law and wine')
  })

  it('is the same bytes for the same inputs, and survives being read', async () => {
    const [one, two] = [await aLockfile('Be kind.'), await aLockfile('Be kind.')]
    expect(lockfileText(one)).toBe(lockfileText(two))
    expect(parseLockfile(lockfileText(one))).toEqual(one)
    expect(lockfileText(parseLockfile(lockfileText(one)))).toBe(lockfileText(one))
  })

  it('has one digest whatever the order of keys and lists, and these bytes', async () => {
    const lockfile = await aLockfile()
    const turned = JSON.stringify(
      Object.fromEntries(Object.entries({ ...lockfile, releases: lockfile.releases.toReversed() }).toReversed()),
    )
    expect(personaIdOf(parseLockfile(turned))).toBe(personaIdOf(lockfile))
    expect(lockfileText(parseLockfile(turned))).toBe(lockfileText(lockfile))
    // Personas are named by this digest: a change of it renames every persona there is.
    expect(toHex(lockfileDigest(lockfile))).toBe(golden)
    expect(personaIdOf(lockfile)).toBe(golden.slice(0, 12))
  })

  it('has another digest as soon as anything in it differs', async () => {
    const lockfile = await aLockfile()
    const [first, ...others] = lockfile.releases
    const variants: Lockfile[] = [
      lockfile,
      await aLockfile('Be kind.'),
      { ...lockfile, mode: lockfile.mode === 'stack' ? 'route' : 'stack' },
      { ...lockfile, base: { id: base.id, label: base.label } },
      { ...lockfile, gaps: [] },
      { ...lockfile, releases: others },
      { ...lockfile, releases: [{ ...first!, scale: 700_001 }, ...others] },
    ]
    expect(new Set(variants.map(personaIdOf)).size).toBe(variants.length)
  })

  it('is refused with the field when it was edited into nonsense', async () => {
    const text = lockfileText(await aLockfile())
    const refused = (changed: string, message: RegExp): void => {
      expect(changed).not.toBe(text)
      expect(() => parseLockfile(changed)).toThrowError(
        expect.objectContaining({ code: 'bad-input', message: expect.stringMatching(message) as string }),
      )
    }
    refused(text.slice(0, -9), /not JSON/)
    refused(text.replace('"scale": 700000', '"scale": 0.7'), /releases\.0\.scale/)
    refused(text.replace('"mode"', '"mood"'), /mode|mood/)
    refused(text.replace('"mode"', '"note": 1, "mode"'), /note/)
    refused(text.replace('"version"', '"note": 1, "version"'), /releases\.0.*note/)
    refused(text.replace('"latin"', '"La tin"'), /releases\.0\.name/)
    refused(text.replace(id('cc'), id('CC')), /releases\.0\.releaseId/)
    refused(text.replace('"wine"', '"wi\\u202ene"'), /gaps\.0\.facet/)
    expect(() => parseLockfile(' '.repeat(300_000))).toThrowError(expect.objectContaining({ code: 'too-large' }))
  })

  it('travels as the bytes that its digest is taken of, and is read from no others', async () => {
    const lockfile = await aLockfile('Be kind.')
    const bytes = encodeLockfile(lockfile)
    expect(taggedId('lockfile', bytes)).toEqual(lockfileDigest(lockfile))
    expect(decodeLockfile(bytes)).toEqual(lockfile)
    const refusedFor = (value: object): unknown => {
      try {
        return decodeLockfile(encodeCanonical(value as Canonical))
      } catch (error) {
        return error
      }
    }
    expect(refusedFor({ ...lockfile, releases: lockfile.releases.toReversed() })).toMatchObject({
      code: 'not-canonical',
    })
    expect(refusedFor({ ...lockfile, note: 'x' })).toMatchObject({ code: 'bad-input' })
    expect(() => decodeLockfile(utf8(lockfileText(lockfile)))).toThrowError(
      expect.objectContaining({ code: expect.stringMatching(/malformed|not-canonical/) as string }),
    )
    expect(() => decodeLockfile(new Uint8Array(limits.sharedLockfileMaxBytes + 1))).toThrowError(
      expect.objectContaining({ code: 'too-large' }),
    )
  })

  it('that would be too large as a file is refused although its bytes may travel', async () => {
    const lockfile = await aLockfile()
    const [release] = lockfile.releases
    // Written as JSON, each of these quotes takes two bytes.
    const facets = Array.from({ length: facetsMax }, (_, i) => `"${i}`.padEnd(250, '"'))
    const releases = Array.from({ length: 64 }, (_, i) => ({ ...release!, name: `x${i}`, facets }))
    const large = { ...lockfile, releases }
    expect(encodeLockfile(large).length).toBeLessThan(limits.sharedLockfileMaxBytes)
    expect(utf8(lockfileText(large)).length).toBeGreaterThan(limits.lockfileMaxBytes)
    expect(() => decodeLockfile(encodeLockfile(large))).toThrowError(expect.objectContaining({ code: 'too-large' }))
  })

  it('tells why a release is in it', async () => {
    const lockfile = await aLockfile()
    expect(whyRelease(lockfile, 'law')).toBe('law@1.0.0 is part of this persona because it answers "law".')
    expect(whyRelease(lockfile, id('cc'))).toBe('latin@1.0.0 is part of this persona because law requires it.')
  })
})
