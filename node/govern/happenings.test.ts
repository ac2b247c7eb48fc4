import { expect, test } from 'vitest'
import { Happenings } from './happenings.ts'
import type { NumberedHappening } from './happenings.ts'

const tell = (happenings: Happenings, count: number): void => {
  for (let connected = 0; connected < count; connected++) happenings.tell({ type: 'peers', connected })
}

test('whoever comes back hears what it missed, in order and once', () => {
  const happenings = new Happenings('run1')
  tell(happenings, 2)
  const seen = happenings.lastId
  tell(happenings, 3)
  expect(happenings.since(seen)).toMatchObject([{ connected: 0 }, { connected: 1 }, { connected: 2 }])
  expect(happenings.since(happenings.lastId)).toEqual([])
})

test('what is no longer kept, or is of another run, is not taken for nothing', () => {
  const happenings = new Happenings('run1')
  const start = happenings.lastId
  tell(happenings, 256)
  expect(happenings.since(start)).toHaveLength(256)
  tell(happenings, 1)
  expect(happenings.since(start)).toBeUndefined()
  expect(happenings.since('run0-256')).toBeUndefined()
  expect(happenings.since('nonsense')).toBeUndefined()
})

test('listeners hear until they stop', () => {
  const happenings = new Happenings('run1')
  const heard: NumberedHappening[] = []
  const stop = happenings.listen((event) => heard.push(event))
  tell(happenings, 1)
  stop()
  tell(happenings, 1)
  expect(heard).toEqual([{ type: 'peers', connected: 0, id: 'run1-1' }])
})
