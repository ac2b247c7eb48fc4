// This node's own logs, and the rule that keeps a restored backup from forking its owner: a log that was ever handed to a peer is not
// appended to after a start before one peer that holds it was asked for its length. Until then actions wait, unsigned.
import { bytesEqual, createRecord, encodeBody, noPrevious } from '../protocol/index.ts'
import type { Author, Scope, VerifiedRecord } from '../protocol/index.ts'
import { blob, integer, text } from './database.ts'
import type { Database } from './database.ts'
import type { LogKey } from './log-key.ts'
import type { LogStore, LogSummary } from './log-store.ts'
import type { Clock } from './ports.ts'

export interface Action {
  readonly scope: Scope
  readonly type: string
  readonly body: Uint8Array
}

/** Something the user did that is not signed yet. */
export interface PendingAction extends Action {
  readonly id: number
  /** When the user did it, in milliseconds since 1970. */
  readonly time: number
  readonly waitingFor: PendingReason
}

export type PendingReason =
  /** A peer that holds the log; it says whether the log went on elsewhere. */
  | 'peer'
  /** Nothing will free it: another device or copy of this data folder signed other records at the same positions. */
  | 'forked-log'
  /** What the log holds by now contradicts it. */
  | 'conflict'

export type AppendResult =
  | { readonly kind: 'appended'; readonly record: VerifiedRecord; readonly warning?: string }
  | { readonly kind: 'pending'; readonly pending: PendingAction; readonly message: string }

/** Whether one own log may be appended to. */
type Standing = 'free' | 'unconfirmed' | 'forked'

export interface OwnLogsOptions {
  readonly author: Author
  readonly clock: Clock
  /** Appends without having asked anybody. May fork the log of a restored backup for good. */
  readonly offline: boolean
  /** Records that reached the disk. */
  readonly onAppended: (records: readonly VerifiedRecord[]) => void
  /** Asked again when a pending action is about to be signed: whether it still stands. */
  readonly stillStands: (action: Action) => 'yes' | 'done-already' | 'conflict'
}

export const offlineWarning =
  'Signed without asking a peer how long this log is elsewhere. If this data folder was restored from a backup, the log may be forked now.'

export class OwnLogs {
  readonly #database: Database
  readonly #store: LogStore
  readonly #options: OwnLogsOptions
  readonly #standings = new Map<Scope, Standing>()
  readonly #conflicts = new Set<number>()

  constructor(database: Database, store: LogStore, options: OwnLogsOptions) {
    this.#database = database
    this.#store = store
    this.#options = options
    for (const summary of store.summaries()) {
      if (this.isOwn(summary.key)) this.#standings.set(summary.key.scope, standingAtStart(summary))
    }
  }

