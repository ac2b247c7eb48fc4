// Whether an exported log is what it says it is, from nothing but its bytes: every signature, every chain, every certificate, and that
// nothing was changed, added or dropped since it was exported.
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { bytesEqual, checkLogOpening, isMeshError, MeshError, noPrevious } from '../../protocol/index.ts'
import { openCertificate, openGenesis, toHex, verifyRecord } from '../../protocol/index.ts'
import type { OpenedGenesis, VerifiedRecord } from '../../protocol/index.ts'
import { foldCommunity } from '../fold-community.ts'
import { applyCertificate } from '../governance/apply-decision.ts'
import { startOfChain } from '../governance/chain-state.ts'
import type { ChainState } from '../governance/chain-state.ts'
import { logKeyOf, logKeyText } from '../log-key.ts'
import { readEntry } from '../record-effects.ts'
import type { LogEntry, LogView } from '../record-effects.ts'
import { checkEnding, decodeLine, logLineMaxBytes } from './log-file.ts'
import type { LogLine, LogLineOf } from './log-file.ts'
import { splitLines } from './split-lines.ts'

export interface WholeLog {
  readonly kind: 'whole'
  readonly community: Uint8Array
  readonly name: string
  readonly exportedBy: string
  /** As the exporter says. */
  readonly exportedAt: string
  readonly lines: number
  readonly records: number
  readonly logs: number
  readonly authors: number
  /** Logs whose authors signed two records at one position. */
  readonly forks: number
  readonly certificates: number
  readonly members: number
  /** Worked out from what is in the file. */
  readonly stateHash: Uint8Array
}

export type LogVerdict =
  | WholeLog
  | {
      readonly kind: 'broken'
      /** The first one that is wrong, counted from 1. */
      readonly line: number
      readonly why: string
    }

const textOf = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads it once, a line at a time. Throws what `chunks` throws. */
export async function verifyLog(chunks: AsyncIterable<Uint8Array>): Promise<LogVerdict> {
  const reader = new LogReader()
  for await (const bytes of splitLines(chunks, logLineMaxBytes)) {
    const broken = orBroken(reader, () => reader.take(bytes))
    if (broken !== undefined) return broken
  }
  return orBroken(reader, () => reader.end())
}

function orBroken<T>(reader: LogReader, read: () => T): T | LogVerdict {
  try {
    return read()
  } catch (error) {
    if (!isMeshError(error)) throw error
    return { kind: 'broken', line: reader.lines + 1, why: error.message }
  }
}

/** One log as far as it was read. */
interface OpenLog {
  readonly name: string
  readonly ids: Uint8Array[]
  readonly entries: LogEntry[]
  readonly view: { readonly key: LogView['key']; readonly entries: LogEntry[]; forkedAt: number | undefined }
}

interface Opening {
  readonly genesis: OpenedGenesis
  readonly line: LogLineOf<'log'>
}

/** Where in the file the next line stands. */
type Part = 'start' | 'records' | 'certificates' | 'ended'

class LogReader {
  /** Those that are right. */
  lines = 0
  #part: Part = 'start'
  #opening: Opening | undefined
  #chain: ChainState | undefined
  #log: OpenLog | undefined
  #records = 0
  readonly #views: LogView[] = []
  readonly #digest: Hash = createHash('sha256')

