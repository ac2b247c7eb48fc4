// What a command is: a row with its name, its options and what it does. Help, parsing and suggestions are made from these rows.
import type { HttpClient } from '../http/index.ts'
import type { Terminal } from './terminal.ts'

export interface OptionSpec {
  readonly type: 'string' | 'boolean'
  readonly summary: string
  /** What stands for the value in the help, such as FILE. */
  readonly value?: string
  readonly short?: string
  readonly multiple?: boolean
  /** Works, but is for tests and left out of the help. */
  readonly hidden?: boolean
}

type OptionValue<Spec extends OptionSpec> = Spec extends { type: 'boolean' }
  ? boolean
  : Spec extends { multiple: true }
    ? readonly string[]
    : string | undefined

export type OptionValues<Specs extends Readonly<Record<string, OptionSpec>>> = {
  readonly [Name in keyof Specs]: OptionValue<Specs[Name]>
}

/** One call of a command, as it reaches `run`. */
export interface Invocation<Options = unknown> {
  readonly positionals: readonly string[]
  readonly options: Options
  readonly terminal: Terminal
  /** Aborted by Ctrl-C, SIGTERM and a closed standard output. */
  readonly signal: AbortSignal
  /** Absolute path of the data folder. */
  readonly dataRoot: string
  /** The node that answers for the data folder: the running daemon's, or one started for this command and stopped after it. */
  node(): Promise<HttpClient>
}

/** What a command answers. With --json `json` is the last line of standard output, else `text` is printed. */
export interface Outcome {
  readonly json: object
  readonly text: string
  /** Default 0. */
  readonly exitCode?: number
}

interface CommandFacts {
  /** Words as typed, such as `community create`. */
  readonly name: string
  readonly summary: string
  /** Positionals as the help shows them, such as `NAME [VERSION]`. */
  readonly positionals: string
  readonly minPositionals: number
  readonly maxPositionals: number
  readonly examples: readonly string[]
  /** More than the summary says, for `--help`. */
  readonly description?: string
}

export interface Command extends CommandFacts {
  readonly options: Readonly<Record<string, OptionSpec>>
  run(invocation: Invocation): Promise<Outcome | undefined>
}

/** Ties the type of `options` in `run` to the specs. */
export function command<const Specs extends Readonly<Record<string, OptionSpec>>>(
  row: CommandFacts & {
    readonly options: Specs
    run(invocation: Invocation<OptionValues<Specs>>): Promise<Outcome | undefined>
  },
): Command {
  return { ...row, run: (invocation) => row.run(invocation as Invocation<OptionValues<Specs>>) }
}

/** Options that every command has. */
export const commonOptions = {
  data: { type: 'string', value: 'DIR', summary: 'Data folder (default: $LORA_MESH_DATA, else ~/.lora-mesh)' },
  json: { type: 'boolean', summary: 'Print one JSON object as the last line of standard output' },
  help: { type: 'boolean', short: 'h', summary: 'Show this help' },
} as const satisfies Record<string, OptionSpec>

/** All options of a command. `train` needs no data folder and calls by `--data` what it learns from; nothing else may be redefined. */
export function optionsOf(command: Command): Readonly<Record<string, OptionSpec>> {
  return {
    ...command.options,
    ...commonOptions,
    ...(usesDataFolder(command) ? {} : { data: command.options['data']! }),
  }
}

/** Whether `--data` is the data folder for this command, as it is for all but those that need none and define it anew. */
export function usesDataFolder({ options }: Command): boolean {
  return options['data'] === undefined
}
