import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { bytesEqualAt, memorySource, openFileSource } from './byte-source.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-source-'))
afterAll(() => rmSync(folder, { recursive: true }))
const content = Uint8Array.from({ length: 1_000 }, (_, i) => i % 251)
const path = join(folder, 'some.gguf')
writeFileSync(path, content)

describe.each([
  ['file', () => openFileSource(path)],
  ['memory', () => ({ ...memorySource(content), [Symbol.dispose]() {} })],
])('a %s source', (_, open) => {
  test('reads exactly what was asked for, anywhere', () => {
    using source = open()
    expect(source.size).toBe(1_000)
    expect([...source.read(0, 3)]).toEqual([0, 1, 2])
    expect([...source.read(998, 2)]).toEqual([...content.subarray(998)])
    expect(source.read(1_000, 0)).toHaveLength(0)
  })

  test.each([
    [0, 1_001],
    [999, 2],
    [-1, 1],
    [0, -1],
    [2 ** 53, 1],
    [0, Number.NaN],
  ])('takes a range outside itself (%d, %d) for a bug', (offset, length) => {
    using source = open()
    expect(() => source.read(offset, length)).toThrow('lies outside')
  })

  test('compares without reading beyond its end', () => {
    using source = open()
    expect(bytesEqualAt(source, 998, content.subarray(998))).toBe(true)
    expect(bytesEqualAt(source, 0, Uint8Array.of(0, 1, 3))).toBe(false)
    expect(bytesEqualAt(source, 999, content.subarray(998))).toBe(false)
  })
})

test('a file that does not exist, and one that is a folder, are told apart', () => {
  expect(() => openFileSource(join(folder, 'nothing.gguf'))).toThrow(expect.objectContaining({ code: 'not-found' }))
  expect(() => openFileSource(join(path, 'below'))).toThrow(expect.objectContaining({ code: 'not-found' }))
  expect(() => openFileSource(folder)).toThrow(expect.objectContaining({ code: 'bad-input' }))
})

test('a file that shrinks while it is read is an error of the moment, not garbage', () => {
  const shrinking = join(folder, 'shrinking.gguf')
  writeFileSync(shrinking, content)
  using source = openFileSource(shrinking)
  truncateSync(shrinking, 10)
  expect(() => source.read(0, 20)).toThrow(expect.objectContaining({ code: 'storage-failed' }))
})
