import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createTerminal } from './terminal.ts'
import type { Terminal } from './terminal.ts'

test('results go to standard output, the rest to standard error; with --json an answer is streamed there too', () => {
  for (const [json, output, errors] of [
    [false, 'result\nanswer', 'hint\n'],
    [true, 'result\n', 'hint\nanswer'],
  ] as const) {
    const { terminal, written } = aTerminal(json)
    terminal.print('result')
    terminal.say('hint')
    terminal.stream('answer')
    expect(written()).toEqual({ output, errors })
  }
})

test('what a model says can not steer the terminal', () => {
  const { terminal, written } = aTerminal(false)
  terminal.stream('a\u001B]52;c;ZXZpbA==\u0007b\u001B[2J\u009B1A\r\b\u0000\tc\nd é 🍕')
  expect(written().output).toBe('a]52;c;ZXZpbA==b[2J1A\tc\nd é 🍕')
})

test('lines of the input come one by one, the end is undefined, and waiting ends with the signal', async () => {
  const { terminal, input } = aTerminal(false)
  const { signal } = new AbortController()
  const first = terminal.ask('? ', signal)
  input.write('one\ntwo\n')
  expect(await first).toBe('one')
  expect(await terminal.ask('? ', signal)).toBe('two')
  const stop = new AbortController()
  const waiting = terminal.ask('? ', stop.signal)
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  input.end()
  expect(await terminal.ask('? ', signal)).toBeUndefined()
})

function aTerminal(json: boolean): {
  readonly terminal: Terminal
  readonly input: PassThrough
  written(): { output: string; errors: string }
} {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const terminal = createTerminal({ input, output, errors, clock: () => 0 }, json)
  const textOf = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString() ?? ''
  return { terminal, input, written: () => ({ output: textOf(output), errors: textOf(errors) }) }
}
