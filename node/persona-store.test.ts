import { rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createLockfile, createNgramEmbedder, planRequest } from '../resolver/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import { personaStore } from './persona-store.ts'
import type { PersonaOrigin } from './persona-store.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const made: PersonaOrigin = { follows: 'float', madeAt: 1, request: 'wine pairing' }

test('the persona saved last comes first, is the one without a name, and saving it again makes it last', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const first = await store.save(await aLockfile('one'), made)
  await age(folder.path, first.id, 20)
  const second = await store.save(await aLockfile('two'), made)
  await age(folder.path, second.id, 10)
  expect((await store.list()).map(({ id }) => id)).toEqual([second.id, first.id])
  expect(await store.get(undefined)).toEqual(second)
  await store.save(first.lockfile, made)
  expect(await store.get(undefined)).toEqual(first)
})

test('a persona is found by the first digits of its id, and by nothing else', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const persona = await store.save(await aLockfile('one'), made)
  const { id } = persona
  expect(await store.get(id.slice(0, 5))).toEqual(persona)
  for (const name of ['../personas', `${id}0`, 'zz'])
    await expect(store.get(name)).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining(name) })
})

test('digits that begin several ids are not enough', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  // Seventeen ids cannot all begin with different hex digits.
  for (let n = 0; n < 17; n++) await store.save(await aLockfile(`label ${n}`), made)
  const ids = (await store.list()).map(({ id }) => id)
  const shared = ids.map(([digit]) => digit!).find((digit, i, all) => all.indexOf(digit) !== i)!
  await expect(store.get(shared)).rejects.toMatchObject({ code: 'bad-input' })
})

test('without any persona the message says how to make one', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  await expect(store.get(undefined)).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringContaining('lora-mesh request'),
  })
})

test('a damaged lockfile is told and left out, and hides no other one', async () => {
  await using folder = await temporaryFolder()
  const told: string[] = []
  const store = personaStore(folder.path, (line) => told.push(line))
  const whole = await store.save(await aLockfile('whole'), made)
  const cut = await store.save(await aLockfile('cut'), made)
  await age(folder.path, whole.id, 60)
  await truncate(pathOf(folder.path, cut.id), 40)
  expect(await store.list()).toEqual([whole])
  expect(await store.get(undefined)).toEqual(whole)
  expect(told[0]).toContain(pathOf(folder.path, cut.id))
  await expect(store.get(cut.id)).rejects.toMatchObject({ code: 'bad-config' })
})

test('a lockfile under the id of another persona is not taken for it', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, () => {})
  const { id } = await store.save(await aLockfile('one'), made)
  const other = { ...(await aLockfile('two')) }
  await writeFile(pathOf(folder.path, id), JSON.stringify(other))
  await expect(store.get(id)).rejects.toMatchObject({ code: 'bad-config' })
  expect(await store.list()).toEqual([])
})

test('a persona that floats is led on: the old lockfile stays and works, the new one floats too', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const old = await store.save(await aLockfile('old'), made)
  const moved = await store.move(old, await aLockfile('new'))
  expect(moved.note).toMatchObject({ follows: 'float', predecessor: old.id, request: made.request })
  const again = await store.get(old.id)
  expect(again).toMatchObject({ id: old.id, lockfile: old.lockfile, note: { successor: moved.id } })
  expect(await store.latestOf(again)).toEqual(moved)
  expect(await store.latestOf(moved)).toEqual(moved)
})

test('moving in the background does not change which persona was made last', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const old = await store.save(await aLockfile('old'), made)
  await age(folder.path, old.id, 20)
  const last = await store.save(await aLockfile('made last'), made)
  const moved = await store.move(old, await aLockfile('new'))
  expect(await store.get(undefined)).toEqual(last)
  expect((await store.list()).map(({ id }) => id)).toEqual([last.id, ...[old.id, moved.id].toSorted()])
})

test('without a name it is the one made last as it is now, not as it was made', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const old = await store.save(await aLockfile('old'), made)
  const moved = await store.move(old, await aLockfile('new'))
  expect(await store.get(undefined)).toEqual(moved)
})

test('a roll-back leads to where the persona began, and on from there again', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const [one, two] = [await aLockfile('one'), await aLockfile('two')]
  const first = await store.save(one, made)
  await store.move(first, two)
  const back = await store.move(await store.get(first.id), one)
  expect(back.id).toBe(first.id)
  expect(back.note).not.toHaveProperty('successor')
  const second = await store.move(back, two)
  expect(await store.latestOf(await store.get(first.id))).toEqual(second)
})

test('what a user wants to stay stays, also when another persona floats to the same lockfile', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const stays = await store.save(await aLockfile('new'), { ...made, follows: 'stay' })
  const old = await store.save(await aLockfile('old'), made)
  expect(await store.move(old, stays.lockfile)).toEqual(stays)
})

test('a lockfile without a note, or with a damaged one, stays', async () => {
  await using folder = await temporaryFolder()
  const told: string[] = []
  const store = personaStore(folder.path, (line) => told.push(line))
  const { id } = await store.save(await aLockfile('one'), made)
  await writeFile(join(folder.path, `${id}.json`), '{"format": "lora-mesh-persona/1", "follows": "flo')
  expect((await store.get(id)).note.follows).toBe('stay')
  expect(told).toEqual([expect.stringContaining(`${id}.json is damaged`)])
  await rm(join(folder.path, `${id}.json`))
  expect((await store.get(id)).note.follows).toBe('stay')
  expect(told).toHaveLength(1)
})

async function aLockfile(label: string): Promise<Lockfile> {
  await using embedder = createNgramEmbedder()
  const plan = await planRequest({ text: 'wine pairing', cards: [], embedder })
  return createLockfile({ plan, base: { id: '01'.repeat(32), label }, details: new Map() })
}

/** Instead of waiting: file systems have coarse clocks. */
async function age(folder: string, id: string, seconds: number): Promise<void> {
  const then = Date.now() / 1_000 - seconds
  await utimes(pathOf(folder, id), then, then)
}

const pathOf = (folder: string, id: string): string => join(folder, `${id}.lock.json`)

function unexpected(line: string): void {
  throw new Error(line)
}
