import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMeshError } from '../protocol/index.ts'
import { aCard } from './card.fixture.ts'
import type { Card } from './cards.ts'
import { parseCatalogue } from './cards.ts'
import { createNgramEmbedder } from './ngram-embedder.ts'
import { planRequest } from './plan.ts'
import type { Plan, PlanOptions } from './plan.ts'

const embedder = createNgramEmbedder()
const plan = (text: string, cards: readonly Card[], options: PlanOptions = {}, baseId?: string): Promise<Plan> =>
  planRequest({ text, cards, embedder, options, ...(baseId === undefined ? {} : { baseId }) })
const matchesOf = ({ matches }: Plan): string[] => matches.map(({ facet, release }) => `${facet} -> ${release}`)
const gapsOf = ({ gaps }: Plan): string[] => gaps.map(({ capability, reason }) => `${capability}: ${reason}`)
const kitchen = 'someone who can write a recipe in the style of a Shakespeare play, with wine pairing'
const smallBase = { id: '11'.repeat(32), label: 'small', files: ['22'.repeat(32)] }
const largeBase = { id: '33'.repeat(32), label: 'large', files: ['44'.repeat(32)] }

describe('the plan of a request', () => {
  it('takes the drama for the style, the recipes for the recipe, and leaves the wine a gap', async () => {
    const cards = parseCatalogue(
      JSON.stringify({
        cards: [
          { id: 'a', text: 'writes Shakespearean drama and verse' },
          { id: 'b', text: 'writes cooking recipes' },
        ],
      }),
    )
    const found = await plan(kitchen, cards)
    expect(matchesOf(found)).toEqual(['recipe writing -> b', 'Shakespeare style -> a'])
    expect(gapsOf(found)).toEqual(['wine-pairing: not-found'])
    expect(found.fetch.map(({ release }) => release)).toEqual(['a', 'b'])
    expect(found).toMatchObject({ mode: 'stack', strategy: 'train' })
  })

  it('composes a learned compound of its fields, and names what is missing', async () => {
    const cards = [
      aCard({ name: 'biology', version: '1.8.0', text: 'proteins, cells and animals' }),
      aCard({ name: 'biology', version: '1.0.0', text: 'cells' }),
      aCard({ name: 'chemistry', version: '2.1.0', text: 'elements and reactions' }),
      aCard({ name: 'law', text: 'courts' }),
    ]
    const found = await plan('I need biochemistry expertise for protein folding', cards)
    expect(matchesOf(found)).toEqual(['biochemistry -> biology@1.8.0', 'biochemistry -> chemistry@2.1.0'])
    expect(found.gaps).toMatchObject([
      { facet: 'protein folding', capability: 'protein-folding', nearest: [{ capability: 'biology' }] },
    ])
    expect(found.bytes).toBe(2_000)
  })

  it('takes the more trusted of two equals, and no trust makes up for being less about it', async () => {
    const text = 'songs and melodies of the islands'
    const [ann, bob] = ['aaaa', 'bbbb'].map((publisher) => aCard({ name: 'songs', publisher, member: false, text }))
    const releaseOf = async (cards: readonly Card[]) =>
      (await plan('songs of the islands', cards, { anyPublisher: true })).matches[0]?.publisher
    expect(await releaseOf([ann!, bob!])).toBe('aaaa')
    expect(await releaseOf([ann!, { ...bob!, trust: 0.5 }])).toBe('bbbb')
    const loose = aCard({ name: 'pottery', publisher: 'cccc', member: false, text: 'pottery, and a song at times' })
    expect(await releaseOf([ann!, { ...loose, trust: 1 }])).toBe('aaaa')
  })

  it('prefers a card that has the compound itself, and takes no half of one', async () => {
    const own = aCard({ name: 'biochemistry' })
    const parts = [aCard({ name: 'biology' }), aCard({ name: 'chemistry' })]
    expect(matchesOf(await plan('biochemistry', [...parts, own]))).toEqual(['biochemistry -> biochemistry@1.0.0'])
    expect(gapsOf(await plan('biochemistry', [aCard({ name: 'biology' })]))).toEqual(['biochemistry: not-found'])
  })

  it('is all gap where nobody has anything', async () => {
    const found = await plan('quantum gravity', [aCard({ name: 'physics', text: 'gravity, heat and light' })])
    expect(found.matches).toEqual([])
    expect(gapsOf(found)).toEqual(['quantum-gravity: not-found'])
    expect(gapsOf(await plan('quantum gravity', []))).toEqual(['quantum-gravity: not-found'])
  })

  it('routes when more answer than can be stacked well', async () => {
    const cards = ['music', 'law', 'history'].map((name) => aCard({ name }))
    expect((await plan('music and law', cards)).mode).toBe('stack')
    expect((await plan('music, law, history', cards)).mode).toBe('route')
    expect((await plan('music, law, history', cards, { maxStack: 3 })).mode).toBe('stack')
    // What a release requires belongs to it and is no choice of its own.
    const needy = aCard({ name: 'tax', requires: ['music', 'law', 'history'].map((name) => ({ name, range: '*' })) })
    expect((await plan('tax', [...cards, needy])).mode).toBe('stack')
  })

  it('fetches what the node does not hold, required releases included', async () => {
    const cards = [
      aCard({ name: 'law', requires: [{ name: 'latin', range: '^1' }] }),
      aCard({ name: 'latin', bytes: 500 }),
    ]
    const found = await plan('law', cards, { held: new Set(['law@1.0.0']) })
    expect(found.releases.map(({ name, requiredBy }) => [name, requiredBy])).toEqual([
      ['latin', ['law']],
      ['law', []],
    ])
    expect(found.fetch.map(({ name }) => name)).toEqual(['latin'])
    expect(found.bytes).toBe(500)
  })

  it('asks one release for two facets rather than two releases', async () => {
    const cards = [
      aCard({ name: 'harmony' }),
      aCard({ name: 'rhythm' }),
      aCard({ name: 'music', text: 'harmony and rhythm' }),
    ]
    expect(matchesOf(await plan('harmony and rhythm', cards))).toEqual([
      'harmony -> music@1.0.0',
      'rhythm -> music@1.0.0',
    ])
  })

  it('is the same whatever the order of the cards and their repeats', async () => {
    const names = ['music', 'law', 'biology', 'chemistry', 'wine', 'history', 'shakespeare', 'recipes']
    const cards = names.flatMap((name) =>
      ['1.0.0', '2.0.0'].map((version) => aCard({ name, version, text: `${name} and some ${names[0]}` })),
    )
    const expected = await plan(`${kitchen}, biochemistry, music and law`, cards)
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(cards, { minLength: cards.length }), async (shuffled) => {
        expect(await plan(`${kitchen}, biochemistry, music and law`, [...shuffled, ...shuffled.slice(3)])).toEqual(
          expected,
        )
      }),
      { numRuns: 20 },
    )
  })
})

