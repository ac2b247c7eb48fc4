import { randomBytes } from 'node:crypto'
import { chmod, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createRecord, encodeBody, noPrevious, readDevicesItem, verifyRecord } from '../protocol/index.ts'
import { createKeys, hasKeys, loadKeys, passphraseFrom, readIdentity } from './keys.ts'
import { openSecret, saltBytes, sealSecret } from './sealed-secret.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const clock = (): number => 1_767_312_000_000
const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
const cheap = { operations: 1, memoryBytes: 8_192 }

test('init makes an identity whose device can sign records and whose DHT item verifies', async () => {
  await using folder = await temporaryFolder()
  expect(await hasKeys(folder.path)).toBe(false)
  const identity = await createKeys(folder.path, { clock, random })
  expect(identity).toMatch(/^[a-z2-7]{52}$/)
  const keys = await loadKeys(folder.path, undefined)
  expect(keys.identity).toBe(identity)
  expect(await readIdentity(folder.path)).toBe(identity)
  const body = encodeBody('log/1', { certificate: keys.author.certificate })
  const record = createRecord(
    { scope: 'public', index: 0, previous: noPrevious, type: 'log/1', time: clock(), body },
    keys.author,
  )
  expect(verifyRecord(record).fields.author).toEqual(keys.author.identity)
  expect(readDevicesItem(keys.devicesItem).map(({ device }) => device)).toEqual([keys.author.device.publicKey])
  for (const name of await readdir(folder.path)) expect((await stat(join(folder.path, name))).mode & 0o777).toBe(0o600)
})

test('an identity is never overwritten', async () => {
  await using folder = await temporaryFolder()
  await createKeys(folder.path, { clock, random })
  await expect(createKeys(folder.path, { clock, random })).rejects.toMatchObject({ code: 'already-exists' })
})

test('keys without init, without a device file, with a foreign one, or readable by others are refused', async () => {
  await using folder = await temporaryFolder()
  await expect(loadKeys(folder.path, undefined)).rejects.toMatchObject({ code: 'not-initialised' })
  await createKeys(folder.path, { clock, random })
  const device = join(folder.path, 'device')
  await chmod(device, 0o644)
  await expect(loadKeys(folder.path, undefined)).rejects.toMatchObject({ code: 'bad-config' })
  await writeFile(device, sealSecret(random(32), undefined, random(16), cheap))
  await chmod(device, 0o600)
  await expect(loadKeys(folder.path, undefined)).rejects.toMatchObject({
    message: expect.stringContaining('not the device key'),
  })
  await rm(device)
  await expect(loadKeys(folder.path, undefined)).rejects.toMatchObject({
    message: expect.stringContaining('is missing'),
  })
})

test('the daily keys load without the root key file', async () => {
  await using folder = await temporaryFolder()
  const identity = await createKeys(folder.path, { clock, random })
  await rm(join(folder.path, 'root'))
  expect((await loadKeys(folder.path, undefined)).identity).toBe(identity)
})

test('with a passphrase the key files hold no seed, and only that passphrase opens them', async () => {
  await using folder = await temporaryFolder()
  const seeds: string[] = []
  const remembered = (bytes: number): Uint8Array => {
    const drawn = random(bytes)
    seeds.push(Buffer.from(drawn).toString('hex'))
    return drawn
  }
  const identity = await createKeys(folder.path, {
    clock,
    random: remembered,
    passphrase: 'correct horse',
    cost: cheap,
  })
  const device = await readFile(join(folder.path, 'device'), 'utf8')
  const root = await readFile(join(folder.path, 'root'), 'utf8')
  for (const seed of seeds.slice(0, 2)) expect(device + root).not.toContain(seed)
  expect((await loadKeys(folder.path, 'correct horse')).identity).toBe(identity)
  expect(await readIdentity(folder.path)).toBe(identity)
  await expect(loadKeys(folder.path, undefined)).rejects.toMatchObject({ code: 'bad-passphrase' })
  await expect(loadKeys(folder.path, 'wrong horse')).rejects.toMatchObject({ code: 'bad-passphrase' })
})

test('a changed byte anywhere in a sealed secret is noticed', () => {
  const sealed = sealSecret(random(32), 'p', random(saltBytes()), cheap)
  const stored = JSON.parse(sealed) as Record<string, unknown>
  for (const field of ['salt', 'header', 'cipher']) {
    const text = stored[field] as string
    const changed = { ...stored, [field]: (text[0] === '0' ? '1' : '0') + text.slice(1) }
    expect(() => openSecret(JSON.stringify(changed), 'p', 'x')).toThrow(
      expect.objectContaining({ code: 'bad-passphrase' }),
    )
  }
  expect(() => openSecret(sealed.slice(0, -2), 'p', 'x')).toThrow(expect.objectContaining({ code: 'bad-config' }))
})

test('key files that are there without identity.json are completed, never replaced', async () => {
  await using folder = await temporaryFolder()
  const maker = { clock, random, passphrase: 'correct horse', cost: cheap }
  const identity = await createKeys(folder.path, maker)
  const { author } = await loadKeys(folder.path, 'correct horse')
  await rm(join(folder.path, 'identity.json'))
  await expect(createKeys(folder.path, { clock, random, cost: cheap })).rejects.toMatchObject({
    code: 'bad-passphrase',
  })
  expect(await createKeys(folder.path, maker)).toBe(identity)
  expect((await loadKeys(folder.path, 'correct horse')).author).toEqual(author)
})

test('a root key that can not be read is not replaced either', async () => {
  await using folder = await temporaryFolder()
  await writeFile(join(folder.path, 'root'), '')
  await expect(createKeys(folder.path, { clock, random })).rejects.toMatchObject({ code: 'bad-config' })
  expect(await readFile(join(folder.path, 'root'), 'utf8')).toBe('')
})

test('an empty passphrase is none', () => {
  expect(passphraseFrom({ LORA_MESH_PASSPHRASE: '' })).toBeUndefined()
  expect(passphraseFrom({})).toBeUndefined()
  expect(passphraseFrom({ LORA_MESH_PASSPHRASE: ' ' })).toBe(' ')
})
