import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { sha256File } from './file-digest.ts'
import type { DigestProgress } from './file-digest.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-digest-'))
afterAll(() => rmSync(folder, { recursive: true }))

test.each([0, 1, 2 ** 20, 2 ** 20 + 1, 3_000_000])('the digest of %d bytes is their SHA-256', async (size) => {
  const bytes = Buffer.alloc(size, 'mesh')
  const path = join(folder, `${size}`)
  writeFileSync(path, bytes)
  const progress: DigestProgress[] = []
  const digest = await sha256File(path, { onProgress: (event) => progress.push(event) })
  expect(Buffer.from(digest)).toEqual(createHash('sha256').update(bytes).digest())
  if (size > 0) expect(progress.at(-1)).toEqual({ bytesDone: size, bytesTotal: size })
})

test('it can be cancelled, and says what it cannot read', async () => {
  const path = join(folder, 'cancelled')
  writeFileSync(path, 'something')
  await expect(sha256File(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
  await expect(sha256File(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'not-found' })
})
