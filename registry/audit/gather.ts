// Everything held of a community's past, void records in place: its members' and others' logs, and the chain of certificates.
import { toHex, verifyRecord } from '../../protocol/index.ts'
import type { VerifiedRecord } from '../../protocol/index.ts'
import type { KnownCommunity } from '../communities.ts'
import type { KnownLogs } from '../known-logs.ts'
import type { LogKey } from '../log-key.ts'
import { logKeyText } from '../log-key.ts'
import type { LogStore, LogSummary } from '../log-store.ts'
import { readEntry } from '../record-effects.ts'
import type { LogEntry, RecordEffect } from '../record-effects.ts'
import { secondRecord } from './second-record.ts'
import type { CertificateEntry, RecordEntry, TrailMark } from './trail-entry.ts'

export interface Held {
  readonly store: LogStore
  readonly logs: KnownLogs
  readonly community: KnownCommunity
}

/** What was said to the community by anybody, and to everybody by those who are or were members. By scope, author and device. */
export function logsInOrder({ store, community }: Omit<Held, 'logs'>): LogSummary[] {
  const members = everMembers(community)
  return [...store.summaries()]
    .filter(({ key }) => key.scope === community.scope || (key.scope === 'public' && members.has(toHex(key.author))))
    .toSorted((a, b) => (logKeyText(a.key) < logKeyText(b.key) ? -1 : 1))
}

/** Identities in hex. */
function everMembers({ chain }: KnownCommunity): Set<string> {
  const { members, electorates } = chain.state
  const all = new Set(members.keys())
  for (const electorate of electorates.values()) for (const member of electorate) all.add(member)
  return all
}

/** In the order of the log. */
export function* recordsOf({ store, logs }: Held, { key, length, forkedAt }: LogSummary): Generator<RecordEntry> {
  for (const entry of logs.log(key)?.entries ?? []) yield* known(store, key, entry)
  if (forkedAt === undefined) return
  const mark = { kind: 'void', forkedAt } as const
  for (let at = forkedAt; at < length; at++) {
    for (const record of store.records(key, at, at + 1)) yield readRecord(verifyRecord(record), mark)
    const other = at === forkedAt ? secondRecord(store, key) : undefined
    if (other !== undefined) yield readRecord(verifyRecord(other), mark)
  }
}

/** Without looking at the disk, unless this version doesn't keep in memory what the record says. */
function* known(store: LogStore, key: LogKey, { id, index, time, effect }: LogEntry): Generator<RecordEntry> {
  const type = typeOf(effect)
  if (type !== undefined) yield { kind: 'record', id, ...key, index, time, type, effect }
  else for (const record of store.records(key, index, index + 1)) yield readRecord(verifyRecord(record))
}

function readRecord(record: VerifiedRecord, mark?: TrailMark): RecordEntry {
  const { author, device, scope, type } = record.fields
  const { id, index, time, effect } = readEntry(record)
  return { kind: 'record', id, author, device, scope, index, time, type, effect, ...(mark && { mark }) }
}

function typeOf(effect: RecordEffect): string | undefined {
  switch (effect.kind) {
    case 'release':
    case 'withdrawal':
    case 'job':
      return `${effect.kind}/1`
    case 'statement':
      return effect.statement.type
    case 'none':
      return undefined
  }
}

export function certificateEntries({ chain }: KnownCommunity): CertificateEntry[] {
  return chain.certificates().map((certificate, position) => ({
    kind: 'certificate',
    id: certificate.id,
    time: Math.max(...certificate.precommits.map(({ fields }) => fields.time)),
    certificate,
    delegates: chain.delegatesAt(position),
  }))
}
