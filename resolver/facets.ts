// Text -> facets: the separate things a request asks for. Deterministic, linear in the text, without a language model:
// grammar words and politeness end or leave phrases, what remains between them are the facets.
import { sha256, toHex, utf8, MeshError } from '../protocol/index.ts'
import {
  determiners,
  fillers,
  genreNouns,
  mannerNouns,
  mannerVerbStems,
  negations,
  nounLikeVerbNouns,
  numberWords,
  verbContexts,
  verbNouns,
} from './facet-words.ts'
import { findReferences } from './references.ts'
import type { Reference } from './references.ts'
import { stemOf, stopWords, wordMaxChars, wordsOf } from './stems.ts'

/** One thing a request asks for. */
export interface Facet {
  /** As it is shown: "wine pairing". Unique within a request. */
  readonly text: string
  /** The lower-case words that a card must answer to: ["wine", "pairing"]. */
  readonly terms: readonly string[]
  /** Set when the request named a release outright: `biology@^1.8` or `PUBLISHER/biology`. */
  readonly exact?: Reference
}

export interface KnownNames {
  /** Names of capabilities and releases in the catalogue. */
  readonly names: Iterable<string>
  /** `publisher/name` pairs of the catalogue. */
  readonly qualifiedNames?: Iterable<string>
}

/** The longest request in characters: a page of prose. */
export const requestMaxChars = 4_000
/** Most facets of one request: beyond it a persona of a few adapters cannot be the answer. */
export const facetsMax = 12
const phraseMaxWords = 4
const nameMaxChars = 64

interface Word {
  readonly surface: string
  readonly lower: string
  readonly stem: string
  /** "no-code": the word belongs to the one after it. */
  readonly hyphenated: boolean
}

/**
 * A phrase being collected. `before` is the word before it, which tells whether its first word is a verb; `manner` that it follows "in
 * the style of"; `negated` that it is not wanted.
 */
interface Phrase {
  words: Word[]
  before: string | undefined
  manner: boolean
  negated: boolean
}

/** Throws `bad-input` when the text is longer than `requestMaxChars` or asks for more than `facetsMax` things. */
export function extractFacets(text: string, known: KnownNames = { names: [] }): Facet[] {
  if (text.length > requestMaxChars) {
    throw new MeshError(
      'bad-input',
      `A request may have ${requestMaxChars} characters; this one has ${text.length}. Say it in a few sentences.`,
      {
        maxChars: requestMaxChars,
        chars: text.length,
      },
    )
  }
  const plain = plainTextOf(text)
  const { references, rest } = findReferences(plain, new Set(known.qualifiedNames ?? []))
  const facets = new Map<string, Facet>()
  const add = (facet: Facet) => {
    if (facet.terms.length > 0 && !facets.has(facet.text.toLowerCase())) facets.set(facet.text.toLowerCase(), facet)
  }
  for (const reference of references)
    add({ text: reference.text, terms: wordsOf(spaced(reference.name)), exact: reference })
  for (const facet of phraseFacets(rest, nameIndex(known.names))) add(facet)
  if (facets.size > facetsMax) {
    throw new MeshError(
      'bad-input',
      `This request names ${facets.size} different things; at most ${facetsMax} fit into one persona. Ask for fewer at a time.`,
      {
        maxFacets: facetsMax,
        facets: facets.size,
      },
    )
  }
  return [...facets.values()]
}

/** One line without control or invisible characters; a request typed in capitals is read in small letters. */
function plainTextOf(text: string): string {
  const line = text
    .normalize('NFKC')
    .replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/gu, ' ')
    .replaceAll(/\p{Cf}/gu, '')
    .replaceAll(/\b(?:e\.g|i\.e)\b/gi, ',')
  return /\p{Ll}/u.test(line) || !/\p{Lu}[^\p{L}]+\p{Lu}/u.test(line) ? line : line.toLowerCase()
}