  key(scope: Scope): LogKey {
    return { scope, author: this.#options.author.identity, device: this.#options.author.device.publicKey }
  }

  isOwn(key: LogKey): boolean {
    const own = this.key(key.scope)
    return bytesEqual(own.author, key.author) && bytesEqual(own.device, key.device)
  }

  /** Throws `disk-full` or `storage-failed`; otherwise what it says is on the disk. */
  append(action: Action): AppendResult {
    const standing = this.#standing(action.scope)
    // What waits must not be overtaken: the order in which a user did things is the order in which they are signed.
    const queued = this.pending().some((other) => other.scope === action.scope && other.waitingFor === 'peer')
    if (standing === 'free' && !queued) return { kind: 'appended', record: this.#sign(action) }
    if (standing === 'unconfirmed' && this.#options.offline) {
      this.confirm(action.scope)
      return { kind: 'appended', record: this.#sign(action), warning: offlineWarning }
    }
    return this.#queue(action)
  }

  /** A peer that holds this log was asked, and it holds nothing that we lack: what waits is signed now. */
  confirm(scope: Scope): void {
    if (this.#standing(scope) === 'forked') return
    this.#standings.set(scope, 'free')
    for (const pending of this.pending()) {
      if (pending.scope !== scope || pending.waitingFor !== 'peer') continue
      const verdict = this.#options.stillStands(pending)
      if (verdict === 'conflict') this.#conflicts.add(pending.id)
      else if (verdict === 'done-already') this.discard(pending.id)
      else this.#sign(pending, pending.id)
    }
  }

  /** Signs what waits although no peer was asked, where the user chose to work so. */
  confirmIfOffline(): void {
    if (!this.#options.offline) return
    for (const scope of new Set(this.pending().map(({ scope }) => scope))) this.confirm(scope)
  }

  /** Somebody holds other records of this log: nothing is signed on top of it any more. */
  reportFork(scope: Scope): void {
    this.#standings.set(scope, 'forked')
  }

  standing(scope: Scope): Standing {
    return this.#standing(scope)
  }

  pending(): PendingAction[] {
    return this.#database.all('SELECT pending, scope, type, body, time FROM pending ORDER BY pending').map((row) => {
      const id = integer(row, 'pending')
      const scope = text(row, 'scope')
      return {
        id,
        scope,
        type: text(row, 'type'),
        body: blob(row, 'body'),
        time: integer(row, 'time'),
        waitingFor: this.#reason(id, scope),
      }
    })
  }

  /** Takes back what was not signed yet. Returns whether there was such an action. */
  discard(id: number): boolean {
    this.#conflicts.delete(id)
    return this.#database.run('DELETE FROM pending WHERE pending = ?', id).changes > 0
  }

  #standing(scope: Scope): Standing {
    return this.#standings.get(scope) ?? (this.#database.holdsAllOwnLogs ? 'free' : 'unconfirmed')
  }

  #reason(id: number, scope: Scope): PendingReason {
    if (this.#standing(scope) === 'forked') return 'forked-log'
    return this.#conflicts.has(id) ? 'conflict' : 'peer'
  }

  #queue(action: Action): AppendResult {
    const time = this.#options.clock.now()
    const { rowId } = this.#database.run(
      'INSERT INTO pending (scope, type, body, time) VALUES (?, ?, ?, ?)',
      action.scope,
      action.type,
      action.body,
      time,
    )
    const pending = { ...action, id: rowId, time, waitingFor: this.#reason(rowId, action.scope) }
    return waiting(pending)
  }

  /** Appends, with the device certificate first in a new log; a pending action leaves the queue in the same transaction. */
  #sign(action: Action, pendingId?: number): VerifiedRecord {
    const { author, clock } = this.#options
    const summary = this.#store.summary(this.key(action.scope))
    const records: VerifiedRecord[] = []
    let previous = summary?.head ?? noPrevious
    let index = summary?.length ?? 0
    const add = (type: string, body: Uint8Array): VerifiedRecord => {
      const draft = { scope: action.scope, index, previous, type, time: clock.now(), body }
      const record = createRecord(draft, author)
      records.push(record)
      previous = record.id
      index++
      return record
    }
    if (index === 0) add('log/1', encodeBody('log/1', { certificate: author.certificate }))
    const record = add(action.type, action.body)
    const outcomes = this.#store.offerVerified(records, () => {
      if (pendingId !== undefined) this.#database.run('DELETE FROM pending WHERE pending = ?', pendingId)
    })
    if (outcomes.some(({ kind }) => kind !== 'appended')) throw new Error('an own record did not follow its own log')
    this.#options.onAppended(records)
    return record
  }
}

const waitingMessages: Readonly<Record<PendingReason, string>> = {
  peer: 'Not signed yet: since this node was started, or its keys were restored, no peer that holds its log has been reached to ask how long it is. It will be signed when one is; `lora-mesh up --offline` signs at once.',
  'forked-log':
    'Not signed: another copy of this identity has signed other records at the same place of this log. Make a new identity with "init" in another data folder.',
  conflict:
    'Not signed: this log says something else under the same name by now. Publish it again with a higher version.',
}

export function waiting(pending: PendingAction): AppendResult {
  return { kind: 'pending', pending, message: waitingMessages[pending.waitingFor] }
}

function standingAtStart(summary: LogSummary): Standing {
  if (summary.forkedAt !== undefined) return 'forked'
  return summary.shared ? 'unconfirmed' : 'free'
}
