// Help texts, made from the command rows so that they cannot drift from what is parsed.
import { optionsOf } from './command.ts'
import type { Command, OptionSpec } from './command.ts'

/** The text of `lora-mesh --help`. */
export function overallHelp(commands: readonly Command[], groups: readonly CommandGroup[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  const sections = groups.map(({ title, names }) => {
    const rows = names.map(
      (name) => `  ${name.padEnd(width)}  ${commands.find((command) => command.name === name)?.summary ?? ''}`,
    )
    return [`${title}:`, ...rows].join('\n')
  })
  return [
    'lora-mesh: find, fetch, verify and compose LoRA adapters from peers on one local base model',
    'Usage: lora-mesh COMMAND [ARGUMENTS] [OPTIONS]',
    ...sections,
    'Every command has --help and --json; those that need a node have --data DIR. `lora-mesh --version` prints the version.\nExit codes: 0 done, 1 could not be done, 2 refused for its content, 64 wrong usage, 130 interrupted.',
  ].join('\n\n')
}

/** The text of `lora-mesh GROUP`, such as `lora-mesh community`: its commands alone. */
export function groupHelp(group: string, commands: readonly Command[]): string {
  const members = commands.filter(({ name }) => name.startsWith(`${group} `))
  const width = Math.max(...members.map(({ name }) => name.length))
  return [
    `Usage: lora-mesh ${group} COMMAND [ARGUMENTS] [OPTIONS]`,
    members.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n'),
    `\`lora-mesh ${group} COMMAND --help\` says more; \`lora-mesh --help\` lists all commands.`,
  ].join('\n\n')
}

export interface CommandGroup {
  readonly title: string
  readonly names: readonly string[]
}

/** The text of `lora-mesh COMMAND --help`. */
export function commandHelp(command: Command): string {
  const options = Object.entries(optionsOf(command)).filter(([, spec]) => spec.hidden !== true)
  return [
    `${command.summary}.`,
    `Usage: lora-mesh ${[command.name, command.positionals, '[OPTIONS]'].filter(Boolean).join(' ')}`,
    ...(command.description === undefined ? [] : [command.description]),
    `Options:\n${optionLines(options)}`,
    `Examples:\n${command.examples.map((line) => `  ${line}`).join('\n')}`,
  ].join('\n\n')
}

function optionLines(options: readonly (readonly [string, OptionSpec])[]): string {
  const forms = options.map(([name, spec]) => {
    const short = spec.short === undefined ? '' : `-${spec.short}, `
    const value = spec.type === 'string' ? ` ${spec.value ?? 'VALUE'}` : ''
    return `${short}--${name}${value}`
  })
  const width = Math.max(...forms.map((form) => form.length))
  return options
    .map(
      ([, spec], i) =>
        `  ${(forms[i] ?? '').padEnd(width)}  ${spec.summary}${spec.multiple === true ? ' (repeatable)' : ''}`,
    )
    .join('\n')
}
