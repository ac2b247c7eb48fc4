import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { capabilityNameOf, extractFacets, facetsMax, requestMaxChars } from './facets.ts'

const textsOf = (text: string, ...names: string[]): string[] =>
  extractFacets(text, { names }).map((facet) => facet.text)
const publisher = 'a'.repeat(52)

describe('facets', () => {
  it('of the kitchen request are the recipe, the style and the pairing', () => {
    const facets = extractFacets('someone who can write a recipe in the style of a Shakespeare play, with wine pairing')
    expect(facets).toEqual([
      { text: 'recipe writing', terms: ['recipe', 'write'] },
      { text: 'Shakespeare style', terms: ['shakespeare'] },
      { text: 'wine pairing', terms: ['wine', 'pairing'] },
    ])
    expect(facets.map(capabilityNameOf)).toEqual(['recipe-writing', 'shakespeare-style', 'wine-pairing'])
  })

  it.each([
    ['I need biochemistry expertise for protein folding', ['biochemistry', 'protein folding']],
    ['someone who knows music and law', ['music', 'law']],
    ['a cook', ['cook']],
    ['quantum gravity', ['quantum gravity']],
    ["Hi! I'm looking for an expert in medieval European history.", ['medieval European history']],
    ['a lawyer who speaks Latin', ['lawyer', 'Latin']],
    ['help me debug Rust programs', ['Rust program debugging']],
    ['design patterns in Java', ['design patterns', 'Java']],
    ['someone who writes like Shakespeare', ['Shakespeare style']],
    ['cooking in a pirate style', ['cooking', 'pirate style']],
    ['history of music', ['history of music']],
    ['protein-folding', ['protein folding']],
    ['WINE PAIRING AND LAW', ['wine pairing', 'law']],
    ['music, music; MUSIC', ['music']],
    ['wi\u00adne pai\u200bring', ['wine pairing']],
    ['biology@ home', ['biology', 'home']],
    ['Node.js and style.transfer. Cooking', ['Node js', 'style transfer', 'Cooking']],
    ['languages, e.g. French', ['languages', 'French']],
    ['a dinner for eight people', ['dinner']],
    ['mail bob@example.com about biology or https://example.com/law', ['mail', 'biology']],
  ])('of "%s" are %j', (text, expected) => {
    expect(textsOf(text)).toEqual(expected)
  })

  it.each([
    ['a cook without wine pairing', ['cook']],
    ['desserts without any nuts or gluten, and soups', ['desserts', 'soups']],
    ['medieval weapons, but no swords', ['medieval weapons']],
    ['not cooking but baking', ['baking']],
    ['not only cooking but also baking', ['cooking', 'baking']],
    ['no-code tools', ['code tools']],
  ])('of "%s" are %j: what is not wanted is none', (text, expected) => {
    expect(textsOf(text)).toEqual(expected)
    expect(textsOf(text, 'wine-pairing', 'swords')).toEqual(expected)
  })

  it.each([
    ['excellent help with Excel', ['Excel']],
    ['general help with image generation', ['image generation']],
    ['experience in designing experiments', ['designing experiments']],
  ])('of "%s" are %j: politeness is known by its words, not by stems that others share', (text, expected) => {
    expect(textsOf(text)).toEqual(expected)
  })

  it('follow the capability names that are known', () => {
    expect(textsOf('cheap protein folding simulation', 'protein-folding')).toEqual([
      'cheap',
      'protein folding',
      'simulation',
    ])
    expect(textsOf('music law', 'music', 'law')).toEqual(['music', 'law'])
    expect(textsOf('wine law', 'law')).toEqual(['wine law'])
    expect(textsOf('organic chemistry', 'chemistry')).toEqual(['organic chemistry'])
  })

  it('are not swallowed by a capability that is named like the grammar of a request', () => {
    const names = ['someone-who', 'i-need', 'who-knows-music', 'and', 'help']
    expect(textsOf('someone who knows music and law', ...names)).toEqual(['music', 'law'])
  })

  it('may be releases named outright', () => {
    const [biology, wine, mine, plain] = extractFacets(
      `biology@^1.8, alice/wine; ${publisher}/law@1.0.0 and/or tea@home`,
      {
        names: [],
        qualifiedNames: ['alice/wine'],
      },
    )
    expect(biology?.exact).toEqual({ text: 'biology@^1.8', name: 'biology', range: '^1.8' })
    expect(wine?.exact).toEqual({ text: 'alice/wine', publisher: 'alice', name: 'wine' })
    expect(mine?.exact).toEqual({ text: `${publisher}/law@1.0.0`, publisher, name: 'law', range: '1.0.0' })
    expect(plain?.exact).toBeUndefined()
    expect(capabilityNameOf(biology!)).toBe('biology')
  })

  it('of a text that asks for nothing are none', () => {
    for (const text of [
      '',
      ' \n\t',
      'the of and',
      'I need someone who can help me, please',
      '🍷🍷',
      '?!…',
      '\u0000\u202e',
    ]) {
      expect(textsOf(text), text).toEqual([])
    }
  })

  it('are refused when there are too many, or the text is a book', () => {
    const many = Array.from({ length: facetsMax + 1 }, (_, i) => `subject${i}`).join(', ')
    expect(() => extractFacets(many)).toThrowError(expect.objectContaining({ code: 'bad-input' }))
    expect(() => extractFacets('x'.repeat(requestMaxChars + 1))).toThrowError(
      expect.objectContaining({ code: 'bad-input' }),
    )
    expect(() => extractFacets('a '.repeat(50_000))).toThrowError(expect.objectContaining({ code: 'bad-input' }))
  })

  it('cope with text built to be slow', () => {
    const pieces = [
      'a',
      'y',
      '-',
      "'",
      '@',
      '/',
      'of ',
      'style of ',
      'like ',
      '@^',
      'a/',
      '\u0301',
      '🍷',
      '^1 ',
      '(',
      ',',
    ]
    const names = Array.from({ length: 2000 }, (_, i) => `a-${'a-'.repeat(i % 20)}b`)
    for (const piece of pieces) {
      const text = piece.repeat(requestMaxChars).slice(0, requestMaxChars)
      try {
        extractFacets(text, { names })
      } catch (error) {
        expect(error).toMatchObject({ code: 'bad-input' })
      }
    }
  })

  it('of any text are few, plain, distinct and nameable', () => {
    const words = fc.constantFrom(
      'write',
      'style',
      'of',
      'a',
      'recipe',
      'like',
      'Shakespeare',
      ',',
      'and',
      'music',
      'biology@1',
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(words, { maxLength: 16 }).map((all) => all.join(' ')),
    )
    fc.assert(
      fc.property(text, (some) => {
        const facets = extractFacets(some, { names: ['music'] })
        expect(facets).toEqual(extractFacets(some, { names: ['music'] }))
        expect(new Set(facets.map((facet) => facet.text)).size).toBe(facets.length)
        for (const facet of facets) {
          expect(facet.text.isWellFormed()).toBe(true)
          expect(facet.text).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
          expect(facet.text.length).toBeLessThanOrEqual(500)
          expect(facet.terms.length).toBeGreaterThan(0)
          expect(capabilityNameOf(facet)).toMatch(/^[a-z0-9]+(?:[-_.][a-z0-9]+)*$/)
          expect(capabilityNameOf(facet).length).toBeLessThanOrEqual(64)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('a word cut for its length', () => {
  it('is not cut through a letter', () => {
    // Letters of two UTF-16 units, at odd offsets.
    const [facet] = extractFacets(`a${'𐐷'.repeat(40)}`)
    expect(facet?.text.isWellFormed()).toBe(true)
    expect(facet?.terms.every((term) => term.isWellFormed())).toBe(true)
  })
})

describe('the name of a gap', () => {
  it('is made of Latin letters, or of a digest where there are none', () => {
    const nameOf = (text: string): string => capabilityNameOf(extractFacets(text)[0]!)
    expect(nameOf('Crème brûlée')).toBe('creme-brulee')
    expect(nameOf('量子重力')).toMatch(/^skill-[0-9a-f]{8}$/)
    expect(nameOf('量子重力')).not.toBe(nameOf('化学'))
  })
})
