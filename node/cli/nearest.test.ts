import { expect, test } from 'vitest'
import { nearest } from './nearest.ts'

const words = ['publish', 'peers', 'plan', 'base add', 'community create', 'ls', 'up']

test.each([
  ['publsih', 'publish'],
  ['peer', 'peers'],
  ['paln', 'plan'],
  ['base ad', 'base add'],
  ['comunity crate', 'community create'],
  ['upp', 'up'],
  ['publish', 'publish'],
])('%s probably means %s', (typed, meant) => {
  expect(nearest(typed, words)).toBe(meant)
})

test('what is like nothing has no suggestion', () => {
  expect(nearest('dance', words)).toBeUndefined()
  expect(nearest('', words)).toBeUndefined()
  expect(nearest('publish', [])).toBeUndefined()
})
