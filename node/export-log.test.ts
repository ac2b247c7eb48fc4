import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exportLog } from './export-log.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const { signal } = new AbortController()

function* someLines(count: number, before: (line: number) => void = () => {}): Generator<string> {
  for (let line = 0; line < count; line++) {
    before(line)
    yield `${line} ${'x'.repeat(1_000)}\n`
  }
}

test('a file is written in pieces, with the bytes of all lines in their order', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'log.jsonl')
  const told: number[] = []
  const log = { total: 1_000, lines: someLines(1_000) }
  const written = await exportLog(log, { file, force: false, signal, onProgress: ({ lines }) => told.push(lines) })
  const text = await readFile(file, 'utf8')
  expect(text).toBe([...someLines(1_000)].join(''))
  expect(written).toEqual({ file, lines: 1_000, bytes: text.length })
  expect(told.length).toBeGreaterThan(2)
  expect(told.at(-1)).toBe(1_000)
})

test('a file that exists is left alone, unless it may be replaced', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'log.jsonl')
  await writeFile(file, 'mine')
  const log = () => ({ total: 1, lines: someLines(1) })
  await expect(exportLog(log(), { file, force: false, signal })).rejects.toMatchObject({ code: 'already-exists' })
  expect(await readFile(file, 'utf8')).toBe('mine')
  await exportLog(log(), { file, force: true, signal })
  expect(await readFile(file, 'utf8')).toMatch(/^0 x/)
  await expect(exportLog(log(), { file: folder.path, force: true, signal })).rejects.toMatchObject({
    code: 'already-exists',
  })
})

test('one that appears meanwhile is left alone too', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'log.jsonl')
  const onProgress = (): void => void writes.push(writeFile(file, 'theirs'))
  const writes: Promise<void>[] = []
  const lines = someLines(400)
  const slowly = exportLog({ total: 400, lines }, { file, force: false, signal, onProgress })
  await expect(slowly).rejects.toMatchObject({ code: 'already-exists' })
  await Promise.all(writes)
  expect(await readFile(file, 'utf8')).toBe('theirs')
})

test('what fails or is stopped on the way leaves nothing behind', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'log.jsonl')
  const stop = new AbortController()
  const stopped = someLines(2_000, (line) => line === 900 && stop.abort(new Error('stopped')))
  await expect(exportLog({ total: 1, lines: stopped }, { file, force: false, signal: stop.signal })).rejects.toThrow(
    'stopped',
  )
  const failing = someLines(2_000, (line) => {
    if (line === 900) throw new Error('damaged')
  })
  await expect(exportLog({ total: 1, lines: failing }, { file, force: false, signal })).rejects.toThrow('damaged')
  expect(await readdir(folder.path)).toEqual([])
  const nowhere = join(folder.path, 'absent', 'log.jsonl')
  await expect(
    exportLog({ total: 1, lines: someLines(1) }, { file: nowhere, force: false, signal }),
  ).rejects.toMatchObject({ code: 'storage-failed' })
})
