// What a record means to this version, read once per record. Unknown and invalid bodies mean nothing, and are kept all the same.
import {
  bytesEqual,
  checkLogOpening,
  compareBytes,
  isMeshError,
  noPrevious,
  readBody,
  readRelease,
  sha256,
  taggedId,
  toHex,
} from '../protocol/index.ts'
import type { ReadBody, RecordBody, RecordType, SignedManifest, VerifiedRecord } from '../protocol/index.ts'
import { logKeyOf, logKeyText } from './log-key.ts'
import type { LogKey } from './log-key.ts'

export type RecordEffect =
  | { readonly kind: 'release'; readonly release: SignedManifest; readonly infohash: Uint8Array }
  | { readonly kind: 'withdrawal'; readonly release: Uint8Array; readonly reason: string }
  | { readonly kind: 'patch'; readonly patch: PatchEffect }
  | { readonly kind: 'job'; readonly job: JobEffect }
  | { readonly kind: 'statement'; readonly statement: Statement }
  | { readonly kind: 'none' }

type StatementType = Exclude<
  RecordType,
  'log/1' | 'release/1' | 'withdrawal/1' | 'patch/1' | 'job/1' | 'suite/1' | 'round/1'
>

/** What a member says to govern a community. Of large bodies only what names them is kept; the store has the rest. */
export type Statement =
  | { readonly [T in StatementType]: { readonly type: T; readonly body: RecordBody<T> } }[StatementType]
  /** SHA-256 of the questions. */
  | { readonly type: 'suite/1'; readonly suite: Uint8Array; readonly bytes: number }
  | {
      readonly type: 'round/1'
      /** `decision` is its id here. */
      readonly body: Omit<RecordBody<'round/1'>, 'decision'> & { readonly decision: Uint8Array }
    }

/** Bytes that turn the file of one release into that of another. */
export type PatchEffect = RecordBody<'patch/1'>

export interface JobEffect {
  readonly capability: string
  readonly description: string
  readonly base: { readonly id: Uint8Array; readonly label: string }
  readonly nonce: Uint8Array
}

export interface LogEntry {
  /** Record id, 32 bytes. */
  readonly id: Uint8Array
  readonly index: number
  /** For display only. */
  readonly time: number
  readonly effect: RecordEffect
}

/** The part of a log that counts: what lies before its author's first fork, without gaps. */
export interface LogView {
  readonly key: LogKey
  readonly entries: readonly LogEntry[]
  readonly forkedAt: number | undefined
}

export function readEntry(record: VerifiedRecord): LogEntry {
  return { id: record.id, index: record.fields.index, time: record.fields.time, effect: readEffect(record) }
}

function readEffect(record: VerifiedRecord): RecordEffect {
  const read = readBody(record)
  switch (read.type) {
    case 'release/1': {
      const release = readRelease(record)
      return release.kind === 'release' ? release : { kind: 'none' }
    }
    case 'withdrawal/1':
      return { kind: 'withdrawal', release: read.body.release, reason: read.body.reason }
    case 'patch/1':
      return { kind: 'patch', patch: read.body }
    case 'log/1':
    case 'unknown':
    case 'invalid':
      return { kind: 'none' }
    default:
      // These are addressed to a community; in a public log they would be addressed to nobody.
      if (record.fields.scope === 'public') return { kind: 'none' }
      return read.type === 'job/1' ? { kind: 'job', job: read.body } : readStatement(read)
  }
}

function readStatement(read: Extract<ReadBody, { readonly type: Statement['type'] }>): RecordEffect {
  switch (read.type) {
    case 'suite/1': {
      const { suite } = read.body
      return { kind: 'statement', statement: { type: read.type, suite: sha256(suite), bytes: suite.length } }
    }
    case 'round/1': {
      const decision = taggedId('decision', read.body.decision)
      return { kind: 'statement', statement: { type: read.type, body: { ...read.body, decision } } }
    }
    default:
      return { kind: 'statement', statement: read }
  }
}

/**
 * The logs in a heap of verified records, whatever their order and however often each is there. The store does the same one record at a
 * time; this says what its result must be.
 */
export function viewLogs(records: Iterable<VerifiedRecord>): LogView[] {
  const logs = new Map<string, Map<number, Map<string, VerifiedRecord>>>()
  for (const record of records) {
    const positions = getOrAdd(logs, logKeyText(record.fields), () => new Map<number, Map<string, VerifiedRecord>>())
    getOrAdd(positions, record.fields.index, () => new Map<string, VerifiedRecord>()).set(toHex(record.id), record)
  }
  return [...logs.values()].flatMap((positions) => viewLog(positions) ?? [])
}

function viewLog(positions: ReadonlyMap<number, ReadonlyMap<string, VerifiedRecord>>): LogView | undefined {
  const chain: VerifiedRecord[] = []
  const opening = positions.get(0)?.values().find(opensLog)
  if (opening === undefined) return undefined
  let forkedAt: number | undefined
  for (let index = 0; ; index++) {
    const candidates = [...(positions.get(index)?.values() ?? [])]
    const [record] = candidates
    if (record === undefined) break
    if (candidates.length > 1) {
      forkedAt = index
      break
    }
    if (!bytesEqual(record.fields.previous, chain.at(-1)?.id ?? noPrevious)) break
    chain.push(record)
  }
  return { key: logKeyOf(opening.fields), entries: chain.map(readEntry), forkedAt }
}

function opensLog(record: VerifiedRecord): boolean {
  try {
    checkLogOpening(record)
    return true
  } catch (error) {
    if (!isMeshError(error)) throw error
    return false
  }
}

/** Public logs first, then by device: which log's "first" counts when an author has several. */
export function compareLogs(a: LogView, b: LogView): number {
  if (a.key.scope !== b.key.scope) {
    if (a.key.scope === 'public') return -1
    if (b.key.scope === 'public') return 1
    return a.key.scope < b.key.scope ? -1 : 1
  }
  return compareBytes(a.key.device, b.key.device)
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