describe('bases', () => {
  const cards = [
    aCard({ name: 'law', base: smallBase, id: 'law-small' }),
    aCard({ name: 'law', version: '3.0.0', base: largeBase, id: 'law-large' }),
    aCard({ name: 'music', base: largeBase, id: 'music-large' }),
  ]

  it('of other releases are named where they would answer what this base leaves open', async () => {
    const found = await plan('law and music', cards, {}, smallBase.id)
    expect(matchesOf(found)).toEqual(['law -> law-small'])
    expect(gapsOf(found)).toEqual(['music: not-found'])
    expect(found.otherBases).toEqual([
      {
        id: largeBase.id,
        label: 'large',
        files: largeBase.files,
        releases: [
          {
            facet: 'music',
            release: 'music-large',
            name: 'music',
            version: '1.0.0',
            score: expect.any(Number) as number,
          },
        ],
      },
    ])
  })

  it('are all other bases for a node without one, the most useful first', async () => {
    const found = await plan('law and music', cards)
    expect(found.matches).toEqual([])
    expect(found.otherBases.map(({ label, releases }) => [label, releases.length])).toEqual([
      ['large', 2],
      ['small', 1],
    ])
  })

  it('are none where everything is answered', async () => {
    expect((await plan('law and music', cards, {}, largeBase.id)).otherBases).toEqual([])
  })
})

describe('publishers', () => {
  const eve = 'e'.repeat(52)
  const stranger = aCard({ name: 'law', version: '9.0.0', publisher: eve, member: false, id: 'eves-law' })
  const ours = aCard({ name: 'law', publisher: 'm'.repeat(52), id: 'our-law' })

  it('that are no members are left out unless they are asked for, and then marked', async () => {
    expect(gapsOf(await plan('law', [stranger]))).toEqual(['law: not-found'])
    expect((await plan('law', [stranger], { anyPublisher: true })).matches).toMatchObject([
      { release: 'eves-law', publisher: eve, outsider: true },
    ])
    expect((await plan(`${eve}/law`, [stranger, ours])).matches).toMatchObject([
      { release: 'eves-law', outsider: true },
    ])
    expect((await plan(`${eve}/law@^1`, [stranger, ours])).gaps).toMatchObject([
      { capability: 'law', reason: 'not-found' },
    ])
  })

  it('that are members mean their release by the bare name', async () => {
    const [match] = (await plan('law@*', [stranger, ours])).matches
    expect(match).toMatchObject({ release: 'our-law' })
    expect(match).not.toHaveProperty('outsider')
    expect((await plan('law', [stranger, ours], { anyPublisher: true })).matches).toMatchObject([
      { release: 'our-law' },
    ])
  })
})

