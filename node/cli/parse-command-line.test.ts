import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isMeshError } from '../../protocol/index.ts'
import { command, commonOptions } from './command.ts'
import { commands } from './command-table.ts'
import { groupHelp } from './help.ts'
import { parseCommandLine } from './parse-command-line.ts'
import type { ParsedCall } from './parse-command-line.ts'

const table = [
  command({
    name: 'base add',
    summary: 'Adds a base',
    positionals: 'FILE',
    minPositionals: 1,
    maxPositionals: 1,
    options: {
      label: { type: 'string', value: 'TEXT', summary: 'How it is called' },
      note: { type: 'string', multiple: true, summary: 'Notes' },
      force: { type: 'boolean', summary: 'Really' },
      out: { type: 'string', short: 'o', value: 'FILE', summary: 'Where to' },
    },
    examples: [],
    run: async () => undefined,
  }),
  command({
    name: 'ls',
    summary: 'Lists',
    positionals: '',
    minPositionals: 0,
    maxPositionals: 0,
    options: {},
    examples: [],
    run: async () => undefined,
  }),
]

function usageOf(line: string): string {
  try {
    parseCommandLine(line.split(' ').filter(Boolean), table)
    return 'accepted'
  } catch (error) {
    return isMeshError(error, 'usage') ? error.message : String(error)
  }
}

test('options may stand anywhere, absent ones have their empty value', () => {
  const call = parseCommandLine(
    ['base', 'add', '--note', 'a', 'x.gguf', '--note=b', '-o', 'y', '--json', '--data', '/d'],
    table,
  )
  expect(call).toMatchObject({
    command: { name: 'base add' },
    positionals: ['x.gguf'],
    options: { label: undefined, note: ['a', 'b'], force: false, out: 'y' },
    json: true,
    data: '/d',
  })
})

test('after -- everything is an argument', () => {
  expect(parseCommandLine(['base', 'add', '--', '--force'], table)).toMatchObject({
    positionals: ['--force'],
    options: { force: false },
  })
})

test.each([
  ['bse add x', 'Did you mean `lora-mesh base add`?'],
  ['base ad x', 'Did you mean `lora-mesh base add`?'],
  ['sl', 'Did you mean `lora-mesh ls`?'],
  ['base add x --lable y', 'Did you mean `--label`?'],
  ['base add x --zzzzzz', '"--zzzzzz" is not an option'],
  ['base add', 'needs FILE'],
  ['base add x y', 'one argument too many'],
  ['ls y', 'takes no arguments'],
  ['base add x --label', '--label needs a value: --label TEXT'],
  ['base add x --label=', '--label needs a value'],
  ['base add x --force=yes', '--force takes no value'],
  ['base add x --__proto__ y', 'is not an option'],
])('"%s" is answered with: %s', (line, part) => {
  expect(usageOf(line)).toContain(part)
})

test('help is asked for in every usual way, and then nothing else is required', () => {
  for (const line of ['', 'help', '--help', '-h']) {
    expect(parseCommandLine(line.split(' ').filter(Boolean), table)).toEqual({ command: undefined, show: 'help' })
  }
  for (const line of ['base add --help', 'base add -h', 'help base add']) {
    expect(parseCommandLine(line.split(' '), table)).toMatchObject({ command: { name: 'base add' }, help: true })
  }
})

test('no words make the parser fail with anything but a usage error', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom(
      ...commands.flatMap(({ name }) => name.split(' ')),
      '--json',
      '--data',
      '--',
      '-',
      '-x',
      '--help',
      '--no-json',
    ),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (words) => {
      try {
        parseCommandLine(words, commands)
      } catch (error) {
        expect(error).toMatchObject({ code: 'usage' })
      }
    }),
  )
})

test('a blank argument or value is none at all', () => {
  for (const line of [
    ['base', 'add', ''],
    ['base', 'add', '  '],
  ])
    expect(() => parseCommandLine(line, table)).toThrow('An argument of `lora-mesh base add` is empty')
  expect(() => parseCommandLine(['base', 'add', 'x', '--label', ' '], table)).toThrow('--label needs a value')
})

test('the first of two words, alone or with --help, shows the commands that begin with it', () => {
  for (const line of ['base', 'base --help', 'base -h', 'help base'])
    expect(parseCommandLine(line.split(' '), table)).toEqual({ command: undefined, show: 'group', group: 'base' })
  expect(parseCommandLine(['help', 'base', 'add'], table)).toMatchObject({ command: { name: 'base add' }, help: true })
})

test('options before the command, or instead of its second word, are said to be in the wrong place', () => {
  expect(usageOf('--json ls')).toBe('"--json" stands before the command: write lora-mesh COMMAND [OPTIONS].')
  expect(usageOf('base --json')).toBe('"base" is not a command. There are lora-mesh base add.')
})

test('no command redefines an option that all have, but for the one that needs no data folder', () => {
  const redefining = commands.filter(({ options }) => Object.keys(options).some((name) => name in commonOptions))
  expect(redefining.map(({ name }) => name)).toEqual(['train'])
  const { options, data } = parseCommandLine(['train', '--data', 'law.jsonl'], commands) as ParsedCall
  expect(options['data']).toBe('law.jsonl')
  expect(data).toBeUndefined()
})

test('a command that others begin with has a help of its own', () => {
  const both = [...table, { ...table[1]!, name: 'base' }]
  for (const words of [
    ['base', '--help'],
    ['help', 'base'],
  ]) {
    expect(parseCommandLine(words, both)).toMatchObject({ command: { name: 'base' }, help: true })
    expect(parseCommandLine(words, table)).toMatchObject({ command: undefined, show: 'group' })
  }
})

test('a mistyped second word of a command that also stands alone is told from an argument', () => {
  expect(() => parseCommandLine(['log', 'exprt', 'x'], commands)).toThrow('Did you mean `lora-mesh log export`?')
  expect(() => parseCommandLine(['log', 'zzz'], commands)).toThrow(/takes no arguments\.$/)
})

test('the help of a group names its commands and no others', () => {
  const text = groupHelp('community', commands)
  expect(text).toContain('community follow  ')
  expect(text).not.toMatch(/^ {2}(?!community )/m)
})
