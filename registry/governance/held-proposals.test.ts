import { expect, test, vi } from 'vitest'
import { sha256, utf8 } from '../../protocol/index.ts'
import { Database } from '../database.ts'
import { HeldProposals } from './held-proposals.ts'

function anId(i: number): Uint8Array {
  return sha256(utf8(`proposal ${i}`))
}

test('a flood of proposals costs one write, and none when it is looked at again; the first time stays, also over a restart', () => {
  using database = new Database({ path: ':memory:' })
  const writes = vi.spyOn(database, 'transaction')
  const ids = Array.from({ length: 500 }, (_, i) => anId(i))
  const held = new HeldProposals(database)
  held.note(ids, 1_000)
  held.note(ids, 2_000)
  new HeldProposals(database).note(ids, 3_000)
  expect(writes).toHaveBeenCalledTimes(1)
  expect(new Set(ids.map((id) => held.since(id, 4_000)))).toEqual(new Set([1_000]))
  expect(new HeldProposals(database).since(ids[7]!, 4_000)).toBe(1_000)
})

test('what could not be written was not noted', () => {
  using database = new Database({ path: ':memory:', maxBytes: 160_000 })
  const held = new HeldProposals(database)
  const ids = Array.from({ length: 5_000 }, (_, i) => anId(i))
  expect(() => held.note(ids, 1_000)).toThrow(expect.objectContaining({ code: 'disk-full' }))
  expect(held.knownSince(ids[0]!)).toBeUndefined()
  expect(held.since(ids[0]!, 2_000)).toBe(2_000)
})

test('what was in time is written once, for all that ended', () => {
  using database = new Database({ path: ':memory:' })
  const held = new HeldProposals(database)
  const ended = [1, 2, 3].map((i) => ({ id: anId(i) }))
  held.note(
    ended.map(({ id }) => id),
    1_000,
  )
  const writes = vi.spyOn(database, 'transaction')
  held.noteInTime(ended, ({ id }) => [id])
  held.noteInTime(ended, () => [])
  held.noteInTime([], () => [])
  expect(writes).toHaveBeenCalledTimes(2)
  expect(held.knownInTime(anId(2))?.size).toBe(1)
})
