// Entry point of the command line: words in, exit code out. What each command does stands in commands/.
import { MeshError } from '../../protocol/index.ts'
import { chooseDataRoot } from '../data-folder.ts'
import { errorBody, exitCode, refusalOf } from '../error-mapping.ts'
import { jsonText } from '../json-text.ts'
import { storageError } from '../private-file.ts'
import { readVersion } from '../version.ts'
import { commandGroups, commands } from './command-table.ts'
import type { Connection } from './connect.ts'
import { commandHelp, groupHelp, overallHelp } from './help.ts'
import { parseCommandLine, wantsJson } from './parse-command-line.ts'
import type { ParsedCall, ParsedLine } from './parse-command-line.ts'
import { createTerminal } from './terminal.ts'
import type { Terminal } from './terminal.ts'

const SIGNAL_EXIT: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }
const BROKEN_PIPE_EXIT = 141

async function main(words: readonly string[]): Promise<number> {
  const terminal = createTerminal(
    { input: process.stdin, output: process.stdout, errors: process.stderr, clock: () => performance.now() },
    wantsJson(words),
  )
  const stop = stopOnSignals()
  const code = await runWords(words, terminal, stop)
  await terminal.flush()
  const lost = stop.outputError()
  if (lost === undefined) return code
  terminal.say(`lora-mesh: ${lost.message}`)
  await terminal.flush()
  return exitCode(lost)
}

async function runWords(words: readonly string[], terminal: Terminal, stop: Stop): Promise<number> {
  try {
    const parsed = parseCommandLine(words, commands)
    if (parsed.command === undefined) {
      terminal.print(shownText(parsed))
      return 0
    }
    if (parsed.help) {
      terminal.print(commandHelp(parsed.command))
      return 0
    }
    return await runCall(parsed, terminal, stop.signal)
  } catch (error) {
    report(error, terminal)
    return stop.signal.aborted ? stop.exitCode() : exitCode(error)
  }
}

function shownText(parsed: Extract<ParsedLine, { command: undefined }>): string {
  if (parsed.show === 'version') return readVersion()
  return parsed.show === 'group' ? groupHelp(parsed.group, commands) : overallHelp(commands, commandGroups)
}

async function runCall(call: ParsedCall, terminal: Terminal, signal: AbortSignal): Promise<number> {
  const dataRoot = chooseDataRoot(call.data, process.env)
  let connection: Promise<Connection> | undefined
  const connect = async (): Promise<Connection> => {
    // Loaded only now: help, versions and commands on files start in half the time without the parts of a node.
    const [{ connectNode }, { passphraseFrom }] = await Promise.all([import('./connect.ts'), import('../keys.ts')])
    return connectNode({
      root: dataRoot,
      command: call.command.name,
      passphrase: passphraseFrom(process.env),
      signal,
      clock: Date.now,
      log: terminal.say,
    })
  }
  try {
    const outcome = await call.command.run({
      positionals: call.positionals,
      options: call.options,
      terminal,
      signal,
      dataRoot,
      async node() {
        connection ??= connect()
        return (await connection).client
      },
    })
    terminal.progress.clear()
    if (outcome === undefined) return 0
    if (terminal.json) terminal.print(jsonText(outcome.json))
    else if (outcome.text !== '') terminal.print(outcome.text)
    return outcome.exitCode ?? 0
  } finally {
    // A connection that failed has nothing to give back, and its error is on its way already.
    const opened = await connection?.catch(() => undefined)
    await opened?.[Symbol.asyncDispose]()
  }
}

function report(error: unknown, terminal: Terminal): void {
  terminal.progress.clear()
  if (terminal.json) terminal.print(jsonText({ error: errorBody(error) }))
  else terminal.say(`lora-mesh: ${errorBody(error).message}`)
  if (refusalOf(error) === undefined && error instanceof Error) terminal.say(error.stack ?? '')
}

interface Stop {
  readonly signal: AbortSignal
  /** For a command that was ended by a signal rather than by itself. */
  exitCode(): number
  /** Why what was printed did not arrive, if it did not and somebody wanted it. */
  outputError(): MeshError | undefined
}

/** The first signal asks everything to stop and clean up, the second ends the process at once. */
function stopOnSignals(): Stop {
  const controller = new AbortController()
  let code = 130
  let outputError: MeshError | undefined
  const stop = (exit: number): void => {
    if (controller.signal.aborted) process.exit(exit)
    code = exit
    controller.abort(new MeshError('aborted', 'Stopped.'))
  }
  for (const [name, exit] of Object.entries(SIGNAL_EXIT)) process.on(name, () => stop(exit))
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      outputError ??= storageError(error, 'standard output')
      controller.abort(outputError)
      return
    }
    // Whoever read our output is gone (`lora-mesh ls | head -1`): nothing more to say, and nothing to say it to.
    code = BROKEN_PIPE_EXIT
    controller.abort(new MeshError('aborted', 'Nobody reads the output any more.'))
  })
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  return { signal: controller.signal, exitCode: () => code, outputError: () => outputError }
}

process.exit(await main(process.argv.slice(2)))
