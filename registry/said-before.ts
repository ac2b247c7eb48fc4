// Whether something was said before in this node's own logs: so that doing it twice changes nothing, and a version is never published
// as two releases.
import { bytesEqual, decodeCanonical, openManifest, verifyRecord } from '../protocol/index.ts'
import type { RecordBody, SignedManifest, VerifiedRecord } from '../protocol/index.ts'
import { releaseNameKey } from './fold-community.ts'
import type { KnownLogs } from './known-logs.ts'
import type { LogKey } from './log-key.ts'
import type { LogStore } from './log-store.ts'
import type { Action, PendingAction } from './own-logs.ts'
import type { LogEntry } from './record-effects.ts'

export type SaidBefore =
  | { readonly kind: 'no' }
  | { readonly kind: 'said'; readonly record: VerifiedRecord }
  | { readonly kind: 'waits'; readonly pending: PendingAction }
  /** The name, version and base are taken by this other release. */
  | { readonly kind: 'name-taken'; readonly owner: Uint8Array }

export interface OwnHistory {
  readonly self: Uint8Array
  readonly logs: KnownLogs
  readonly store: LogStore
  readonly pending: readonly PendingAction[]
}

/** Looks for a release in all own logs and among what waits to be signed. */
export function releaseSaid(history: OwnHistory, release: SignedManifest): SaidBefore {
  const wanted = nameKey(release)
  for (const { key, entry } of ownEntries(history)) {
    if (entry.effect.kind !== 'release' || nameKey(entry.effect.release) !== wanted) continue
    const { releaseId } = entry.effect.release
    return bytesEqual(releaseId, release.releaseId)
      ? said(history, key, entry.index)
      : { kind: 'name-taken', owner: releaseId }
  }
  for (const pending of history.pending) {
    const other = releaseIn(pending)
    if (other === undefined || nameKey(other) !== wanted) continue
    return bytesEqual(other.releaseId, release.releaseId)
      ? { kind: 'waits', pending }
      : { kind: 'name-taken', owner: other.releaseId }
  }
  return { kind: 'no' }
}

/** Looks for the very same body in the log it would go to, and among what waits. */
export function bodySaid(history: OwnHistory, key: LogKey, body: Uint8Array): SaidBefore {
  const length = history.store.summary(key)?.length ?? 0
  const index = history.store.records(key, 0, length).findIndex((record) => bytesEqual(record.body, body))
  if (index >= 0) return said(history, key, index)
  const pending = history.pending.find((other) => other.scope === key.scope && bytesEqual(other.body, body))
  return pending === undefined ? { kind: 'no' } : { kind: 'waits', pending }
}

/** Whether an action that waited should still be signed, after the log went on elsewhere; of a history without what waits. */
export function actionStands(history: OwnHistory, key: LogKey, action: Action): 'yes' | 'done-already' | 'conflict' {
  // Only the last ballot counts: who goes back to an earlier choice says something new.
  if (action.type === 'ballot/1') return isLastBallot(history, key, action) ? 'done-already' : 'yes'
  const release = releaseIn(action)
  const before = release === undefined ? bodySaid(history, key, action.body) : releaseSaid(history, release)
  if (before.kind === 'said') return 'done-already'
  return before.kind === 'name-taken' ? 'conflict' : 'yes'
}

function isLastBallot({ logs }: OwnHistory, key: LogKey, { body }: Action): boolean {
  const before = (logs.log(key)?.entries ?? []).flatMap(({ effect }) =>
    effect.kind === 'statement' && effect.statement.type === 'ballot/1' ? [effect.statement.body] : [],
  )
  const { proposal, choice } = decodeCanonical(body) as RecordBody<'ballot/1'>
  return before.findLast((other) => bytesEqual(other.proposal, proposal))?.choice === choice
}

function said(history: OwnHistory, key: LogKey, index: number): SaidBefore {
  const [record] = history.store.records(key, index, index + 1)
  if (record === undefined) throw new Error('a record that was found is gone')
  return { kind: 'said', record: verifyRecord(record) }
}

function* ownEntries({ self, logs }: OwnHistory): Iterable<{ readonly key: LogKey; readonly entry: LogEntry }> {
  for (const { key, entries } of logs.logsOf(self)) for (const entry of entries) yield { key, entry }
}

function releaseIn(action: Action): SignedManifest | undefined {
  if (action.type !== 'release/1') return undefined
  const body = decodeCanonical(action.body)
  const sealed = typeof body === 'object' && 'sealedManifest' in body ? body.sealedManifest : undefined
  if (!(sealed instanceof Uint8Array)) throw new Error('an own release without its manifest')
  return openManifest(sealed)
}

function nameKey({ manifest }: SignedManifest): string {
  return releaseNameKey(manifest.name, manifest.version, manifest.base.id)
}
