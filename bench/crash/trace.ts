// SIGKILL leaves what the kernel was handed, so it can't show that a power cut would: for that the system calls of a process are read.
// Between the write that carries a record to the disk and the write that tells of it, the file must have been synced.
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { databaseOf, readAcknowledgement } from './acknowledgement.ts'
import type { Acknowledged } from './acknowledgement.ts'
import { governUntilKilled } from './kill-registries.ts'

export type Call =
  /** `hex`: what was written, as far as it was traced. */
  | { readonly kind: 'write'; readonly file: string; readonly hex: string }
  | { readonly kind: 'sync'; readonly file: string }

export interface TraceResult {
  /** Records and certificates that were told of. */
  readonly told: number
  readonly problems: readonly string[]
}

const calls = 'trace=write,pwrite64,fsync,fdatasync'
/** A whole page of SQLite, and its frame. */
const tracedBytes = 4_200
const standardOutput = '1'
const timeoutMs = 120_000

/** Why nothing can be traced here; undefined if it can. */
export function whyNoTrace(): string | undefined {
  const { error, status } = spawnSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' })
  if (error !== undefined) return 'strace is not installed'
  return status === 0 ? undefined : 'strace may not trace here'
}

/** Lets a process publish and vote under strace. `env` is added to its environment. */
export async function traceStatements(
  statements: number,
  env: Readonly<Record<string, string>> = {},
): Promise<TraceResult> {
  const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-trace-'))
  try {
    const trace = join(folder, 'trace')
    const strace = ['-f', '-y', '-xx', '-s', String(tracedBytes), '-e', calls, '-o', trace]
    const program = [process.execPath, governUntilKilled, folder, '0', String(statements)]
    const options = { env: { ...process.env, ...env }, timeout: timeoutMs }
    await promisify(execFile)('strace', [...strace, ...program], options)
    return unsynced(readTrace(await readFile(trace, 'latin1')), folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** In the order in which the calls returned; what failed is left out. */
export function readTrace(text: string): Call[] {
  const begun = new Map<string, string>()
  return text.split('\n').flatMap((line) => {
    const [, process, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (process === undefined || rest === undefined) return []
    if (rest.endsWith('<unfinished ...>')) begun.set(process, rest.slice(0, -'<unfinished ...>'.length))
    const end = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1]
    const call = readCall(end === undefined ? rest : `${begun.get(process) ?? ''}${end}`)
    return call === undefined ? [] : [call]
  })
}

function readCall(text: string): Call | undefined {
  const [, name, number, path, rest, result] = /^(\w+)\((\d+)<(.*?)>(.*)\)\s+= (-?\d+)/.exec(text) ?? []
  if (name === undefined || number === undefined || path === undefined || Number(result) < 0) return undefined
  const file = number === standardOutput ? standardOutput : fromEscapes(path)
  if (name === 'fsync' || name === 'fdatasync') return { kind: 'sync', file }
  return { kind: 'write', file, hex: (/"(.*)"/.exec(rest ?? '')?.[1] ?? '').replaceAll('\\x', '') }
}

/** With -xx paths are written in hexadecimal digits as well. */
function fromEscapes(path: string): string {
  return path.startsWith('\\x') ? Buffer.from(path.replaceAll('\\x', ''), 'hex').toString() : path
}

export function unsynced(trace: readonly Call[], folder: string): TraceResult {
  const told = trace.flatMap((call, at) =>
    call.kind === 'write' && call.file === standardOutput
      ? Buffer.from(call.hex, 'hex')
          .toString()
          .trimEnd()
          .split('\n')
          .map((line) => ({ at, acknowledged: readAcknowledgement(line)! }))
      : [],
  )
  const problems = told.flatMap(({ at, acknowledged }) => whyUnsynced(trace.slice(0, at), acknowledged, folder) ?? [])
  return { told: told.length, problems }
}

/** What the process did before it told of this. */
function whyUnsynced(before: readonly Call[], acknowledged: Acknowledged, folder: string): string | undefined {
  const id = 'certificate' in acknowledged ? acknowledged.certificate : acknowledged.record
  const what = `statement ${acknowledged.n} of ${acknowledged.who}`
  if (id === undefined) return `${what} was told of before it was signed`
  const file = `${join(folder, databaseOf(acknowledged.who))}-wal`
  const written = before.findLastIndex((call) => call.kind === 'write' && call.file === file && call.hex.includes(id))
  if (written < 0) return `${what} was told of before it was written`
  const synced = before.slice(written).some((call) => call.kind === 'sync' && call.file === file)
  return synced ? undefined : `${what} was told of before ${file} was synced`
}
