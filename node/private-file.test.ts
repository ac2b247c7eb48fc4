import { chmod, readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { requirePrivate, writePrivateFile } from './private-file.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('a private file has mode 0600 and leaves no temporary file', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'token')
  await writePrivateFile(path, 'one')
  await writePrivateFile(path, 'two')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readFile(path, 'utf8')).toBe('two')
  expect(await readdir(folder.path)).toEqual(['token'])
})

test('a file that cannot be written is storage-failed and leaves nothing behind', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'absent', 'token')
  await expect(writePrivateFile(path, 'x')).rejects.toMatchObject({ code: 'storage-failed', details: { path } })
})

test('a secret that others can read is refused with the command that mends it', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'key')
  await writePrivateFile(path, 'x')
  await requirePrivate(path)
  await chmod(path, 0o640)
  await expect(requirePrivate(path)).rejects.toMatchObject({
    code: 'bad-config',
    message: expect.stringContaining(`chmod 600 ${path}`),
  })
})
