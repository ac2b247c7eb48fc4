import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { chooseDataRoot, openDataFolder, readToken } from './data-folder.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const since = Date.UTC(2026, 0, 2)
const clock = (): number => since

test('a new data folder is private, has a token, and keeps it', async () => {
  await using folder = await temporaryFolder()
  const root = join(folder.path, 'data')
  let token
  {
    await using data = await openDataFolder(root, 'up', clock)
    token = data.token
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/)
    for (const path of [root, data.paths.keys, data.paths.objects, data.paths.staging]) {
      expect(await modeOf(path)).toBe(0o700)
    }
    for (const name of ['token', 'holder.json']) expect(await modeOf(join(root, name))).toBe(0o600)
  }
  await using again = await openDataFolder(root, 'up', clock)
  expect(again.token).toBe(token)
})

test('a data folder that others could enter is closed to them', async () => {
  await using folder = await temporaryFolder()
  await chmod(folder.path, 0o755)
  await using data = await openDataFolder(folder.path, 'up', clock)
  expect(await modeOf(data.paths.root)).toBe(0o700)
})

test('a token that others can read, or that was cut, is refused', async () => {
  await using folder = await temporaryFolder()
  await (await openDataFolder(folder.path, 'up', clock))[Symbol.asyncDispose]()
  const path = join(folder.path, 'token')
  await chmod(path, 0o644)
  await expect(openDataFolder(folder.path, 'up', clock)).rejects.toMatchObject({ code: 'bad-config' })
  await chmod(path, 0o600)
  await writeFile(path, 'short')
  await expect(readToken(folder.path)).rejects.toMatchObject({ code: 'bad-config' })
  // Again `bad-config`, not `data-folder-in-use`: the lock was given back.
  await expect(openDataFolder(folder.path, 'up', clock)).rejects.toMatchObject({
    code: 'bad-config',
  })
})

test('a second holder in the same process is refused too', async () => {
  await using folder = await temporaryFolder()
  await using first = await openDataFolder(folder.path, 'up', clock)
  await expect(openDataFolder(folder.path, 'ls', clock)).rejects.toMatchObject({ code: 'data-folder-in-use' })
  expect(first.token).toHaveLength(43)
})

test('a second process is refused and told the pid, command, start and url of the first', async () => {
  await using folder = await temporaryFolder()
  await using holder = await holdInAnotherProcess(folder.path)
  await expect(openDataFolder(folder.path, 'ls', clock)).rejects.toMatchObject({
    code: 'data-folder-in-use',
    message: expect.stringContaining(`process ${holder.child.pid} (lora-mesh up, since 2026-01-02T00:00:00.000Z`),
    details: {
      path: folder.path,
      pid: holder.child.pid,
      command: 'up',
      since: '2026-01-02T00:00:00.000Z',
      url: 'http://127.0.0.1:4747',
    },
  })
})

test('the lock of a process that was killed is free at once, whoever has its pid now', async () => {
  await using folder = await temporaryFolder()
  {
    await using holder = await holdInAnotherProcess(folder.path)
    holder.child.kill('SIGKILL')
    await once(holder.child, 'exit')
  }
  // The file it left may name any process, such as this one.
  const left = JSON.parse(await readFile(join(folder.path, 'holder.json'), 'utf8'))
  await writeFile(join(folder.path, 'holder.json'), JSON.stringify({ ...left, pid: process.pid }))
  await using data = await openDataFolder(folder.path, 'ls', clock)
  expect(JSON.parse(await readFile(join(data.paths.root, 'holder.json'), 'utf8'))).toEqual({
    pid: process.pid,
    command: 'ls',
    since: '2026-01-02T00:00:00.000Z',
  })
})

test('of many processes that want the folder at once exactly one gets it', async () => {
  await using folder = await temporaryFolder()
  const contenders = Array.from({ length: 6 }, () => startHolder(folder.path))
  const outcomes = await Promise.all(
    contenders.map(async (child) => (await once(child, 'message'))[0] as { kind: string }),
  )
  expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual([...Array(5).fill('data-folder-in-use'), 'held'])
  for (const child of contenders) child.kill('SIGKILL')
  await Promise.all(contenders.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')))
})

test('--data beats the environment, which beats the home folder', () => {
  expect(chooseDataRoot('/a', { LORA_MESH_DATA: '/b' })).toBe('/a')
  expect(chooseDataRoot(undefined, { LORA_MESH_DATA: '/b' })).toBe('/b')
  expect(chooseDataRoot(undefined, {})).toMatch(/\.lora-mesh$/)
})

test('folders above a new data folder are made, below a file or a folder that can hold none it is refused at once', async () => {
  await using folder = await temporaryFolder()
  {
    await using data = await openDataFolder(join(folder.path, 'a', 'b', 'c'), 'up', clock)
    expect(await modeOf(join(data.paths.root, '..'))).toBe(0o700)
  }
  const file = join(folder.path, 'file')
  await writeFile(file, '')
  for (const root of [file, join(file, 'below')])
    await expect(openDataFolder(root, 'up', clock)).rejects.toMatchObject({ code: 'storage-failed' })
})

test.skipIf(!existsSync('/proc/self'))('a folder where none can be made does not keep it waiting', async () => {
  await expect(openDataFolder('/proc/lora-mesh', 'up', clock)).rejects.toMatchObject({ code: 'storage-failed' })
})

test('a lock file that is none is named with what to do', async () => {
  await using folder = await temporaryFolder()
  await writeFile(join(folder.path, 'lock'), 'x'.repeat(8_192))
  await expect(openDataFolder(folder.path, 'up', clock)).rejects.toMatchObject({
    code: 'bad-config',
    message: expect.stringContaining('delete it'),
  })
})

test('a folder in the place of the token is said to be in the way', async () => {
  await using folder = await temporaryFolder()
  await mkdir(join(folder.path, 'token'), { mode: 0o700 })
  await expect(openDataFolder(folder.path, 'up', clock)).rejects.toMatchObject({
    code: 'storage-failed',
    message: expect.stringContaining(join(folder.path, 'token')),
  })
})

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777
}

function startHolder(root: string): ChildProcess {
  return fork(new URL('./testing/hold-data-folder.ts', import.meta.url), [root, String(since)], { execArgv: [] })
}

async function holdInAnotherProcess(root: string): Promise<AsyncDisposable & { child: ChildProcess }> {
  const child = startHolder(root)
  expect((await once(child, 'message'))[0]).toEqual({ kind: 'held' })
  return {
    child,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
