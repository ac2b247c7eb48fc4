import { expect, test } from 'vitest'
import { parseScaledFile } from './scaled-file.ts'

test.each([
  ['a.gguf', 'a.gguf', 1],
  ['a.gguf:0.7', 'a.gguf', 0.7],
  ['a.gguf:-1', 'a.gguf', -1],
  ['a.gguf:1e-3', 'a.gguf', 0.001],
  ['a.gguf:.5', 'a.gguf', 0.5],
  ['C:\\models\\a.gguf', 'C:\\models\\a.gguf', 1],
  ['C:\\models\\a.gguf:2', 'C:\\models\\a.gguf', 2],
  ['a:b:0.5', 'a:b', 0.5],
  ['a:b', 'a:b', 1],
])('%s is the file %s at scale %d', (text, path, scale) => {
  expect(parseScaledFile(text)).toEqual({ path, scale })
})

test.each(['a.gguf:', 'a.gguf:17', 'a.gguf:1e400'])('%s is refused', (text) => {
  expect(() => parseScaledFile(text)).toThrow(expect.objectContaining({ code: 'usage' }))
})
