// Licences as SPDX expressions (SPDX specification 2.3, annex D): `MIT`, `Apache-2.0 OR MIT`, `LicenseRef-our-own`.

export type LicenceCheck =
  | { readonly kind: 'known'; readonly licence: string }
  /** Well formed, with ids that are not in the list below: SPDX has hundreds. */
  | { readonly kind: 'unknown'; readonly licence: string; readonly ids: readonly string[] }
  | { readonly kind: 'malformed'; readonly reason: string }

/** Nobody says what others may do with it. */
export const noLicence = 'NOASSERTION'

const creativeCommons = ['BY', 'BY-SA', 'BY-NC', 'BY-NC-SA', 'BY-ND', 'BY-NC-ND'].flatMap((kind) =>
  ['1.0', '2.0', '2.5', '3.0', '4.0'].map((version) => `CC-${kind}-${version}`),
)
const gnu = ['GPL-1.0', 'GPL-2.0', 'GPL-3.0', 'LGPL-2.0', 'LGPL-2.1', 'LGPL-3.0', 'AGPL-3.0', 'GFDL-1.2', 'GFDL-1.3']
const others =
  `0BSD AFL-3.0 Apache-1.1 Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear BSL-1.0 C-UDA-1.0 CC0-1.0
  CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0 ECL-2.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 ISC LPPL-1.3c MIT MIT-0 MPL-2.0
  MS-PL NCSA ODC-By-1.0 ODbL-1.0 OFL-1.1 OSL-3.0 PDDL-1.0 PostgreSQL Unlicense WTFPL Zlib`.split(/\s+/)
const commonIds = [...others, ...creativeCommons, ...gnu.flatMap((id) => [`${id}-only`, `${id}-or-later`])]
/** Ids are compared without regard to case; the list has them as they are written. */
const writtenAs = new Map(commonIds.map((id) => [id.toLowerCase(), id]))

const idPattern = /^(?:DocumentRef-[A-Za-z0-9.-]+:)?[A-Za-z0-9.-]+\+?$/
const operators = new Set(['AND', 'OR', 'WITH'])

/** Known ids come back in their usual case. */
export function checkLicence(text: string): LicenceCheck {
  const words = text.replace(/[()]/g, ' $& ').split(/\s+/).filter(Boolean)
  if (words.length === 1 && (words[0] === noLicence || words[0] === 'NONE')) return { kind: 'known', licence: words[0] }
  const reader = new ExpressionReader(words)
  const reason = reader.problem()
  if (reason !== undefined) return { kind: 'malformed', reason }
  const licence = reader.written.join(' ').replaceAll('( ', '(').replaceAll(' )', ')')
  return reader.unknown.length === 0 ? { kind: 'known', licence } : { kind: 'unknown', licence, ids: reader.unknown }
}

/** expression = term { (AND | OR) term }; term = "(" expression ")" | id [ WITH exception ]. */
class ExpressionReader {
  readonly written: string[] = []
  readonly unknown: string[] = []
  readonly #words: readonly string[]
  #at = 0

  constructor(words: readonly string[]) {
    this.#words = words
  }

  /** Undefined: the words are one expression. */
  problem(): string | undefined {
    const problem = this.#expression()
    const rest = this.#peek()
    return problem ?? (rest === undefined ? undefined : `"${rest}" is out of place`)
  }

  #peek(): string | undefined {
    return this.#words[this.#at]
  }

  #take(word: string): void {
    this.written.push(word)
    this.#at += 1
  }

  #expression(): string | undefined {
    for (;;) {
      const problem = this.#term()
      const operator = this.#peek()
      if (problem !== undefined || (operator !== 'AND' && operator !== 'OR')) return problem
      this.#take(operator)
    }
  }

  #term(): string | undefined {
    if (this.#peek() !== '(') return this.#licence()
    this.#take('(')
    const problem = this.#expression()
    if (problem !== undefined) return problem
    if (this.#peek() !== ')') return 'a bracket is not closed'
    this.#take(')')
    return undefined
  }

  #licence(): string | undefined {
    const id = this.#peek()
    if (id === undefined || !idPattern.test(id) || operators.has(id))
      return id === undefined ? 'a licence is missing' : `"${id}" is no licence id`
    this.#take(this.#canonical(id))
    if (this.#peek() !== 'WITH') return undefined
    this.#take('WITH')
    const exception = this.#peek()
    if (exception === undefined || !/^[A-Za-z0-9.-]+$/.test(exception)) return 'after WITH stands an exception'
    this.#take(exception)
    return undefined
  }

  #canonical(id: string): string {
    const plain = id.replace(/\+$/, '')
    const known = writtenAs.get(plain.toLowerCase())
    if (known === undefined && !/^(?:DocumentRef-.*:)?LicenseRef-./.test(plain)) this.unknown.push(plain)
    return known === undefined ? id : id.replace(plain, known)
  }
}

/** For whoever is about to publish under it: of ids that are not known here, that they may be mistyped. */
export function unknownLicenceNote(licence: string): string | undefined {
  const checked = checkLicence(licence)
  if (checked.kind !== 'unknown') return undefined
  return `${checked.ids.join(', ')}: not among the licences known here; compare with the list at spdx.org/licenses.`
}

/**
 * What a model card's `license` means in SPDX. Model hubs use lower-case words of their own; those that are no SPDX ids become a
 * `LicenseRef-`. Undefined where it says nothing.
 */
export function licenceOfCard(license: string, ownName?: string): string | undefined {
  const word = license.trim()
  if (/^(?:unknown|none|noassertion|\[.*\])$/i.test(word)) return undefined
  if (/^other$/i.test(word)) return ownName === undefined ? undefined : licenceReference(ownName)
  const checked = checkLicence(word)
  if (checked.kind === 'known') return checked.licence
  // SPDX took back `GPL-3.0` in favour of `GPL-3.0-only`, which is what it meant.
  return writtenAs.get(`${word.toLowerCase()}-only`) ?? licenceReference(word)
}

function licenceReference(name: string): string | undefined {
  const id = name.replace(/[^A-Za-z0-9.]+/g, '-').replace(/^-+|-+$/g, '')
  return id === '' ? undefined : `LicenseRef-${id.slice(0, 50)}`
}
