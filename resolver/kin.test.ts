import { describe, expect, it } from 'vitest'
import { createKinIndex, fieldStemsOf } from './kin.ts'
import { stemOf } from './stems.ts'

function kinAmong(word: string, ...vocabulary: string[]): string[] {
  const index = createKinIndex(new Map(vocabulary.map((other) => [stemOf(other), new Set([other])])))
  const kin = index.kinOf(word)
  return vocabulary.filter((other) => kin.has(stemOf(other)))
}

describe('kin of a word', () => {
  it('are its own stem, words that begin alike and words it completes', () => {
    expect(kinAmong('Shakespeare'.toLowerCase(), 'shakespearean', 'drama')).toEqual(['shakespearean'])
    expect(kinAmong('biochemistry', 'chemistry', 'biology', 'physics')).toEqual(['chemistry'])
    expect(kinAmong('recipes', 'recipe', 'receipt')).toEqual(['recipe'])
  })

  it('are not words that only end alike', () => {
    expect(kinAmong('geology', 'biology', 'theology', 'geologist')).toEqual(['geologist'])
    expect(kinAmong('gastronomy', 'astronomy')).toEqual([])
    expect(kinAmong('inorganic', 'organic')).toEqual([])
  })

  it('are not short words with a common start', () => {
    expect(kinAmong('law', 'lawn', 'claw')).toEqual([])
    expect(kinAmong('cook', 'book', 'cork')).toEqual([])
  })

  it('join a person with the field, both ways', () => {
    const pairs = 'lawyer law|biologist biology|physicist physics|chemist chemistry|musician music|astronomer astronomy'
    const more =
      'philosopher philosophy|historian history|geographer geography|linguist linguistics|gardener gardening|baker baking'
    for (const [person, field] of `${pairs}|${more}`.split('|').map((pair) => pair.split(' '))) {
      expect(kinAmong(person!, field!), person).toEqual([field])
      expect(kinAmong(field!, person!), field).toEqual([person])
    }
  })

  it('know the trades whose name is spelled unlike their field', () => {
    expect(['winemaker', 'jewellers'].flatMap(fieldStemsOf)).toEqual(['wine', 'jewelleri'])
    expect(kinAmong('winemaker', 'wine')).toEqual(['wine'])
  })

  it('do not take a thing for a person', () => {
    expect(['water', 'corner', 'number', 'flower', 'list'].flatMap(fieldStemsOf)).toEqual([])
  })
})
