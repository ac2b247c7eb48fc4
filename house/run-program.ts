// Starts a program, waits for its end and keeps what it said. For tests and scripts of the house.
import { spawn } from 'node:child_process'

export interface Outcome {
  /** Exit code; null if a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  cwd?: string
  /** Replaces the environment; without it the child inherits ours. */
  env?: NodeJS.ProcessEnv
  /** The child is killed after this time, and the outcome has its signal. */
  timeoutMs?: number
}

export function runProgram(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { timeoutMs = 120_000, ...rest } = options
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...rest,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}
