import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { kit } from '../testing/kit.ts'
import { editDistance, indexLookAlikes, lookAlikes } from './look-alike.ts'
import type { Likeness } from './look-alike.ts'

const why = (name: string, other: string): Likeness | undefined => lookAlikes(name, [other])[0]?.why

const genuine = [
  'law',
  'wine',
  'music',
  'biology',
  'chemistry',
  'medicine',
  'astronomy',
  'contract-law',
  'protein-folding',
  'shakespeare-style',
  'recipe-writing',
  'roman-history',
  'income-tax',
  'number-theory',
  'climate-modelling',
  'french-cuisine',
  'java.concurrency',
  'sql_tuning',
  'word2vec-notes',
  'modern-poetry',
]

describe('a name is taken for another', () => {
  it.each<[string, string, Likeness]>([
    ['Biology', 'biology', 'case'],
    ['ＢＩＯＬＯＧＹ', 'biology', 'case'],
    ['proteinfolding', 'protein-folding', 'separator'],
    ['protein_folding', 'protein-folding', 'separator'],
    ['protein‐folding', 'protein-folding', 'separator'],
    ['bi0logy', 'biology', 'confusable'],
    ['bio1ogy', 'biology', 'confusable'],
    ['bioIogy', 'biology', 'confusable'],
    ['b1ology', 'biology', 'confusable'],
    ['rnusic', 'music', 'confusable'],
    ['lavv', 'law', 'confusable'],
    ['merlicine', 'medicine', 'two edits away'],
    ['meclicine', 'medicine', 'confusable'],
    ['Ьiоlоgу', 'biology', 'confusable'],
    ['biοlοgγ', 'biology', 'confusable'],
    ['bíölogy', 'biology', 'confusable'],
    ['bio\u200blogy', 'biology', 'separator'],
    ['folding-protein', 'protein-folding', 'word order'],
    ['bilogy', 'biology', 'one edit away'],
    ['biologyy', 'biology', 'one edit away'],
    ['boilogy', 'biology', 'one edit away'],
    ['bi0olgy', 'biology', 'one edit away'],
    ['asrtonmy', 'astronomy', 'two edits away'],
  ])('%s for %s: %s', (name, other, expected) => {
    expect(why(name, other)).toBe(expected)
    expect(why(other, name)).toBe(expected)
  })

  it.each([
    ['biology', 'biology'],
    ['biology', 'geology'],
    ['law', 'art'],
    ['ai', 'ml'],
    ['part-2', 'part-3'],
    ['lesson-9', 'lesson-10'],
    ['biology', 'biology-of-cells'],
  ])('but not %s for %s', (name, other) => {
    expect(why(name, other)).toBeUndefined()
  })

  it('by all that it can be taken for, the most alike first', () => {
    expect(lookAlikes('music', ['musik', 'MUSIC', 'law', 'music', 'rnusic', 'mu-sic', 'musics'])).toEqual([
      { name: 'MUSIC', why: 'case' },
      { name: 'mu-sic', why: 'separator' },
      { name: 'rnusic', why: 'confusable' },
      { name: 'musics', why: 'one edit away' },
      { name: 'musik', why: 'one edit away' },
    ])
  })

  it('or not, for any two texts alike in both directions and never for itself', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.string({ unit: fc.constantFrom(...'il1-mrn'), maxLength: 6 }),
    )
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(why(a, b)).toBe(why(b, a))
        expect(why(a, a)).toBeUndefined()
      }),
    )
  })
})

