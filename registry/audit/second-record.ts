import { bytesEqual } from '../../protocol/index.ts'
import type { LogKey } from '../log-key.ts'
import type { LogStore, StoredRecord } from '../log-store.ts'

/** Of a fork, the record that is not in the log as it is held here; undefined where there is no fork. */
export function secondRecord(store: LogStore, key: LogKey): (StoredRecord & { readonly index: number }) | undefined {
  const index = store.summary(key)?.forkedAt
  const proof = store.forkProof(key)
  if (index === undefined || proof === undefined) return undefined
  const held = store.recordId(key, index)
  const other = proof.find(({ id }) => held === undefined || !bytesEqual(id, held))
  return other && { ...other, index }
}
