// A mesh on one machine for the demo, the end-to-end tests and the measurements: every node is a process of its own, started through the
// command line as a user would, with its own data folder, key and ports; a small DHT of its own, nothing beyond 127.0.0.1.
import { spawn } from 'node:child_process'
import type { ChildProcess, ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const repository = fileURLToPath(new URL('..', import.meta.url))
const commandLine = join(repository, 'node/cli/main.ts')
const bootstrapProcess = join(repository, 'swarm/testing/dht-bootstrap.ts')
const stopTimeoutMs = 15_000

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** The last line of standard output, parsed; undefined when it isn't a JSON object. */
  readonly json: Record<string, unknown> | undefined
}

export interface CommandOptions {
  readonly signal?: AbortSignal
  readonly stdin?: string
  readonly env?: Readonly<Record<string, string>>
  onStdout?(text: string): void
  onStderr?(text: string): void
}

export interface Bootstraps {
  /** host:port of a BitTorrent DHT node. */
  readonly dht: string
  /** host:port of a HyperDHT node. */
  readonly hyperdht: string
}

/** `lora-mesh chat` as a person has it open: a line in, an answer out. */
export interface OpenChat extends AsyncDisposable {
  /** What it told beside the answers. */
  readonly told: string
  /** Waits for the end of the answer. Rejects if the command ends before. */
  say(line: string): Promise<void>
}

/** Runs one command of the command line and waits for it. Never rejects for an exit code. */
export async function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawn(process.execPath, [commandLine, ...args], {
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.signal ? { signal: options.signal, killSignal: 'SIGINT' as const } : {}),
  })
  child.stdin?.end(options.stdin)
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    options.onStdout?.(text)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    options.onStderr?.(text)
  })
  child.on('error', () => {}) // an aborted signal arrives here as well as in 'close'
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr, json: lastJsonLine(stdout) }
}

export class MeshNode implements AsyncDisposable {
  readonly name: string
  readonly data: string
  readonly #bootstraps: Bootstraps
  #daemon: ChildProcess | undefined
  #log = ''

  constructor(name: string, data: string, bootstraps: Bootstraps) {
    this.name = name
    this.data = data
    this.#bootstraps = bootstraps
  }

  get pid(): number | undefined {
    return this.#daemon?.pid
  }

  /** What the daemon said on standard error so far, its last 64 KB. */
  get log(): string {
    return this.#log
  }

  /** Runs a command on this node's data folder; throws with its output unless it exits 0. */
  async run(args: readonly string[], options: CommandOptions = {}): Promise<Record<string, unknown>> {
    const result = await this.attempt(args, options)
    if (result.code !== 0 || result.json === undefined) {
      throw new Error(
        `${this.name}: lora-mesh ${args.join(' ')} exited ${result.code}\n${result.stdout}${result.stderr}`,
      )
    }
    return result.json
  }

  /** Like `run`, for commands that may fail. */
  attempt(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runCommand([...args, '--json', '--data', this.data], options)
  }

  openChat(persona: string, maxTokens = 8): OpenChat {
    const words = [commandLine, 'chat', persona, '--max-tokens', String(maxTokens), '--data', this.data]
    return chatWith(spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'pipe'] }))
  }

  /** Starts the daemon and waits until it says that it is ready: resolves to that line's object. */
  async up(extra: readonly string[] = []): Promise<Record<string, unknown>> {
    const args = ['up', '--json', '--data', this.data, '--host', '127.0.0.1', '--port', '0']
    args.push('--bootstrap-dht', this.#bootstraps.dht, '--bootstrap-hyperdht', this.#bootstraps.hyperdht, ...extra)
    const daemon = spawn(process.execPath, [commandLine, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#daemon = daemon
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-65_536)
    })
    for await (const line of createInterface({ input: daemon.stdout })) {
      const ready = lastJsonLine(line)
      if (ready?.['ready'] === true) {
        daemon.stdout.resume()
        return ready
      }
    }
    throw new Error(`${this.name}: the daemon ended before it was ready\n${this.#log}`)
  }

  /** Ends the daemon as Ctrl-C does, and waits for it. */
  async stop(): Promise<void> {
    await this.#end('SIGINT')
  }

  /** Ends the daemon without warning. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Stops the daemon where it stands, as a laptop does that is closed. Its peers notice nothing at first. */
  pause(): void {
    this.#daemon?.kill('SIGSTOP')
  }

  /** Lets it go on after `pause`. */
  wake(): void {
    this.#daemon?.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    this.#daemon = undefined
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    const closed = once(daemon, 'close')
    daemon.kill(signal)
    // One that is paused hears nothing else.
    daemon.kill('SIGCONT')
    const timer = setTimeout(() => daemon.kill('SIGKILL'), stopTimeoutMs)
    await closed
    clearTimeout(timer)
  }
}

export class LocalMesh implements AsyncDisposable {
  readonly folder: string
  readonly bootstraps: Bootstraps
  readonly #bootstrapChild: ChildProcess
  readonly #nodes: MeshNode[] = []

  private constructor(folder: string, bootstraps: Bootstraps, bootstrapChild: ChildProcess) {
    this.folder = folder
    this.bootstraps = bootstraps
    this.#bootstrapChild = bootstrapChild
  }

  static async start(): Promise<LocalMesh> {
    const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-'))
    const child = spawn(process.execPath, [bootstrapProcess], { stdio: ['pipe', 'pipe', 'inherit'] })
    for await (const line of createInterface({ input: child.stdout })) {
      const ready = lastJsonLine(line) as Bootstraps | undefined
      if (ready !== undefined) return new LocalMesh(folder, ready, child)
    }
    await rm(folder, { recursive: true, force: true })
    throw new Error('the DHT bootstrap process ended before it was ready')
  }

  node(name: string): MeshNode {
    const node = new MeshNode(name, join(this.folder, name), this.bootstraps)
    this.#nodes.push(node)
    return node
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()))
    const closed = once(this.#bootstrapChild, 'close')
    this.#bootstrapChild.stdin?.end()
    if (this.#bootstrapChild.exitCode === null) await closed
    await rm(this.folder, { recursive: true, force: true })
  }
}

function chatWith(child: ChildProcessByStdio<Writable, Readable, Readable>): OpenChat {
  const closed = once(child, 'close')
  const text = { told: '', lines: 0 }
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (text.told += piece))
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text.lines += piece.split('\n').length - 1))
  return {
    get told() {
      return text.told
    },
    async say(line) {
      const before = text.lines
      child.stdin.write(`${line}\n`)
      while (text.lines <= before) {
        if (child.exitCode !== null) throw new Error(`the chat ended with ${child.exitCode}\n${text.told}`)
        await Promise.race([once(child.stdout, 'data'), closed])
      }
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await closed
    },
  }
}

function lastJsonLine(text: string): Record<string, unknown> | undefined {
  const line = text.trimEnd().split('\n').at(-1) ?? ''
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