/** What someone who wants a name to be mistaken would do to it. Written apart from the table it is to be found with. */
const disguises: Readonly<Record<string, (name: string, pick: (count: number) => number) => string>> = {
  'a capital': (name, pick) => changedAt(name, pick(name.length), (char) => char.toUpperCase()),
  'another separator': (name, pick) => name.replace(/[-_.]/, () => ['-', '_', '.', '', ' ', '--'][pick(6)]!),
  'one more separator': (name, pick) => inserted(name, 1 + pick(name.length - 1), '-'),
  'a digit': (name, pick) => swapped(name, pick, { o: '0', l: '1', i: '1', e: '3', a: '4', s: '5', b: '8' }),
  'a pair of letters': (name, pick) => swapped(name, pick, { m: 'rn', w: 'vv', d: 'cl' }),
  'a Cyrillic letter': (name, pick) =>
    swapped(name, pick, { a: 'а', c: 'с', e: 'е', i: 'і', o: 'о', p: 'р', x: 'х', y: 'у', s: 'ѕ', h: 'һ' }),
  'a Greek letter': (name, pick) =>
    swapped(name, pick, { a: 'α', o: 'ο', v: 'ν', i: 'ι', k: 'κ', t: 'τ', u: 'υ', p: 'ρ' }),
  'a mark': (name, pick) => inserted(name, 1 + pick(name.length), '\u0301'),
  'full width': (name, pick) =>
    changedAt(name, pick(name.length), (char) =>
      /[a-z]/.test(char) ? String.fromCharCode(char.charCodeAt(0) + 0xfee0) : char,
    ),
  'a letter too few': (name, pick) => changedAt(name, pick(name.length), () => ''),
  'a letter too many': (name, pick) => inserted(name, pick(name.length + 1), letterAt(pick(26))),
  'a letter twice': (name, pick) => changedAt(name, pick(name.length), (char) => char + char),
  'another letter': (name, pick) => changedAt(name, pick(name.length), () => letterAt(pick(26))),
  'two letters swapped': (name, pick) => {
    const at = pick(name.length - 1)
    return name.slice(0, at) + name[at + 1]! + name[at]! + name.slice(at + 2)
  },
  'a digit and a slip': (name, pick) =>
    inserted(disguises['a digit']!(name, pick), pick(name.length), letterAt(pick(26))),
  'two slips in a long name': (name, pick) =>
    name.replace(/[-_.]/g, '').length < 9
      ? name
      : inserted(
          changedAt(name, pick(name.length), () => letterAt(pick(26))),
          pick(name.length),
          letterAt(pick(26)),
        ),
  'the words turned round': (name) => name.replace(/^([a-z0-9]+)([-_.])([a-z0-9]+)$/, '$3$2$1'),
}

function letterAt(index: number): string {
  return String.fromCharCode(97 + index)
}

function inserted(name: string, at: number, text: string): string {
  return name.slice(0, at) + text + name.slice(at)
}

function changedAt(name: string, at: number, change: (char: string) => string): string {
  return name.slice(0, at) + change(name[at]!) + name.slice(at + 1)
}

function swapped(name: string, pick: (count: number) => number, swaps: Readonly<Record<string, string>>): string {
  const places = [...name].flatMap((char, at) => (swaps[char] === undefined ? [] : [at]))
  return places.length === 0 ? name : changedAt(name, places[pick(places.length)]!, (char) => swaps[char]!)
}

/** Numbers as if by chance, the same ones each time (a linear congruential generator modulo 2^31). */
function createPick(seed: number): (count: number) => number {
  let state = seed
  return (count) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >>> 8) % count
  }
}

describe('of 1,000 disguised names', () => {
  it('at least 99 in 100 are flagged as alike to the name they disguise', () => {
    const index = indexLookAlikes(genuine)
    const pick = createPick(1)
    const kinds = Object.entries(disguises)
    const missed: string[] = []
    let made = 0
    for (let turn = 0; made < 1_000; turn++) {
      const [kind, disguise] = kinds[turn % kinds.length]!
      const name = genuine[pick(genuine.length)]!
      const variant = disguise(name, pick)
      if (genuine.includes(variant)) continue
      made++
      if (!index.of(variant).some((alike) => alike.name === name)) missed.push(`${kind}: ${variant} for ${name}`)
    }
    expect(missed.length, missed.join('\n')).toBeLessThanOrEqual(10)
  })
})

describe.skipIf(!kit.present)('genuine names (needs the kit)', () => {
  const named = z.array(z.object({ name: z.string() }))
  const read = (file: string) => named.parse(JSON.parse(readFileSync(kit.path('resolver', file), 'utf8')))
  const slug = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')

  it('are taken for each other in none of 33,670 pairs of roles and sciences', () => {
    const names = [
      ...new Set([...read('dev-personas.json'), ...read('arxiv-taxonomy.json')].map(({ name }) => slug(name))),
    ]
    const index = indexLookAlikes(names)
    expect((names.length * (names.length - 1)) / 2).toBe(33_670)
    expect(names.flatMap((name) => index.of(name).map((alike) => `${name} ${alike.name}`))).toEqual([])
  })
})

describe('the edits between two texts', () => {
  it('are as many as the definition says, or too many', () => {
    const text = fc.string({ unit: fc.constantFrom(...'abc'), maxLength: 6 })
    fc.assert(
      fc.property(text, text, fc.nat(3), (a, b, most) => {
        const edits = editsByDefinition(a, b)
        expect(editDistance(a, b, most)).toBe(edits <= most ? edits : Infinity)
      }),
      { numRuns: 200 },
    )
  })
})

function editsByDefinition(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length
  const ways = [
    editsByDefinition(a.slice(1), b) + 1,
    editsByDefinition(a, b.slice(1)) + 1,
    editsByDefinition(a.slice(1), b.slice(1)) + Number(a[0] !== b[0]),
  ]
  if (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0])
    ways.push(editsByDefinition(a.slice(2), b.slice(2)) + 1)
  return Math.min(...ways)
}