describe('what cannot be had', () => {
  it('together is left out, the weakest first, and said', async () => {
    const cards = [
      aCard({ name: 'music', text: 'music music', requires: [{ name: 'units', range: '^1' }] }),
      aCard({ name: 'law', requires: [{ name: 'units', range: '^2' }] }),
      aCard({ name: 'units', version: '1.0.0' }),
      aCard({ name: 'units', version: '2.0.0' }),
    ]
    const found = await plan('music and law', cards)
    expect(matchesOf(found)).toEqual(['music -> music@1.0.0'])
    expect(found.gaps).toMatchObject([
      {
        capability: 'law',
        reason: 'unsatisfiable',
        detail: expect.stringMatching(/needs units@\^1, but law@1\.0\.0 needs units@\^2|needs units/) as string,
      },
    ])
  })

  it('together costs none of those that have no part in it', async () => {
    const cards = [
      aCard({ name: 'music', text: 'music music', requires: [{ name: 'units', range: '^1' }] }),
      aCard({ name: 'law', text: 'law law', requires: [{ name: 'units', range: '^2' }] }),
      aCard({ name: 'wine', text: 'all sorts of things that one may drink in company, at table or after it' }),
      aCard({ name: 'units', version: '1.0.0' }),
      aCard({ name: 'units', version: '2.0.0' }),
    ]
    const found = await plan('music, law and wine', cards)
    expect(gapsOf(found)).toHaveLength(1)
    expect(matchesOf(found)).toContain('wine -> wine@1.0.0')
  })

  it('in bounded time is left out, and refused where nothing else is left', async () => {
    const pigeons = Array.from({ length: 13 }, (_, i) => i + 1)
    const holes = pigeons.slice(1)
    const cards = [
      aCard({ name: 'law', requires: pigeons.map((pigeon) => ({ name: `pigeon${pigeon}`, range: '*' })) }),
      aCard({ name: 'music' }),
      ...pigeons.flatMap((pigeon) =>
        holes.flatMap((hole) => [
          aCard({
            name: `pigeon${pigeon}`,
            version: `${hole}.0.0`,
            requires: [{ name: `hole${hole}`, range: `${pigeon}.0.0` }],
          }),
          aCard({ name: `hole${hole}`, version: `${pigeon}.0.0` }),
        ]),
      ),
    ]
    const found = await plan('music and law', cards)
    expect(matchesOf(found)).toEqual(['music -> music@1.0.0'])
    expect(found.gaps).toMatchObject([{ capability: 'law', reason: 'too-hard' }])
    await expect(plan('law', cards)).rejects.toMatchObject({
      code: 'too-hard',
      message: expect.stringMatching(/^The requirements of law are too tangled .* Ask for/) as string,
    })
  })

  it('at all is an error when nothing else matched', async () => {
    const cards = [aCard({ name: 'law', requires: [{ name: 'latin', range: '^2' }] })]
    const refusal = {
      code: 'unsatisfiable',
      message: expect.stringMatching(/law@1\.0\.0 needs latin@\^2, and no release of it is known/) as string,
    }
    await expect(plan('law', cards)).rejects.toMatchObject(refusal)
  })

  it('gives way to an older release that can', async () => {
    const cards = [
      aCard({ name: 'law', version: '2.0.0', requires: [{ name: 'latin', range: '^2' }] }),
      aCard({ name: 'law' }),
    ]
    expect(matchesOf(await plan('law', cards))).toEqual(['law -> law@1.0.0'])
  })

  it('within the memory budget is left out, the weakest first', async () => {
    const cards = [aCard({ name: 'music', text: 'music music', bytes: 700 }), aCard({ name: 'law', bytes: 700 })]
    const found = await plan('music and law', cards, { memoryBudgetBytes: 1_000 })
    expect(matchesOf(found)).toEqual(['music -> music@1.0.0'])
    expect(gapsOf(found)).toEqual(['law: over-budget'])
    expect((await plan('music and law', cards, { memoryBudgetBytes: 1_400 })).gaps).toEqual([])
  })
})

