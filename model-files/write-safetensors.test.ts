import { readFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { memorySource } from './byte-source.ts'
import { readSafetensor, readSafetensors } from './safetensors.ts'
import { writeSafetensors } from './write-safetensors.ts'

const source = (name: string, dtype: 'F32' | 'F16', count: number, fill: number) => ({
  name,
  dtype,
  shape: [count],
  bytes: () => new Uint8Array(count * (dtype === 'F32' ? 4 : 2)).fill(fill),
})

test('wide numbers come first, then the order is that of the names; data begins at a multiple of 8', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-safetensors-'))
  const path = join(folder.path, 'x.safetensors')
  await writeSafetensors(path, [source('b', 'F16', 3, 1), source('c', 'F32', 2, 2), source('a', 'F32', 1, 3)])
  const bytes = readFileSync(path)
  expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0)
  const file = readSafetensors(memorySource(bytes))
  expect(file.tensors.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
    ['a', 'F32', [1]],
    ['c', 'F32', [2]],
    ['b', 'F16', [3]],
  ])
  expect(file.tensors.map((tensor) => readSafetensor(file, tensor)[0])).toEqual([3, 2, 1])
})

test('data of another size than the shape says is a bug, and leaves no file', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-safetensors-'))
  const path = join(folder.path, 'x.safetensors')
  const wrong = { ...source('a', 'F32', 2, 0), bytes: () => new Uint8Array(4) }
  await expect(writeSafetensors(path, [wrong])).rejects.toThrow('needs 8 bytes, not 4')
  expect(() => readFileSync(path)).toThrow('ENOENT')
})
