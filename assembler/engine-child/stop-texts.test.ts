import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { watchStopTexts } from './stop-texts.ts'

/** What is shown of a text that arrives in these pieces. */
function shown(pieces: readonly string[], stops: readonly string[]): { text: string; stopped: boolean } {
  const watch = watchStopTexts(stops)
  let text = ''
  for (const piece of pieces) {
    const { show, stopped } = watch.add(piece)
    text += show
    if (stopped) return { text, stopped }
  }
  return { text: text + watch.rest(), stopped: false }
}

test('however a text is cut into pieces, what is shown ends before the first stop text', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 4 })),
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 }), { maxLength: 3 }),
      (pieces, stops) => {
        const whole = pieces.join('')
        const at = stops.filter((stop) => stop !== '' && whole.includes(stop)).map((stop) => whole.indexOf(stop))
        const { text, stopped } = shown(pieces, stops)
        expect(stopped).toBe(at.length > 0)
        // The stop text that is complete first ends the answer; one that began earlier but ends later may not have come yet.
        if (stopped) expect(stops.some((stop) => stop !== '' && whole.startsWith(text + stop))).toBe(true)
        else expect(text).toBe(whole)
        for (const stop of stops) if (stop !== '') expect(text.includes(stop)).toBe(false)
      },
    ),
  )
})

test('the start of a stop text is held back and shown when it turns out to be harmless', () => {
  const watch = watchStopTexts(['</end>'])
  expect(watch.add('hello </e')).toEqual({ show: 'hello ', stopped: false })
  expect(watch.add('at')).toEqual({ show: '</eat', stopped: false })
  expect(watch.add('<')).toEqual({ show: '', stopped: false })
  expect(watch.rest()).toBe('<')
})
