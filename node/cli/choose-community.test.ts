import { expect, test } from 'vitest'
import { onlyCommunity } from './choose-community.ts'
import type { Community } from './choose-community.ts'

const community = (name: string, role?: string): Community => ({
  id: name,
  link: `loramesh:community:${name}`,
  state: 'following',
  name,
  ...(role === undefined ? {} : { role }),
})

test('the only community need not be named, nor the only one of several that one is a member of', () => {
  expect(onlyCommunity([community('kitchen')]).id).toBe('kitchen')
  expect(onlyCommunity([community('kitchen'), community('lab', 'user')]).id).toBe('lab')
})

test('otherwise all of them are listed, or what to do without any', () => {
  expect(() => onlyCommunity([community('kitchen'), community('lab')])).toThrow(/kitchen, lab/)
  expect(() => onlyCommunity([community('kitchen', 'admin'), community('lab', 'user')])).toThrow(/kitchen, lab/)
  expect(() => onlyCommunity([])).toThrow(/community create/)
})
