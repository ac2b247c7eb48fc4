// What the real llama.cpp says about a base with adapters: next-token distributions and mean NLL, from a child process that is gone afterwards.
// Only tests and measurements import this; the product has its own engine.
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { kit } from './kit.ts'

export interface LlamaRun {
  readonly adapters: readonly { readonly path: string; readonly scale: number }[]
  /** Token ids, the beginning-of-sequence token included; tokens 2..n are predicted. */
  readonly passages: readonly (readonly number[])[]
  /** Off by default: a distribution takes 8 bytes per token and vocabulary entry. */
  readonly keepDistributions?: boolean
}

export interface LlamaJob {
  readonly base: string
  readonly runs: readonly LlamaRun[]
}

export interface LlamaResult {
  /** Natural logarithm, mean over all predicted tokens of all passages. */
  readonly meanNll: number
  /** One table per passage: (tokens - 1) x vocabulary, row-major. */
  readonly logProbabilities: readonly Float64Array[]
}

export type LlamaReply =
  | { readonly kind: 'done'; readonly results: LlamaResult[] }
  | { readonly kind: 'failed'; readonly reason: string; readonly log: readonly string[] }

/** One result per run. The key/value cache is F32, so equal computations agree to about 1e-5. Rejects if llama.cpp refuses or dies. */
export async function runLlama(job: LlamaJob): Promise<readonly LlamaResult[]> {
  const child = fork(new URL('llama-child.ts', import.meta.url), {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  try {
    const reply = await new Promise<LlamaReply>((resolve, reject) => {
      child.once('message', (message) => resolve(message as LlamaReply))
      child.once('exit', (code, signal) =>
        reject(new Error(`the llama.cpp child ended without an answer (${signal ?? code})`)),
      )
      child.once('error', reject)
      child.send(job)
    })
    if (reply.kind === 'failed') throw new Error(`${reply.reason}\n${reply.log.join('')}`)
    return reply.results
  } finally {
    child.kill('SIGKILL')
  }
}

/** The token lists of the kit's 12 held-out passages of a corpus. */
export function heldoutPassages(corpus: 'recipes' | 'shakespeare'): number[][] {
  const passages = JSON.parse(readFileSync(kit.path('adapters/heldout', `${corpus}.json`), 'utf8')) as {
    tokens: number[]
  }[]
  return passages.map(({ tokens }) => tokens)
}

/** The largest absolute difference of log-probability over all positions and all tokens that one of the two gives more than 1e-6. */
export function largestLogDifference(one: LlamaResult, other: LlamaResult): number {
  const floor = Math.log(1e-6)
  let largest = 0
  for (const [index, table] of one.logProbabilities.entries()) {
    const otherTable = other.logProbabilities[index]!
    for (const [at, value] of table.entries()) {
      const otherValue = otherTable[at]!
      if (value > floor || otherValue > floor) largest = Math.max(largest, Math.abs(value - otherValue))
    }
  }
  return largest
}
