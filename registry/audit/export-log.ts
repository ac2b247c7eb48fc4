// A community's whole log as lines of text, one at a time: what is held is never in memory as a whole.
import { createHash } from 'node:crypto'
import { identityToText, toHex } from '../../protocol/index.ts'
import type { Author } from '../../protocol/index.ts'
import type { KnownCommunity } from '../communities.ts'
import type { LogStore, LogSummary } from '../log-store.ts'
import { secondRecord } from './second-record.ts'
import { encodeLine, logFormat, signEnding } from './log-file.ts'
import type { LogLine } from './log-file.ts'

export interface ExportSource {
  readonly community: KnownCommunity
  /** Sorted as `logsInOrder` has them. */
  readonly logs: readonly LogSummary[]
  readonly store: LogStore
}

/**
 * Lines with their line feeds. Logs are as long as when it begins, whatever is said meanwhile. Throws `storage-failed`.
 */
export function* exportLines(source: ExportSource, exporter: Author, nowMs: number): Generator<string> {
  const community = toHex(source.community.id)
  const hash = createHash('sha256')
  let lines = 0
  for (const line of linesOf(source, identityToText(exporter.identity), nowMs)) {
    const text = `${encodeLine(line)}\n`
    hash.update(text)
    lines++
    yield text
  }
  const end = signEnding({ community, lines, digest: hash.digest('hex') }, exporter)
  yield `${encodeLine(end)}\n`
}

function* linesOf({ community, logs, store }: ExportSource, exportedBy: string, nowMs: number): Generator<LogLine> {
  const certificates = community.chain.certificates()
  yield {
    kind: 'log',
    format: logFormat,
    community: toHex(community.id),
    genesis: community.genesis.sealed,
    exportedBy,
    at: new Date(nowMs).toISOString(),
  }
  for (const log of logs) yield* linesOfLog(store, log)
  for (const { sealed } of certificates) yield { kind: 'certificate', sealed }
}

function* linesOfLog(store: LogStore, { key, length }: LogSummary): Generator<LogLine> {
  for (let at = 0; at < length; at++) {
    const [record] = store.records(key, at, at + 1)
    if (record === undefined) throw new Error(`a log of ${length} records has none at ${at}`)
    yield { kind: 'record', envelope: record.envelope, body: record.body }
  }
  const other = secondRecord(store, key)
  if (other !== undefined && other.index < length) yield { kind: 'fork', envelope: other.envelope, body: other.body }
}
