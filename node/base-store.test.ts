import { copyFile, mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { randomBase } from '../model-files/index.ts'
import { openBaseStore } from './base-store.ts'
import type { BaseStore, KnownBase } from './base-store.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('the first base is used, another one after `use`, and all of it is there after opening again', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const one = await addBase(store, folder.path, 1)
  const two = await addBase(store, folder.path, 2)
  expect(store.current()).toEqual(one)
  await store.use('base 2')
  const again = await aStore(folder.path)
  expect(again.list()).toEqual([one, two])
  expect(again.current()).toEqual(two)
})

test('a base is found by label, path and first digits; unknown ones by nobody, whatever they look like', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const base = await addBase(store, folder.path, 1)
  for (const name of [base.label, base.path, base.file.slice(0, 6), base.id.slice(0, 12)])
    expect(store.find(name)).toEqual(base)
  for (const name of ['nope', '', '../x', 'abc', '.*', '__proto__']) {
    await expect(store.use(name)).rejects.toMatchObject({ code: 'not-found' })
    await expect(store.remove(name)).rejects.toMatchObject({ code: 'not-found' })
  }
  expect(store.current()).toEqual(base)
})

test('two bases of one label must be told apart by their digest', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const one = await addBase(store, folder.path, 1, 'same')
  const two = await addBase(store, folder.path, 2, 'same')
  await expect(store.use('same')).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringContaining(two.file.slice(0, 12)),
  })
  expect(await store.use(one.file)).toEqual(one)
})

test('removing the base in use uses the next one, removing the last one none; the files stay', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const one = await addBase(store, folder.path, 1)
  const two = await addBase(store, folder.path, 2)
  await store.remove(one.file)
  expect(store.current()).toEqual(two)
  await store.remove(two.file)
  expect(store.current()).toBeUndefined()
  expect((await aStore(folder.path)).list()).toEqual([])
  expect((await readFile(one.path)).length).toBe(one.bytes)
})

test('a file that was moved away is missed with its path, and found again under its new one without a second entry', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const base = await addBase(store, folder.path, 1)
  const elsewhere = join(folder.path, 'elsewhere.gguf')
  await rename(base.path, elsewhere)
  await expect(store.info(base)).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringContaining(base.path),
  })
  const moved = await store.add(elsewhere, {})
  expect(store.list()).toEqual([moved])
  expect(store.current()).toEqual(moved)
  expect((await store.info(moved)).label).toBe('base 1')
})

test('a file that was changed is refused, also when its size is the same; one that was only touched is not', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const base = await addBase(store, folder.path, 1)
  await utimes(base.path, 1, 1)
  expect((await store.info(base)).label).toBe('base 1')
  const bytes = await readFile(base.path)
  await writeFile(base.path, bytes.subarray(0, -1))
  await expect(store.info(base)).rejects.toMatchObject({ code: 'hash-mismatch' })
  bytes[bytes.length - 1] = bytes.at(-1)! ^ 1
  await writeFile(base.path, bytes)
  await expect(store.info(base)).rejects.toMatchObject({
    code: 'hash-mismatch',
    message: expect.stringContaining('lora-mesh base add'),
  })
})

test('what is no base is not added', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const whole = await addBase(store, folder.path, 1)
  const cut = join(folder.path, 'cut.gguf')
  await copyFile(whole.path, cut)
  await writeFile(cut, (await readFile(cut)).subarray(0, 1_000))
  await expect(store.add(cut, {})).rejects.toMatchObject({ code: 'gguf-malformed' })
  await expect(store.add(folder.path, {})).rejects.toMatchObject({ code: 'bad-input' })
  await rm(cut)
  await expect(store.add(cut, {})).rejects.toMatchObject({ code: 'not-found' })
  expect(store.list()).toEqual([whole])
})

test.each(['', '{', '[]', '{"format":2,"bases":[]}', '\u0000\u00ff'])(
  'a damaged bases.json is refused: %j',
  async (text) => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'bases.json'), text)
    await expect(aStore(folder.path)).rejects.toMatchObject({
      code: 'bad-config',
      message: expect.stringContaining('delete it'),
    })
  },
)

test('whoever waits for a base hears of the next one, and of nothing after the time', async () => {
  await using folder = await temporaryFolder()
  const store = await aStore(folder.path)
  const { signal } = new AbortController()
  expect(await store.addedSince(store.additions(), 0, signal)).toBe(false)
  const waiting = store.addedSince(store.additions(), 60_000, signal)
  await addBase(store, folder.path, 1)
  expect(await waiting).toBe(true)
  await expect(store.addedSince(store.additions(), 60_000, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
    'enough',
  )
})

const aStore = (folder: string): Promise<BaseStore> => openBaseStore(join(folder, 'bases.json'))

async function addBase(
  store: BaseStore,
  folder: string,
  rngSeed: number,
  name = `base ${rngSeed}`,
): Promise<KnownBase> {
  const path = join(folder, `base-${rngSeed}.gguf`)
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32, name, rngSeed }, path)
  return store.add(path, {})
}

test('a folder in the place of bases.json is not called damaged: nothing tells to delete it', async () => {
  await using folder = await temporaryFolder()
  await mkdir(join(folder.path, 'bases.json'))
  await expect(aStore(folder.path)).rejects.toMatchObject({ code: 'storage-failed' })
})
