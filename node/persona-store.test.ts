import { truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createLockfile, createNgramEmbedder, planRequest } from '../resolver/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import { personaStore } from './persona-store.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('the persona saved last comes first, is the one without a name, and saving it again makes it last', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const first = await store.save(await aLockfile('one'))
  await age(folder.path, first.id, 20)
  const second = await store.save(await aLockfile('two'))
  await age(folder.path, second.id, 10)
  expect((await store.list()).map(({ id }) => id)).toEqual([second.id, first.id])
  expect(await store.get(undefined)).toEqual(second)
  await store.save(first.lockfile)
  expect(await store.get(undefined)).toEqual(first)
})

test('a persona is found by the first digits of its id, and by nothing else', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  const { id, lockfile } = await store.save(await aLockfile('one'))
  expect(await store.get(id.slice(0, 5))).toEqual({ id, lockfile })
  for (const name of ['../personas', `${id}0`, 'zz'])
    await expect(store.get(name)).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining(name) })
})

test('digits that begin several ids are not enough', async () => {
  await using folder = await temporaryFolder()
  const store = personaStore(folder.path, unexpected)
  // Seventeen ids cannot all begin with different hex digits.
  for (let n = 0; n < 17; n++) await store.save(await aLockfile(`label ${n}`))
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
  const whole = await store.save(await aLockfile('whole'))
  const cut = await store.save(await aLockfile('cut'))
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
  const { id } = await store.save(await aLockfile('one'))
  const other = { ...(await aLockfile('two')) }
  await writeFile(pathOf(folder.path, id), JSON.stringify(other))
  await expect(store.get(id)).rejects.toMatchObject({ code: 'bad-config' })
  expect(await store.list()).toEqual([])
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
