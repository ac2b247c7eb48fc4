import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMeshError } from '../protocol/index.ts'
import { parseCatalogue } from './cards.ts'

const parse = (...cards: unknown[]) => parseCatalogue(JSON.stringify({ cards }))
const badInput = (message: RegExp) =>
  expect.objectContaining({ code: 'bad-input', message: expect.stringMatching(message) as string })

describe('a catalogue file', () => {
  it('gives cards that fit every base', () => {
    const [card] = parse({ id: 'biology', text: 'cells', version: '1.8.0', requires: { units: '^1' } })
    expect(card).toMatchObject({
      id: 'biology@1.8.0',
      name: 'biology',
      version: '1.8.0',
      member: true,
      capabilities: [{ name: 'biology', description: 'cells' }],
      requires: [{ name: 'units', range: '^1' }],
    })
    expect(card).not.toHaveProperty('base')
  })

  it('may leave the version out, or put it into the id', () => {
    expect(
      parse({ id: 'a', text: '' }, { id: 'b@2.0.0', text: '' }).map(({ id, name, version }) => [id, name, version]),
    ).toEqual([
      ['a', 'a', '0.0.0'],
      ['b@2.0.0', 'b', '2.0.0'],
    ])
  })

  it('is refused with the place of the mistake', () => {
    expect(() => parseCatalogue('{"cards": [')).toThrowError(badInput(/not JSON/))
    expect(() => parseCatalogue('[]')).toThrowError(badInput(/catalogue file/))
    expect(() => parse({ id: 'a', text: '' }, { id: 'b', text: 7 })).toThrowError(badInput(/cards\.1\.text/))
    expect(() => parse({ id: 'a', text: '', version: 'one' })).toThrowError(
      badInput(/cards\.0\.version: must be a semantic version/),
    )
    expect(() => parse({ id: 'a', text: '', requires: { b: 'soon' } })).toThrowError(
      badInput(/cards\.0\.requires\.b: must be a version range/),
    )
    expect(() => parse({ id: '', text: '' })).toThrowError(badInput(/cards\.0\.id/))
    expect(() => parse({ id: 'a', text: 'x'.repeat(10_000) })).toThrowError(badInput(/cards\.0\.text/))
    expect(() => parse({ id: 'a', text: '' }, { id: 'a', text: 'again' })).toThrowError(
      badInput(/cards\.1: a second card "a"/),
    )
    expect(() => parse(...Array.from({ length: 10_001 }, (_, i) => ({ id: `c${i}`, text: '' })))).toThrowError(
      badInput(/cards/),
    )
  })

  it('of any content gives cards or a clear refusal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((json) => `{"cards": [${json}]}`),
        ),
        (text) => {
          try {
            expect(Array.isArray(parseCatalogue(text))).toBe(true)
          } catch (error) {
            expect(isMeshError(error, 'bad-input'), String(error)).toBe(true)
          }
        },
      ),
    )
  })

  it('is refused where a name would be lost or changes what a terminal shows', () => {
    const requiring = '{"cards":[{"id":"law","text":"","requires":{"__proto__":"^1.0.0"}}]}'
    expect(() => parseCatalogue(requiring)).toThrow('nothing in it can be called __proto__')
    expect(() => parseCatalogue(JSON.stringify({ cards: [{ id: 'law\u001b[2J', text: '' }] }))).toThrow(
      'cards.0.id: must be plain text',
    )
  })
})
