// Looks whether the signatures on the disk are still those that were checked before they were stored. Opening the registry doesn't: it
// would take seconds for a large one, and what a record says is shown by its id. But a record whose signature bytes are damaged would be
// refused by every peer it is handed to, and this node would be blamed for it. So it is done behind everything else, after the start.
import { isMeshError } from '../protocol/index.ts'
import type { SignedRecord } from '../protocol/index.ts'
import { damagedFile } from './log-store.ts'
import type { LogStore } from './log-store.ts'
import type { RecordVerifier } from './verify-in-workers.ts'

/** Few enough that who stops it waits for some 20 ms. */
const recordsAtOnce = 256
const bytesAtOnce = 4 * 1024 * 1024

/** Throws `storage-failed` at the first record that does not hold. Once `signal` is aborted it reads nothing more and returns. */
export async function checkStoredSignatures(
  store: LogStore,
  verifier: RecordVerifier,
  signal: AbortSignal,
): Promise<void> {
  for (const records of portions(store)) {
    try {
      await verifier.verify(records)
    } catch (cause) {
      if (signal.aborted) return
      if (!isMeshError(cause)) throw cause
      throw damagedFile(cause)
    }
    if (signal.aborted) return
  }
}

/** Everything in the store, those that prove forks among it, without ever holding much of it. */
function* portions(store: LogStore): Iterable<SignedRecord[]> {
  let portion: SignedRecord[] = []
  let bytes = 0
  for (const record of storedRecords(store)) {
    portion.push(record)
    bytes += record.envelope.length + record.body.length
    if (portion.length < recordsAtOnce && bytes < bytesAtOnce) continue
    yield portion
    portion = []
    bytes = 0
  }
  if (portion.length > 0) yield portion
}

function* storedRecords(store: LogStore): Iterable<SignedRecord> {
  // What is stored from now on was checked just now: `length` is from before it.
  for (const { key, length } of store.summaries()) {
    for (let at = 0; at < length; at++) yield* store.records(key, at, at + 1)
    yield* store.forkProof(key) ?? []
  }
}
