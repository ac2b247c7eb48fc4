// Standard input, output and error as commands see them. Results go to standard output, everything said on the way to standard error, so
// that a script can read one and a person the other.
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { progressBar } from './progress-bar.ts'
import type { ProgressBar } from './progress-bar.ts'

export interface Terminal {
  /** With --json nothing but the result may reach standard output. */
  readonly json: boolean
  /** Whether a person can be asked. */
  readonly interactive: boolean
  readonly progress: ProgressBar
  /** A line on standard error. */
  say(line: string): void
  /** Text on standard output as it comes, such as a chat's, without control characters; on standard error with --json. */
  stream(text: string): void
  /** A line on standard output. */
  print(line: string): void
  /** Asks on standard error; the answer's line, undefined at the end of input. Rejects when `signal` is aborted. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>
  /** Waits until everything printed has left the process. */
  flush(): Promise<void>
}

/** All but tab and line feed: what a model says must not move the cursor, name the window or fill the clipboard. */
const controlCharacters = /[^\P{Cc}\t\n]/gu

type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number }
type Input = Readable & { readonly isTTY?: boolean }

export interface TerminalStreams {
  readonly input: Input
  readonly output: Output
  readonly errors: Output
  readonly clock: () => number
}

export function createTerminal({ input, output, errors, clock }: TerminalStreams, json: boolean): Terminal {
  const progress = progressBar(errors, clock)
  const lines = lineReader(input)
  const toErrors = (text: string): void => {
    progress.clear()
    errors.write(text)
  }
  const terminal: Terminal = {
    json,
    interactive: input.isTTY === true && errors.isTTY === true,
    progress,
    say: (line) => toErrors(`${line}\n`),
    stream: (text) => (json ? errors : output).write(text.replace(controlCharacters, '')),
    print: (line) => void output.write(`${line}\n`),
    async ask(question, signal) {
      toErrors(question)
      return lines.next(signal)
    },
    async flush() {
      await Promise.all([output, errors].map((stream) => new Promise<void>((done) => stream.write('', () => done()))))
      lines.close()
    },
  }
  return terminal
}

/** Lines of the input on demand: nothing is read, and the process not kept alive, before somebody asks. */
function lineReader(input: Input): { next(signal: AbortSignal): Promise<string | undefined>; close(): void } {
  const ready: string[] = []
  const waiting: ((line: string | undefined) => void)[] = []
  let ended = false
  let reader: ReturnType<typeof createInterface> | undefined
  const open = (): void => {
    if (reader !== undefined || ended) return
    reader = createInterface({ input, crlfDelay: Infinity })
    reader.on('line', (line) => {
      const take = waiting.shift()
      if (take === undefined) ready.push(line)
      else take(line)
    })
    reader.once('close', () => {
      ended = true
      for (const take of waiting.splice(0)) take(undefined)
    })
  }
  return {
    async next(signal) {
      signal.throwIfAborted()
      open()
      const line = ready.shift()
      if (line !== undefined || ended) return line
      return new Promise((done, failed) => {
        const onAbort = (): void => failed(signal.reason as Error)
        signal.addEventListener('abort', onAbort, { once: true })
        waiting.push((text) => {
          signal.removeEventListener('abort', onAbort)
          done(text)
        })
      })
    },
    close() {
      reader?.close()
    },
  }
}