  /** Throws a MeshError with what is wrong with the line. */
  take(bytes: Uint8Array): undefined {
    if (this.#part === 'ended') refuse('Nothing may follow the line that ends an export.')
    if (bytes.length > logLineMaxBytes) {
      throw new MeshError('too-large', `This line has more than ${logLineMaxBytes} bytes: no line of an export has.`)
    }
    const line = decodeLine(withoutLineFeed(bytes))
    this.#takeLine(line)
    this.#digest.update(bytes)
    this.lines++
  }

  end(): WholeLog {
    if (this.#part !== 'ended') refuse('The line that ends an export is missing: the file was cut off.')
    const { genesis, line } = this.#opened()
    const chain = this.#chain!
    const { stateHash } = foldCommunity(genesis, this.#views, chain)
    return {
      kind: 'whole',
      community: genesis.id,
      name: genesis.genesis.name,
      exportedBy: line.exportedBy,
      exportedAt: line.at,
      lines: this.lines,
      records: this.#records,
      logs: this.#views.length,
      authors: new Set(this.#views.map(({ key }) => toHex(key.author))).size,
      forks: this.#views.filter(({ forkedAt }) => forkedAt !== undefined).length,
      certificates: chain.length,
      members: chain.members.size,
      stateHash,
    }
  }

  #takeLine(line: LogLine): void {
    switch (line.kind) {
      case 'log':
        return this.#takeOpening(line)
      case 'record':
        this.#requirePart('records')
        return this.#takeRecord(verifyRecord(line))
      case 'fork':
        this.#requirePart('records')
        return this.#takeFork(verifyRecord(line))
      case 'certificate':
        return this.#takeCertificate(line)
      case 'end':
        return this.#takeEnd(line)
    }
  }

  #takeOpening(line: LogLineOf<'log'>): void {
    if (this.#part !== 'start') refuse('Only the first line opens an export.')
    const genesis = openGenesis(line.genesis)
    if (toHex(genesis.id) !== line.community) refuse('Its genesis is of another community than it says.')
    if (new Date(line.at).toISOString() !== line.at) refuse('Its date is not written as an export writes it.')
    this.#opening = { genesis, line }
    this.#chain = startOfChain(genesis)
    this.#part = 'records'
  }

  #takeRecord(record: VerifiedRecord): void {
    const name = logKeyText(record.fields)
    const log = this.#log?.name === name ? this.#log : this.#openLog(name, record)
    if (log.view.forkedAt !== undefined) refuse('Records of a log stand before the proof that it is forked.')
    const { index, previous } = record.fields
    if (index !== log.ids.length) {
      throw new MeshError('chain-broken', `This is record ${index} of its log; record ${log.ids.length} is missing.`)
    }
    if (!bytesEqual(previous, log.ids.at(-1) ?? noPrevious)) {
      throw new MeshError('chain-broken', 'This record does not follow the one before it.')
    }
    if (index === 0) checkLogOpening(record)
    log.ids.push(record.id)
    log.entries.push(readEntry(record))
    this.#records++
  }

  #openLog(name: string, { fields }: VerifiedRecord): OpenLog {
    if (fields.scope !== 'public' && fields.scope !== this.#opened().line.community) {
      refuse('This record is of another community.')
    }
    if (this.#log !== undefined && this.#log.name > name) refuse('This log stands in the wrong place.')
    const entries: LogEntry[] = []
    const view = { key: logKeyOf(fields), entries, forkedAt: undefined }
    this.#log = { name, ids: [], entries, view }
    this.#views.push(view)
    return this.#log
  }

  #takeFork(record: VerifiedRecord): void {
    const log = this.#log
    if (log === undefined || log.name !== logKeyText(record.fields)) refuse('This proof is of another log.')
    if (log.view.forkedAt !== undefined) refuse('This log has a proof already.')
    const { index } = record.fields
    const held = log.ids[index]
    if (held === undefined || bytesEqual(held, record.id)) refuse('This record proves no fork: there is no other one.')
    log.view.forkedAt = index
    log.entries.length = index
  }

  #takeCertificate({ sealed }: LogLineOf<'certificate'>): void {
    this.#requirePart('records', 'certificates')
    this.#part = 'certificates'
    const applied = applyCertificate(this.#chain!, openCertificate(sealed))
    if (applied.kind === 'refused') refuse(`This certificate does not hold: ${applied.why}`)
    this.#chain = applied.state
  }

  #takeEnd(line: LogLineOf<'end'>): void {
    const { community, exportedBy } = this.#opened().line
    this.#requirePart('records', 'certificates')
    if (line.lines !== this.lines)
      refuse(`It was exported with ${line.lines} lines before this; here are ${this.lines}.`)
    if (line.digest !== this.#digest.copy().digest('hex')) refuse('A line before this was changed since the export.')
    checkEnding(line, community, exportedBy)
    this.#part = 'ended'
  }

  #requirePart(...parts: readonly Part[]): void {
    this.#opened()
    if (!parts.includes(this.#part)) refuse('This line stands in the wrong place.')
  }

  #opened(): Opening {
    return this.#opening ?? refuse('The first line of an export says of which community it is.')
  }
}

function withoutLineFeed(bytes: Uint8Array): string {
  if (bytes.at(-1) !== 0x0a) refuse('This line was cut off.')
  try {
    return textOf.decode(bytes.subarray(0, -1))
  } catch (cause) {
    throw new MeshError('malformed', 'This line is not UTF-8.', {}, { cause })
  }
}

function refuse(why: string): never {
  throw new MeshError('malformed', why)
}
