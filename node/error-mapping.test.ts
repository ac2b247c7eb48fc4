import { mkdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { MeshError } from '../protocol/index.ts'
import { errorBody, exitCode, httpStatus } from './error-mapping.ts'
import { storageError } from './private-file.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('usage exits 64, refused content 2, what could not be done 1, an interruption 130', () => {
  const exits = (['usage', 'gguf-refused', 'not-found', 'aborted', 'disk-full'] as const).map((code) =>
    exitCode(new MeshError(code, '')),
  )
  expect(exits).toEqual([64, 2, 1, 130, 1])
})

test('a file that the system does not let us use is no bug of ours', async () => {
  await using folder = await temporaryFolder()
  const making = await mkdir(folder.path).catch((error: unknown) => error)
  expect(errorBody(making)).toMatchObject({ code: 'storage-failed', message: expect.stringContaining(folder.path) })
  expect([exitCode(making), httpStatus(making)]).toEqual([1, 500])
})

test('a bug stays one, with its message', () => {
  expect(errorBody(new Error('oops'))).toMatchObject({ code: 'internal', message: expect.stringContaining('oops') })
  expect(exitCode(new Error('oops'))).toBe(1)
})

test('a full disk is called that, also when SQLite says it', () => {
  expect(storageError(Object.assign(new Error(), { code: 'ENOSPC' }), '/x').code).toBe('disk-full')
  expect(storageError(Object.assign(new Error(), { code: 'ERR_SQLITE_ERROR', errcode: 13 }), '/x').code).toBe(
    'disk-full',
  )
  expect(storageError(Object.assign(new Error(), { code: 'ERR_SQLITE_ERROR', errcode: 14 }), '/x').code).toBe(
    'storage-failed',
  )
})
