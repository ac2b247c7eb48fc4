import { expect, test } from 'vitest'
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import { aHash, anAuthor } from '../testing/objects.ts'
import { highestReleases } from './current-release.ts'
import { anEntry } from './testing/catalogue-entry.ts'

const [member, other, outsider] = [anAuthor(1), anAuthor(2), anAuthor(3)]

test('of a member the name means the highest of all members, never of an outsider', () => {
  const highest = anEntry({ version: '1.10.0', author: other })
  const entries = [
    anEntry({ version: '1.9.0', author: member }),
    highest,
    anEntry({ version: '9.0.0', author: outsider, outsider: true }),
  ]
  for (const author of [member, other]) expect(currentOf(entries, author)).toBe(toHex(highest.releaseId))
})

test('of an outsider the name means the highest of that outsider', () => {
  const own = anEntry({ version: '1.0.0', author: outsider, outsider: true })
  const entries = [own, anEntry({ version: '2.0.0', author: member })]
  expect(currentOf(entries, outsider)).toBe(toHex(own.releaseId))
})

test('withdrawn releases, prereleases and those for another base or of another name do not count', () => {
  const meant = anEntry({ version: '1.0.0' })
  const base = { id: aHash(99), tokenizer: aHash(12), label: 'another', evaluatedOn: [] }
  const entries = [
    meant,
    anEntry({ version: '2.0.0', withdrawn: 'broken' }),
    anEntry({ version: '3.0.0-rc.1' }),
    anEntry({ version: '4.0.0', base }),
    anEntry({ version: '5.0.0', name: 'law' }),
  ]
  expect(currentOf(entries, member)).toBe(toHex(meant.releaseId))
  expect(currentOf(entries.slice(1), member)).toBeUndefined()
})

test('of equal versions it is the one with the smallest id, whatever their order', () => {
  const equals = [member, other].map((author) => anEntry({ version: '1.0.0', author }))
  const smallest = equals.map(({ releaseId }) => toHex(releaseId)).toSorted()[0]
  for (const entries of [equals, equals.toReversed()]) expect(currentOf(entries, member)).toBe(smallest)
})

function currentOf(entries: readonly CatalogueEntry[], { identity }: typeof member): string | undefined {
  return highestReleases(entries)('biology', identityToText(identity), toHex(aHash(11)))
}