describe('what was decided elsewhere', () => {
  const versions = ['3.0.0', '2.0.0', '1.0.0'].map((version) => aCard({ name: 'law', version, base: smallBase }))

  it('is followed: a channel says which release a bare name means, on the base that it is for', async () => {
    const preferred = new Map([['law', 'law@2.0.0']])
    expect(matchesOf(await plan('law', versions, { preferred }, smallBase.id))).toEqual(['law -> law@2.0.0'])
    expect(matchesOf(await plan('law@^3', versions, { preferred }, smallBase.id))).toEqual(['law@^3 -> law@3.0.0'])
    const elsewhere = await plan('law', versions, { preferred: new Map([['law', 'law@for-large']]) }, largeBase.id)
    expect(elsewhere.otherBases).toMatchObject([{ label: 'small', releases: [{ version: '3.0.0' }] }])
    expect(gapsOf(await plan('law', versions, { preferred: new Map([['law', 'unseen']]) }, smallBase.id))).toEqual([
      'law: not-found',
    ])
  })

  it('is followed: what is withdrawn is not taken, and who asks for it is told why', async () => {
    const cards = versions.map((card) => (card.version === '3.0.0' ? { ...card, withdrawn: 'it flatters' } : card))
    expect(matchesOf(await plan('law', cards, {}, smallBase.id))).toEqual(['law -> law@2.0.0'])
    const pinned = new Set(['law@3.0.0'])
    expect(matchesOf(await plan('law', cards, { pinned }, smallBase.id))).toEqual(['law -> law@3.0.0'])
    expect((await plan('law@^3', cards, {}, smallBase.id)).gaps).toMatchObject([
      { reason: 'not-found', detail: 'law@3.0.0 is withdrawn: "it flatters".' },
    ])
  })
})

describe('names', () => {
  const eve = { publisher: 'e'.repeat(52), member: false }

  it("of strangers' releases that can be taken for a member's are pointed out", async () => {
    const cards = [
      aCard({ ...eve, name: 'rnusic', id: 'eves', text: 'songs' }),
      aCard({ name: 'music', text: 'scores' }),
    ]
    const found = await plan('songs', cards, { anyPublisher: true })
    expect(matchesOf(found)).toEqual(['songs -> eves'])
    expect(found.warnings).toEqual([
      { kind: 'release', name: 'rnusic', like: 'music', why: 'confusable', release: 'eves' },
    ])
    expect((await plan('scores', cards, { anyPublisher: true })).warnings).toEqual([])
    const equals = cards.map((card) => ({ ...card, member: true }))
    expect((await plan('songs', equals)).warnings).toEqual([])
    const channel = { preferred: new Map([['music', 'music@1.0.0']]) }
    expect((await plan('songs', equals, channel)).warnings).toMatchObject([{ name: 'rnusic', like: 'music' }])
  })

  it('of members are equals, whatever else the plan takes', async () => {
    const cards = [
      aCard({ name: 'musik', text: 'scores' }),
      aCard({ name: 'music', text: 'harmony' }),
      aCard({ ...eve, name: 'pottery', id: 'eves' }),
    ]
    const found = await plan('scores and pottery', cards, { anyPublisher: true })
    expect(matchesOf(found)).toEqual(['scores -> musik@1.0.0', 'pottery -> eves'])
    expect(found.warnings).toEqual([])
    expect((await plan('music@^9', cards)).warnings).toEqual([])
  })

  it('that nobody has are compared with those that are known', async () => {
    const cards = [aCard({ name: 'astronomy', text: 'stars' }), aCard({ name: 'law' })]
    expect((await plan('asrtonomy@^1', cards)).warnings).toEqual([
      { kind: 'request', name: 'asrtonomy', like: 'astronomy', why: 'one edit away' },
    ])
    expect((await plan('law and pottery', cards)).warnings).toEqual([])
  })
})

describe('hostile input', () => {
  it('of any kind gives a plan or a clear refusal', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.constantFrom('', '🍷'.repeat(3000), 'a '.repeat(50_000), '\u0000'.repeat(99)),
    )
    const card = fc
      .record({
        name: fc.constantFrom('law', 'a', 'of', 'someone-who'),
        text: fc.string({ unit: 'binary', maxLength: 200 }),
        member: fc.boolean(),
      })
      .map((fields) => aCard(fields))
    await fc.assert(
      fc.asyncProperty(text, fc.array(card, { maxLength: 4 }), async (request, cards) => {
        try {
          const found = await plan(request, cards, { anyPublisher: true })
          expect(found.matches.length + found.gaps.length).toBeGreaterThanOrEqual(found.facets.length)
        } catch (error) {
          expect(isMeshError(error, 'bad-input'), String(error)).toBe(true)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('that asks for nothing gives an empty plan', async () => {
    expect(await plan('of the and', [aCard()])).toMatchObject({
      facets: [],
      matches: [],
      fetch: [],
      gaps: [],
      bytes: 0,
      strategy: 'none',
    })
  })

  it('that stuffs every word into one card does not beat the card that is about it', async () => {
    const stuffed = aCard({
      name: 'all',
      text: Array.from({ length: 300 }, (_, i) => `word${i}`).join(' ') + ' law music wine',
    })
    expect(matchesOf(await plan('law', [stuffed, aCard({ name: 'law', text: 'courts' })]))).toEqual([
      'law -> law@1.0.0',
    ])
    expect(gapsOf(await plan('wine', [stuffed]))).toEqual(['wine: not-found'])
  })

  it('is left alone once nobody waits for the plan', async () => {
    await expect(plan('law', [aCard()], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
  })
})
