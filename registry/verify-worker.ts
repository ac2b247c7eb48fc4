// Entry of a worker thread: checks batches of records until it is ended.
import { parentPort } from 'node:worker_threads'
import { isMeshError, verifyRecord } from '../protocol/index.ts'
import type { ErrorDetails, MeshErrorCode, RecordEnvelope, SignedRecord } from '../protocol/index.ts'

export interface VerifyBatch {
  readonly batch: number
  readonly records: readonly SignedRecord[]
}

/** What of a verified record is not in its bytes. */
export interface Verdict {
  readonly id: Uint8Array
  readonly fields: RecordEnvelope
}

export interface Refusal {
  readonly code: MeshErrorCode
  readonly message: string
  readonly details: ErrorDetails
}

export interface VerifiedBatch {
  readonly batch: number
  readonly verdicts: readonly Verdict[]
  /** Of the first record that does not hold; nothing behind it was looked at. */
  readonly refusal: Refusal | undefined
}

if (parentPort === null) throw new Error('this runs as a worker thread only')
const port = parentPort
port.on('message', (batch: VerifyBatch) => port.postMessage(verified(batch)))

function verified({ batch, records }: VerifyBatch): VerifiedBatch {
  const verdicts: Verdict[] = []
  try {
    for (const record of records) {
      const { id, fields } = verifyRecord(record)
      verdicts.push({ id, fields })
    }
    return { batch, verdicts, refusal: undefined }
  } catch (error) {
    if (!isMeshError(error)) throw error
    return { batch, verdicts, refusal: error.toJSON() }
  }
}
