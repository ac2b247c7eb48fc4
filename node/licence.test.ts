import { describe, expect, it, test } from 'vitest'
import { checkLicence, licenceOfCard } from './licence.ts'

describe('an SPDX expression', () => {
  it.each([
    ['MIT', 'MIT'],
    ['mit', 'MIT'],
    ['apache-2.0 OR MIT', 'Apache-2.0 OR MIT'],
    ['GPL-3.0-or-later WITH GCC-exception-3.1', 'GPL-3.0-or-later WITH GCC-exception-3.1'],
    ['(MIT AND CC-BY-4.0)  OR  ISC', '(MIT AND CC-BY-4.0) OR ISC'],
    ['Apache-1.1+', 'Apache-1.1+'],
    ['LicenseRef-our-own', 'LicenseRef-our-own'],
    ['NOASSERTION', 'NOASSERTION'],
  ])('%s is known as %s', (text, licence) => {
    expect(checkLicence(text)).toEqual({ kind: 'known', licence })
  })

  it('with an id that is not in the list is told, not refused', () => {
    expect(checkLicence('MIT AND Glide')).toEqual({ kind: 'unknown', licence: 'MIT AND Glide', ids: ['Glide'] })
  })

  it.each([
    '',
    'my own',
    'MIT OR',
    'OR MIT',
    '(MIT',
    'MIT)',
    'MIT WITH',
    'MIT, ISC',
    'MIT or ISC',
    'AND',
    '()',
    'Mîte',
  ])('"%s" is malformed', (text) => {
    expect(checkLicence(text)).toMatchObject({ kind: 'malformed' })
  })
})

test.each([
  ['apache-2.0', undefined, 'Apache-2.0'],
  ['cc-by-nc-4.0', undefined, 'CC-BY-NC-4.0'],
  ['gpl-3.0', undefined, 'GPL-3.0-only'],
  ['llama3.1', undefined, 'LicenseRef-llama3.1'],
  ['other', 'Our Licence', 'LicenseRef-Our-Licence'],
  ['other', undefined, undefined],
  ['unknown', undefined, undefined],
  ['[More Information Needed]', undefined, undefined],
])('a card that says license: %s (license_name: %s) means %s', (license, name, licence) => {
  expect(licenceOfCard(license, name)).toBe(licence)
  if (licence !== undefined) expect(checkLicence(licence)).toEqual({ kind: 'known', licence })
})