/** The bare capability name a gap is posted under: `wine-pairing`. A text without Latin letters or digits gets a name made of its digest. */
export function capabilityNameOf(facet: Pick<Facet, 'text' | 'exact'>): string {
  if (facet.exact !== undefined) return facet.exact.name
  const slug = wordsOf(facet.text)
    .map((word) => word.replaceAll(/[^a-z0-9]/g, ''))
    .filter((word) => word !== '')
    .join('-')
    .slice(0, nameMaxChars)
    .replace(/-$/, '')
  return slug === '' ? `skill-${toHex(sha256(utf8(facet.text))).slice(0, 8)}` : slug
}

interface NameIndex {
  /** First stem -> stem sequences of names with two or more words, longest first. */
  readonly long: ReadonlyMap<string, readonly (readonly string[])[]>
  /** Stems of names of one word. */
  readonly single: ReadonlySet<string>
}

function nameIndex(names: Iterable<string>): NameIndex {
  const long = new Map<string, (readonly string[])[]>()
  const single = new Set<string>()
  for (const name of names) {
    const words = wordsOf(spaced(name))
    const stems = words.map(stemOf)
    if (words.length === 0) continue
    if (stems.length === 1) single.add(stems[0]!)
    // A name that begins or ends with grammar ("someone who") must not swallow the request's own words.
    else if (!isGrammar(words[0]!) && !isGrammar(words.at(-1)!)) {
      const others = long.get(stems[0]!) ?? []
      others.push(stems)
      long.set(stems[0]!, others)
    }
  }
  for (const others of long.values()) others.sort((a, b) => b.length - a.length)
  return { long, single }
}

function isGrammar(word: string): boolean {
  return stopWords.has(word) || determiners.has(word) || fillers.has(word)
}

/** What a word does to the phrase being collected. */
type Role = 'word' | 'joins' | 'skipped' | 'ends' | 'manner-of' | 'manner-like'

function* phraseFacets(text: string, names: NameIndex): Generator<Facet> {
  const tokens = tokensOf(text)
  let phrase = emptyPhrase(undefined)
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]
    const nameLength = token === undefined ? 0 : longestNameAt(tokens, i, names)
    const { negated } = phrase
    if (token === undefined || nameLength > 0) {
      yield* facetsOfPhrase(phrase, names)
      phrase = emptyPhrase(undefined)
    }
    if (token === undefined) continue
    if (nameLength > 0) {
      if (!negated) yield facetOf(tokens.slice(i, i + nameLength).filter((word) => word !== undefined))
      phrase.negated = negated
      i += nameLength - 1
      continue
    }
    switch (roleOf(tokens, i, phrase)) {
      case 'word':
      case 'joins':
        phrase.words.push(token)
        break
      case 'skipped':
        if (phrase.words.length === 0) phrase.before = token.lower
        break
      case 'ends':
        yield* facetsOfPhrase(phrase, names)
        // "in the style of the …": grammar between the marker and its subject leaves the marker in force.
        phrase = emptyPhrase(token.lower, phrase.manner && phrase.words.length === 0)
        phrase.negated = (negations.has(token.lower) && !token.hyphenated) || (negated && token.lower === 'or')
        break
      case 'manner-of':
        yield* facetsOfPhrase(phrase, names)
        phrase = emptyPhrase('of', true)
        i++
        break
      case 'manner-like':
        // The verb before "like" is part of the marker.
        phrase.words.pop()
        yield* facetsOfPhrase(phrase, names)
        phrase = emptyPhrase('like', true)
        break
    }
  }
  yield* facetsOfPhrase(phrase, names)
}

function emptyPhrase(before: string | undefined, manner = false): Phrase {
  return { words: [], before, manner, negated: false }
}

function roleOf(tokens: readonly (Word | undefined)[], at: number, phrase: Phrase): Role {
  const { lower } = tokens[at]!
  if (mannerNouns.has(lower) && tokens[at + 1]?.lower === 'of') return 'manner-of'
  if (lower === 'like' && mannerVerbStems.has(tokens[at - 1]?.stem ?? '')) return 'manner-like'
  if (determiners.has(lower) || fillers.has(lower)) return 'skipped'
  if (lower === 'of' && phrase.words.length > 0) return 'joins'
  return stopWords.has(lower) ? 'ends' : 'word'
}

