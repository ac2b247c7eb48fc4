// Checks the signatures of many records on all cores. The results come in the order of the records, whichever worker was done first, and
// a record that does not hold is refused with the very error that `verifyRecord` throws.
import { Worker } from 'node:worker_threads'
import { MeshError, verifyRecord } from '../protocol/index.ts'
import type { SignedRecord, VerifiedRecord } from '../protocol/index.ts'
import { siblingEntry } from '../supervisor/index.ts'
import type { VerifiedBatch, VerifyBatch } from './verify-worker.ts'

/** So few are checked at once, in some milliseconds. */
export const inlineMax = 64
/** The largest answer of a peer, 256 records, is shared out between four workers. */
const recordsPerBatch = 64
/** Enough that no worker waits; more would only take memory. */
const batchesPerWorker = 2

export interface RecordVerifier extends AsyncDisposable {
  /** Rejects with what `verifyRecord` throws for the first record that does not hold, in their order. */
  verify(records: readonly SignedRecord[]): Promise<VerifiedRecord[]>
}

interface Batch {
  readonly records: readonly SignedRecord[]
  readonly resolve: (result: VerifiedBatch) => void
  readonly reject: (error: unknown) => void
}

interface Hand {
  readonly worker: Worker
  readonly batches: Map<number, Batch>
}

/** Workers start with the first large request. */
export function verifyInWorkers(workers: number): RecordVerifier {
  return new WorkerVerifier(workers)
}

class WorkerVerifier implements RecordVerifier {
  readonly #workers: number
  readonly #waiting: Batch[] = []
  #hands: Hand[] = []
  #nextBatch = 0
  #closed = false

  constructor(workers: number) {
    this.#workers = workers
  }

  async verify(records: readonly SignedRecord[]): Promise<VerifiedRecord[]> {
    if (this.#closed) throw new Error('the verifier was closed')
    if (records.length <= inlineMax) return records.map(verifyRecord)
    const parts = Array.from({ length: Math.ceil(records.length / recordsPerBatch) }, (_, i) =>
      records.slice(i * recordsPerBatch, (i + 1) * recordsPerBatch),
    )
    const results = await Promise.all(parts.map((part) => this.#inWorker(part)))
    return results.flatMap(({ verdicts, refusal }, part) => {
      if (refusal !== undefined) throw new MeshError(refusal.code, refusal.message, refusal.details)
      return verdicts.map(({ id, fields }, i) => ({ ...parts[part]![i]!, id, fields }))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const hands = this.#hands
    this.#failAll(new MeshError('aborted', 'Stopped while records were being checked.'))
    await Promise.all(hands.map(({ worker }) => worker.terminate()))
  }

  #inWorker(records: readonly SignedRecord[]): Promise<VerifiedBatch> {
    const { promise, resolve, reject } = Promise.withResolvers<VerifiedBatch>()
    this.#waiting.push({ records, resolve, reject })
    this.#deal()
    return promise
  }

  #deal(): void {
    while (this.#hands.length < this.#workers && this.#waiting.length > this.#hands.length)
      this.#hands.push(this.#hire())
    for (;;) {
      const hand = this.#hands.toSorted((a, b) => a.batches.size - b.batches.size)[0]
      if (hand === undefined || hand.batches.size >= batchesPerWorker) return
      const batch = this.#waiting.shift()
      if (batch === undefined) return
      const number = this.#nextBatch++
      hand.batches.set(number, batch)
      const message: VerifyBatch = { batch: number, records: batch.records.map(bytesOf) }
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      hand.worker.postMessage(message)
    }
  }

  #hire(): Hand {
    const hand: Hand = { worker: new Worker(siblingEntry('./verify-worker', import.meta.url)), batches: new Map() }
    hand.worker.unref()
    hand.worker.on('message', (result: VerifiedBatch) => {
      hand.batches.get(result.batch)?.resolve(result)
      hand.batches.delete(result.batch)
      this.#deal()
    })
    hand.worker.on('error', (error) => this.#failAll(error))
    return hand
  }

  /** A worker that fails is a bug or a want of memory: nothing of what it held is known, and the others may be next. */
  #failAll(error: unknown): void {
    const hands = this.#hands
    this.#hands = []
    for (const batch of this.#waiting.splice(0)) batch.reject(error)
    for (const { worker, batches } of hands) {
      for (const batch of batches.values()) batch.reject(error)
      batches.clear()
      void worker.terminate()
    }
  }
}

function bytesOf({ envelope, body }: SignedRecord): SignedRecord {
  return { envelope, body }
}
