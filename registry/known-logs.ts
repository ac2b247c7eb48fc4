// The meaning of every record on disk, kept in memory and brought up to date record by record; each author's part of each community's
// fold is computed once and again only when one of that author's logs changes.
import { bytesEqual, fromHex, isMeshError, noPrevious, reopenRecord, toHex } from '../protocol/index.ts'
import type { VerifiedRecord } from '../protocol/index.ts'
import type { KnownCommunity } from './communities.ts'
import { foldAuthor, joinParts } from './fold-community.ts'
import type { AuthorPart, CommunityState, Said } from './fold-community.ts'
import { logKeyOf, logKeyText } from './log-key.ts'
import type { LogKey } from './log-key.ts'
import { damagedFile } from './log-store.ts'
import type { LogStore, StoredRecord } from './log-store.ts'
import { readEntry } from './record-effects.ts'
import type { LogEntry, LogView } from './record-effects.ts'

interface KnownLog {
  readonly key: LogKey
  readonly entries: LogEntry[]
  forkedAt: number | undefined
}

/**
 * A log as it counts, read from the disk. A damaged file must not speak for anybody: ids show that envelopes and bodies are what was
 * verified before it was stored, and the chain that every record stands where it stood. A damaged signature changes nothing of what is
 * said here; `checkStoredSignatures` finds it.
 */
function* reopened(key: LogKey, stored: readonly StoredRecord[]): Iterable<VerifiedRecord> {
  let previous = noPrevious
  for (const record of stored) {
    const opened = orDamaged(() => reopenRecord(record))
    const stands = bytesEqual(opened.fields.previous, previous) && logKeyText(opened.fields) === logKeyText(key)
    if (!stands) throw damagedFile()
    previous = opened.id
    yield opened
  }
}

function orDamaged<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!isMeshError(cause)) throw cause
    throw damagedFile(cause)
  }
}

export class KnownLogs {
  /** Author in hex -> that author's logs by name. */
  readonly #byAuthor = new Map<string, Map<string, KnownLog>>()
  readonly #parts = new Map<string, Map<string, AuthorPart>>()

  constructor(store: LogStore) {
    for (const { key, length, forkedAt } of store.summaries()) {
      const log = this.#log(key)
      log.forkedAt = forkedAt
      const stored = store.records(key, 0, forkedAt ?? length)
      for (const record of reopened(key, stored)) log.entries.push(readEntry(record))
    }
  }

  /** Returns what it says on the government of a community, if it does and counts. */
  appended(record: VerifiedRecord): Said | undefined {
    const { author, device } = record.fields
    const log = this.#log(record.fields)
    if (log.forkedAt !== undefined) return undefined
    const entry = readEntry(record)
    log.entries.push(entry)
    this.#parts.delete(toHex(author))
    const { id, index, time, effect } = entry
    return effect.kind === 'statement' ? { id, author, device, index, time, statement: effect.statement } : undefined
  }

  forked(key: LogKey, index: number): void {
    const log = this.#log(key)
    log.forkedAt = index
    log.entries.length = Math.min(log.entries.length, index)
    this.#parts.delete(toHex(key.author))
  }

  /** Hex. */
  authors(): Iterable<string> {
    return this.#byAuthor.keys()
  }

  logsOf(author: Uint8Array): LogView[] {
    return [...(this.#byAuthor.get(toHex(author))?.values() ?? [])]
  }

  log(key: LogKey): LogView | undefined {
    return this.#byAuthor.get(toHex(key.author))?.get(logKeyText(key))
  }

  /** What an author's public logs, and those for `scope`, add up to. */
  part(author: Uint8Array, scope: string): AuthorPart {
    const name = toHex(author)
    let parts = this.#parts.get(name)
    if (parts === undefined) this.#parts.set(name, (parts = new Map<string, AuthorPart>()))
    let part = parts.get(scope)
    if (part === undefined) {
      const logs = this.logsOf(author).filter((log) => log.key.scope === 'public' || log.key.scope === scope)
      parts.set(scope, (part = foldAuthor(author, logs)))
    }
    return part
  }

  state({ genesis, chain, scope }: KnownCommunity): CommunityState {
    return joinParts(genesis, chain.state, (author) => this.part(author, scope))
  }

  /** What anybody said on the government of a community: members, and those who want to join. */
  *statements(scope: string): Iterable<Said> {
    for (const [author, logs] of this.#byAuthor) {
      for (const { key } of logs.values()) {
        if (key.scope !== scope) continue
        yield* this.part(fromHex(author), scope).statements
        break
      }
    }
  }

  #log(key: LogKey): KnownLog {
    const author = toHex(key.author)
    let logs = this.#byAuthor.get(author)
    if (logs === undefined) this.#byAuthor.set(author, (logs = new Map<string, KnownLog>()))
    const name = logKeyText(key)
    let log = logs.get(name)
    if (log === undefined) {
      log = { key: logKeyOf(key), entries: [], forkedAt: undefined }
      logs.set(name, log)
    }
    return log
  }
}