/** Words in order; `undefined` stands for punctuation that ends a phrase. The dot of "Node.js" joins, as a hyphen does. */
function tokensOf(text: string): (Word | undefined)[] {
  const tokens: (Word | undefined)[] = []
  for (const { 0: match, index } of text.matchAll(tokenPattern)) {
    const [lower] = wordsOf(match)
    if (lower !== undefined) {
      const surface = match.slice(0, wordMaxChars).toWellFormed()
      tokens.push({ surface, lower, stem: stemOf(lower), hyphenated: text[index + match.length] === '-' })
    } else if (tokens.at(-1) !== undefined) tokens.push(undefined)
  }
  return tokens
}

const tokenPattern = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:['’]\p{L}+)?[+#]{0,2}|\.(?![\p{Ll}\p{N}])|[^\p{L}\p{N}\s'’_.-]/gu

function longestNameAt(tokens: readonly (Word | undefined)[], at: number, names: NameIndex): number {
  for (const stems of names.long.get(tokens[at]!.stem) ?? []) {
    if (stems.every((stem, k) => tokens[at + k]?.stem === stem)) return stems.length
  }
  return 0
}

function facetsOfPhrase(phrase: Phrase, names: NameIndex): Facet[] {
  const words = [...phrase.words]
  while (words.at(-1)?.lower === 'of') words.pop()
  const content = words.filter((word) => word.lower !== 'of')
  if (content.length === 0 || phrase.negated || content.every(isNumber)) return []
  if (phrase.manner || mannerNouns.has(content.at(-1)!.lower)) return mannerFacets(content)
  if (content.length > 1 && content.every((word) => names.single.has(word.stem)))
    return content.map((word) => facetOf([word]))
  const activity = activityFacet(content, phrase.before)
  if (activity !== undefined) return [activity]
  const facets: Facet[] = []
  for (let i = 0; i < content.length; i += phraseMaxWords) {
    facets.push(facetOf(content.length <= phraseMaxWords ? words : content.slice(i, i + phraseMaxWords)))
  }
  return facets
}

function isNumber({ lower }: Word): boolean {
  return numberWords.has(lower) || /^\d{1,2}$/.test(lower)
}

/** "Shakespeare play" -> "Shakespeare style": proper names and what is left without the genre; the word "style" is no term. */
function mannerFacets(content: readonly Word[]): Facet[] {
  const subject = content.filter((word) => !mannerNouns.has(word.lower))
  const named = subject.filter((word) => !genreNouns.has(word.lower))
  const words = (named.length > 0 ? named : subject).slice(0, phraseMaxWords)
  if (words.length === 0) return []
  return [{ text: `${textOf(words)} style`, terms: words.map((word) => word.lower) }]
}

/** "(can) write recipes" -> "recipe writing". */
function activityFacet(content: readonly Word[], before: string | undefined): Facet | undefined {
  const [verb, ...object] = content
  if (verb === undefined || object.length === 0 || object.length > phraseMaxWords || verb.lower.endsWith('ing'))
    return undefined
  const afterContext = before !== undefined && verbContexts.has(before)
  const noun =
    before === undefined || afterContext
      ? (verbNouns.get(verb.stem) ?? (afterContext ? nounLikeVerbNouns.get(verb.stem) : undefined))
      : undefined
  if (noun === undefined) return undefined
  const last = object.at(-1)!
  const singular = { ...last, surface: singularOf(last.surface) }
  const words = [...object.slice(0, -1), singular]
  return { text: `${textOf(words)} ${noun}`, terms: [...object.map((word) => word.lower), verb.lower] }
}

function facetOf(words: readonly Word[]): Facet {
  return { text: textOf(words), terms: words.filter((word) => word.lower !== 'of').map((word) => word.lower) }
}

function textOf(words: readonly Word[]): string {
  return words.map((word) => word.surface).join(' ')
}

function singularOf(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`
  return word.length > 3 && word.endsWith('s') && !/(?:ss|us|is)$/.test(word) ? word.slice(0, -1) : word
}

/** Names join their words with "-", "_" or "."; requests write spaces. */
export function spaced(name: string): string {
  return name.replaceAll(/[-_.]/g, ' ')
}
