import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stemOf, stemsOf, wordsOf } from './stems.ts'

describe('Porter stems', () => {
  // The examples of Porter's paper, step by step.
  const examples = `caresses caress|ponies poni|ties ti|cats cat|feed feed|agreed agre|plastered plaster|bled bled|motoring motor
    |sing sing|conflated conflat|troubled troubl|sized size|hopping hop|tanned tan|falling fall|hissing hiss|fizzed fizz|failing fail
    |filing file|happy happi|sky sky|relational relat|conditional condit|rational ration|valenci valenc|digitizer digit|radicalli radic
    |differentli differ|vileli vile|analogousli analog|vietnamization vietnam|predication predic|operator oper|feudalism feudal
    |decisiveness decis|hopefulness hope|callousness callous|formaliti formal|sensitiviti sensit|sensibiliti sensibl|triplicate triplic
    |formative form|formalize formal|electriciti electr|electrical electr|hopeful hope|goodness good|revival reviv|allowance allow
    |inference infer|airliner airlin|gyroscopic gyroscop|adjustable adjust|defensible defens|irritant irrit|replacement replac
    |adjustment adjust|dependent depend|adoption adopt|communism commun|activate activ|effective effect|bowdlerize bowdler|probate probat
    |rate rate|cease ceas|controll control|roll roll|generalizations gener|oscillators oscil`
  for (const [word, stem] of examples.split('|').map((pair) => pair.trim().split(' '))) {
    it(`of "${word}" is "${stem}"`, () => expect(stemOf(word!)).toBe(stem))
  }

  it('leave short words, digits and other scripts alone', () => {
    expect(['as', 'mp3', 'größe', '化学'].map(stemOf)).toEqual(['as', 'mp3', 'größe', '化学'])
  })

  it('are never longer than the word and one letter, and never empty', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,40}$/), (word) => {
        const stem = stemOf(word)
        expect(stem.length).toBeGreaterThan(0)
        expect(stem.length).toBeLessThanOrEqual(word.length + 1)
      }),
    )
  })

  it('of a text leave stop words out and keep repeats', () => {
    expect(stemsOf('The recipes of a recipe')).toEqual(['recip', 'recip'])
  })
})

describe('words', () => {
  it('are lower-case, without diacritics and possessives', () => {
    expect(wordsOf("Crème brûlée, Rome’s C++ and John's x-ray 2.0")).toEqual([
      'creme',
      'brulee',
      'rome',
      'c',
      'and',
      'john',
      'x',
      'ray',
      '2',
      '0',
    ])
  })

  it('are cut at a length that no real word has', () => {
    expect(wordsOf('x'.repeat(10_000))[0]).toHaveLength(48)
  })
})
