// Words of a command line -> the command and its checked options, or a `usage` error that says what was probably meant.
import { parseArgs } from 'node:util'
import { MeshError } from '../../protocol/index.ts'
import { optionsOf, usesDataFolder } from './command.ts'
import type { Command, OptionSpec } from './command.ts'
import { nearest } from './nearest.ts'

export interface ParsedCall {
  readonly command: Command
  readonly positionals: readonly string[]
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>
  readonly json: boolean
  readonly help: boolean
  readonly data: string | undefined
}

export type ParsedLine =
  | ParsedCall
  | { readonly command: undefined; readonly show: 'help' | 'version' }
  /** The commands of two words that begin with this one. */
  | { readonly command: undefined; readonly show: 'group'; readonly group: string }

/** Throws `usage`. */
export function parseCommandLine(words: readonly string[], commands: readonly Command[]): ParsedLine {
  const first = words[0]
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') return parseHelp(words, commands)
  if (first === '--version' || first === '-v') return { command: undefined, show: 'version' }
  if (first.startsWith('-')) throw usage(`"${first}" stands before the command: write lora-mesh COMMAND [OPTIONS].`)
  if (isGroup(first, commands) && (words.length === 1 || words[1] === '--help' || words[1] === '-h'))
    return { command: undefined, show: 'group', group: first }
  const command = findCommand(words, commands)
  return parseCall(command, words.slice(command.name.split(' ').length), commands)
}

/** Whether the last line of standard output shall be JSON, even if nothing else can be made of the words. */
export function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end === -1 ? words : words.slice(0, end)).includes('--json')
}

function parseHelp(words: readonly string[], commands: readonly Command[]): ParsedLine {
  const asked = words.slice(1).filter((word) => !word.startsWith('-'))
  const [group] = asked
  if (group === undefined) return { command: undefined, show: 'help' }
  if (asked.length === 1 && isGroup(group, commands)) return { command: undefined, show: 'group', group }
  return parseCall(findCommand(asked, commands), ['--help'], commands)
}

/** Whether commands of two words begin with this one, which is none by itself. */
function isGroup(word: string, commands: readonly Command[]): boolean {
  return commands.some(({ name }) => name.startsWith(`${word} `)) && commands.every(({ name }) => name !== word)
}

function findCommand(words: readonly string[], commands: readonly Command[]): Command {
  const two = commands.find((command) => command.name === words.slice(0, 2).join(' '))
  const one = two ?? commands.find((command) => command.name === words[0])
  if (one !== undefined) return one
  const group = commands.filter((command) => command.name.startsWith(`${words[0]} `))
  if (group.length > 0) {
    const names = group.map((command) => `lora-mesh ${command.name}`).join(', ')
    const second = words[1]?.startsWith('-') === true ? undefined : words[1]
    const typed = [words[0], ...(second === undefined ? [] : [second])].join(' ')
    const meant =
      second === undefined
        ? undefined
        : nearest(
            typed,
            group.map((c) => c.name),
          )
    throw usage(`"${typed}" is not a command. There are ${names}.`, meant && `lora-mesh ${meant}`)
  }
  const names = commands.map((command) => command.name)
  const meant = nearest(words.slice(0, 2).join(' '), names) ?? nearest(words[0] ?? '', names)
  throw usage(`"${words[0]}" is not a command: \`lora-mesh --help\` lists them.`, meant && `lora-mesh ${meant}`)
}

function parseCall(command: Command, words: readonly string[], commands: readonly Command[]): ParsedCall {
  const specs = optionsOf(command)
  const { tokens, values, positionals } = parseArgs({
    args: [...words],
    options: parseArgsOptions(specs),
    strict: false,
    tokens: true,
    allowPositionals: true,
  })
  for (const token of tokens) if (token.kind === 'option') checkOption(command, specs, token)
  const { json = false, help = false, ...given } = values
  const { data } = usesDataFolder(command) ? given : {}
  const call = {
    command,
    positionals,
    json: json === true,
    help: help === true,
    data: typeof data === 'string' ? data : undefined,
    options: withDefaults(command.options, given as Record<string, string | boolean | string[] | undefined>),
  }
  if (!call.help) checkPositionals(command, positionals, commands)
  return call
}

function checkOption(
  command: Command,
  specs: Readonly<Record<string, OptionSpec>>,
  { name, rawName, value }: { name: string; rawName: string; value: string | undefined },
): void {
  const spec = Object.hasOwn(specs, name) ? specs[name] : undefined
  if (spec === undefined) {
    const shown = Object.keys(specs).filter((key) => specs[key]?.hidden !== true)
    const meant = nearest(name, shown)
    throw usage(
      `"${rawName}" is not an option of \`lora-mesh ${command.name}\`: \`lora-mesh ${command.name} --help\` lists them.`,
      meant && `--${meant}`,
    )
  }
  if (spec.type === 'string' && (value === undefined || value.trim() === ''))
    throw usage(`${rawName} needs a value: ${rawName} ${spec.value ?? 'VALUE'}.`)
  if (spec.type === 'boolean' && value !== undefined) throw usage(`${rawName} takes no value.`)
}

function checkPositionals(command: Command, positionals: readonly string[], commands: readonly Command[]): void {
  const { minPositionals, maxPositionals, name } = command
  // A variable that was not set, or nothing to work with.
  if (positionals.some((word) => word.trim() === ''))
    throw usage(`An argument of \`lora-mesh ${name}\` is empty: see \`lora-mesh ${name} --help\`.`)
  if (positionals.length < minPositionals) {
    throw usage(`\`lora-mesh ${name}\` needs ${command.positionals}: see \`lora-mesh ${name} --help\`.`)
  }
  if (positionals.length > maxPositionals) {
    const tail =
      command.positionals === ''
        ? 'takes no arguments'
        : `takes ${command.positionals}: put quotes around text with spaces`
    const extra = positionals[maxPositionals]
    const meant = nearest(
      `${name} ${extra}`,
      commands.map((other) => other.name).filter((other) => other.startsWith(`${name} `)),
    )
    throw usage(`"${extra}" is one argument too many: \`lora-mesh ${name}\` ${tail}.`, meant && `lora-mesh ${meant}`)
  }
}

function withDefaults(
  specs: Readonly<Record<string, OptionSpec>>,
  given: Readonly<Record<string, string | boolean | readonly string[] | undefined>>,
): ParsedCall['options'] {
  const entries = Object.entries(specs).map(([name, spec]) => {
    const absent = spec.type === 'boolean' ? false : spec.multiple === true ? [] : undefined
    return [name, given[name] ?? absent] as const
  })
  return Object.fromEntries(entries)
}

function parseArgsOptions(specs: Readonly<Record<string, OptionSpec>>) {
  const entries = Object.entries(specs).map(([name, { type, short, multiple }]) => {
    return [
      name,
      { type, ...(short === undefined ? {} : { short }), ...(multiple === undefined ? {} : { multiple }) },
    ] as const
  })
  return Object.fromEntries(entries)
}

function usage(message: string, meant?: string): MeshError {
  const hint = meant === undefined || meant === '' ? '' : ` Did you mean \`${meant}\`?`
  return new MeshError('usage', message + hint, meant === undefined || meant === '' ? {} : { meant })
}
