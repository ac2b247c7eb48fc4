// One life of a child process: from fork to exit. What happens across lives (restart, queue, blame) is in supervise-child.ts.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { lastWordsOf } from './exit-reason.ts'
import type { Exit } from './exit-reason.ts'
import type { ToChild } from './messages.ts'

export interface ProcessOptions {
  readonly entry: URL
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly execArgv: readonly string[]
  onMessage(message: unknown): void
}

export interface ChildLife {
  readonly pid: number | undefined
  /** Resolves, never rejects, once the process is gone and all it sent has been delivered. */
  readonly exited: Promise<Exit>
  /** To a child that is gone, this does nothing. Throws if the message can't be cloned. */
  send(message: ToChild): void
  kill(because: string): void
  /** Asks it to end, kills it after `timeoutMs`. */
  stop(because: string, timeoutMs: number): Promise<Exit>
}

const keptStandardError = 8192
/** A grandchild that inherited standard error would otherwise delay the news of the exit for as long as it lives. */
const streamsMayLagMs = 500

export function startChild(options: ProcessOptions): ChildLife {
  const child = fork(options.entry, options.args, {
    serialization: 'advanced',
    env: minimalEnvironment(options.env),
    execArgv: [...options.execArgv],
    // Nothing a child prints may mix with what the parent prints: with --json that is read by scripts.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let endedBecause: string | undefined
  const exited = whenGone(child, () => endedBecause)
  child.on('message', options.onMessage)
  // Sending to a child that has just died is reported here as well as by its exit; the exit is what counts.
  child.on('error', () => {})

  const life: ChildLife = {
    pid: child.pid,
    exited,
    send(message) {
      if (child.connected) child.send(message, () => {})
    },
    kill(because) {
      endedBecause ??= because
      child.kill('SIGKILL')
    },
    async stop(because, timeoutMs) {
      endedBecause ??= because
      life.send({ kind: 'stop' })
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
      const exit = await exited
      clearTimeout(timer)
      return exit
    },
  }
  return life
}

/** PATH and what was given. Windows opens no socket without SystemRoot. */
function minimalEnvironment(given: Readonly<Record<string, string>>): Record<string, string> {
  const inherited: Record<string, string> = {}
  for (const name of ['PATH', 'SystemRoot']) {
    const value = process.env[name]
    if (value !== undefined) inherited[name] = value
  }
  return { ...inherited, ...given }
}

function whenGone(child: ChildProcess, endedBecause: () => string | undefined): Promise<Exit> {
  let standardError = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    standardError = (standardError + text).slice(-keptStandardError)
  })
  return new Promise((resolve) => {
    const finish = (code: number | null, signal: string | null, words = lastWordsOf(standardError)): void => {
      const because = endedBecause()
      resolve({ code, signal, lastWords: words, ...(because !== undefined && { endedBecause: because }) })
    }
    // 'close' comes after the last message and the last byte of standard error.
    child.once('close', finish)
    child.once('exit', (code, signal) => setTimeout(() => finish(code, signal), streamsMayLagMs).unref())
    child.once('error', (error) => {
      if (child.pid === undefined) finish(null, null, error.message)
    })
  })
}
