import { expect, test } from 'vitest'
import { describeExit, lastWordsOf, withoutFolders } from './exit-reason.ts'

test('the assertion is told, not the backtrace below it', () => {
  const words = lastWordsOf(
    '/home/runner/llama.cpp/ggml/src/gguf.cpp:101: GGML_ASSERT(type == x) failed\n[New LWP 3]\n  #1 0x7f raise\n',
  )
  expect(words).toBe('gguf.cpp:101: GGML_ASSERT(type == x) failed')
  expect(describeExit({ code: null, signal: 'SIGABRT', lastWords: words })).toBe(`was ended by SIGABRT (${words})`)
})

test('a thrown error is told, not its stack', () => {
  expect(
    lastWordsOf('file:///srv/app/x.ts:3\n  throw y\n\nError: no such library\n    at /srv/app/x.ts:3:1\n\nNode.js v24'),
  ).toBe('Error: no such library')
})

test('folders are cut from every absolute path, POSIX, Windows or URL', () => {
  expect(withoutFolders(`open '/home/ann/models/a.gguf' or C:\\Users\\ann\\b.gguf or file:///home/ann/c.ts:3`)).toBe(
    `open 'a.gguf' or b.gguf or c.ts:3`,
  )
})

test('an endless last line is cut', () => {
  expect(lastWordsOf('x'.repeat(5000)).length).toBe(200)
})

test('a process that says nothing is still described', () => {
  expect(describeExit({ code: 3, signal: null, lastWords: lastWordsOf('') })).toBe('exited with code 3')
  expect(describeExit({ code: null, signal: 'SIGKILL', endedBecause: 'stopped answering', lastWords: '' })).toBe(
    'stopped answering',
  )
})
