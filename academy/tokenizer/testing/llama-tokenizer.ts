// What the real llama.cpp makes of texts with the vocabularies of base files. It aborts on some bad vocabularies, so it runs in a child
// process that is gone afterwards.
import { fork } from 'node:child_process'

export interface TokenizeJob {
  readonly base: string
  readonly texts: readonly string[]
}

export type TokenizeReply =
  | { readonly kind: 'done'; readonly ids: readonly (readonly Uint32Array[])[] }
  | { readonly kind: 'failed'; readonly reason: string; readonly log: readonly string[] }

/** The ids of each text of each job, without BOS and EOS, and with text that looks like a control token taken as plain text. */
export async function tokenizeWithLlama(jobs: readonly TokenizeJob[]): Promise<readonly (readonly number[][])[]> {
  const child = fork(new URL('llama-tokenizer-child.ts', import.meta.url), {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  try {
    const reply = await new Promise<TokenizeReply>((resolve, reject) => {
      child.once('message', (message) => resolve(message as TokenizeReply))
      child.once('exit', (code, signal) => reject(new Error(`llama.cpp ended without an answer (${signal ?? code})`)))
      child.once('error', reject)
      child.send(jobs)
    })
    if (reply.kind === 'failed') throw new Error(`${reply.reason}\n${reply.log.join('')}`)
    return reply.ids.map((perText) => perText.map((ids) => Array.from(ids)))
  } finally {
    child.kill('SIGKILL')
  }
}
