import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aHash, anAuthor } from '../testing/objects.ts'
import {
  coverLockfile,
  isMeshError,
  openPersonaLink,
  personaLink,
  personaTopic,
  signerName,
  taggedId,
  toBase32,
  toHex,
  uncoverLockfile,
} from './index.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const parts = fc.tuple(bytes32, fc.uniqueArray(bytes32, { maxLength: 12, selector: toHex }))

function refused(text: string): boolean {
  try {
    openPersonaLink(text)
    return false
  } catch (error) {
    if (!isMeshError(error, 'malformed')) throw error
    return true
  }
}

describe('a persona link', () => {
  it('reads back as what it was made of, in whatever order the publishers were named', () => {
    fc.assert(
      fc.property(parts, ([digest, publishers]) => {
        const link = personaLink(digest, publishers)
        expect(personaLink(digest, publishers.toReversed())).toBe(link)
        expect(openPersonaLink(` ${link}\n`)).toEqual({ digest, signers: publishers.map(signerName).toSorted() })
      }),
    )
  })

  it('is one line of 73 characters and 16 for each signer', () => {
    fc.assert(
      fc.property(parts, ([digest, publishers]) => {
        expect(personaLink(digest, publishers)).toMatch(/^loramesh:persona:[a-z2-7]+$/)
        expect(personaLink(digest, publishers)).toHaveLength(73 + 16 * publishers.length)
      }),
    )
  })

  it('names signers by the beginning of their identity as people see it', () => {
    const { identity } = anAuthor()
    const { signers } = openPersonaLink(personaLink(aHash(1), [identity, identity]))
    expect(signers).toEqual([signerName(identity)])
  })

  it('is refused with any one character mistyped, at every place', () => {
    const link = personaLink(aHash(7), [anAuthor(1).identity, anAuthor(2).identity])
    const characters = [...'abcdefghijklmnopqrstuvwxyz234567', 'A', '0', ' ', ':']
    const accepted = [...link].flatMap((right, at) =>
      characters
        .filter((wrong) => wrong !== right)
        .map((wrong) => link.slice(0, at) + wrong + link.slice(at + 1))
        .filter((typo) => typo.trim() !== link && !refused(typo)),
    )
    expect(accepted).toEqual([])
  })

  it('is refused when cut anywhere, doubled, or of another kind', () => {
    const link = personaLink(aHash(7), [anAuthor(1).identity])
    for (let length = 0; length < link.length; length++) expect(refused(link.slice(0, length))).toBe(true)
    expect(refused(link + link)).toBe(true)
    expect(refused(link.replace('persona', 'community'))).toBe(true)
  })

  it('is refused when its signers are repeated or not sorted, although the check is right', () => {
    const [low, high] = [new Uint8Array(10).fill(1), new Uint8Array(10).fill(2)]
    const linkOf = (...signers: readonly Uint8Array[]): string => {
      const named = Uint8Array.from([aHash(7), ...signers].flatMap((part) => [...part]))
      const check = taggedId('persona-link', named).slice(0, 3)
      return `loramesh:persona:${toBase32(Uint8Array.from([...named, ...check]))}`
    }
    expect(refused(linkOf(low, high))).toBe(false)
    expect(refused(linkOf(high, low))).toBe(true)
    expect(refused(linkOf(low, low))).toBe(true)
  })

  it('made of any text is read or refused, never anything else', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `loramesh:persona:${text}`),
        ),
        (text) => {
          expect(typeof refused(text)).toBe('boolean')
        },
      ),
    )
  })
})

describe('a covered lockfile', () => {
  const lockfile = new TextEncoder().encode('the canonical bytes of a lockfile')
  const digest = taggedId('lockfile', lockfile)

  it('opens with the digest that the link carries, and shows nothing of its text before', () => {
    const covered = coverLockfile(digest, lockfile)
    expect(covered).toHaveLength(lockfile.length + 16)
    expect(Buffer.from(covered).includes('canonical')).toBe(false)
    expect(uncoverLockfile(digest, covered)).toEqual(lockfile)
  })

  it('has a key of its own for each digest', () => {
    expect(coverLockfile(aHash(1), lockfile)).not.toEqual(coverLockfile(aHash(2), lockfile))
  })

  it('does not open with what the topic shows', () => {
    expect(() => uncoverLockfile(personaTopic(digest), coverLockfile(digest, lockfile))).toThrow(
      expect.objectContaining({ code: 'hash-mismatch' }),
    )
  })

  it.each([
    ['of other bytes, well covered', coverLockfile(digest, new TextEncoder().encode('another lockfile'))],
    ['with one bit turned', coverLockfile(digest, lockfile).with(20, coverLockfile(digest, lockfile)[20]! ^ 1)],
    ['that is cut', coverLockfile(digest, lockfile).slice(0, -1)],
    ['shorter than its check', Uint8Array.of(1, 2, 3)],
  ])('%s is refused', (_what, covered) => {
    expect(() => uncoverLockfile(digest, covered)).toThrow(expect.objectContaining({ code: 'hash-mismatch' }))
  })
})
