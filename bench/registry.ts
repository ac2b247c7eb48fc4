// How long the registry takes to add up records, and to check their signatures. Run with `node bench/registry.ts [RECORDS]`, by default
// 100,000; exits 1 if a bound is missed. Making the records, checking them and writing them to the disk are timed apart.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import sodium from 'sodium-native'
import {
  concatBytes,
  encodeBody,
  readRelease,
  reopenRecord,
  sha256,
  toHex,
  utf8,
  verifyRecord,
  withoutEntry,
} from '../protocol/index.ts'
import type { Author, SignedRecord, VerifiedRecord } from '../protocol/index.ts'
import { Communities, isKnown } from '../registry/communities.ts'
import { Database } from '../registry/database.ts'
import { foldCommunity } from '../registry/fold-community.ts'
import { hear, sortHeard } from '../registry/governance/heard.ts'
import { KnownLogs } from '../registry/known-logs.ts'
import { LogStore } from '../registry/log-store.ts'
import { viewLogs } from '../registry/record-effects.ts'
import { aLog, anAuthor, aRelease, continueLog, saysJob, saysRelease } from '../registry/testing/builders.ts'
import type { Said } from '../registry/testing/builders.ts'
import { verifyInWorkers } from '../registry/verify-in-workers.ts'
import { aGenesis } from '../testing/objects.ts'

const count = Number(process.argv[2] ?? 100_000)
const membersCount = 100
const foldMaxMs = 10_000
const incrementMaxMs = 5
const sliceSize = 100
let missed = 0

printConditions()
const authors = Array.from({ length: membersCount }, (_, i) => anAuthor(`member ${i}`))
const genesis = aGenesis(
  { members: authors.map(({ identity }, i) => ({ identity, role: i === 0 ? ('admin' as const) : ('user' as const) })) },
  authors[0]!,
)
const scope = toHex(genesis.id)
const begun = performance.now()
const logs = authors.map((author, i) => aLog(author, scope, sayings(author, i)))
const records = logs.flat()
console.log(
  `\n${records.length} records of ${membersCount} members: of 20 each 14 ballots, 4 comments, 1 wish, 1 release`,
)
console.log(`  made and signed in ${seconds(performance.now() - begun)}`)
await printVerification()
printFold()
printIncrement()
process.exitCode = missed === 0 ? 0 : 1

function printConditions(): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const changed = execFileSync('git', ['status', '--porcelain', 'registry', 'protocol'], { encoding: 'utf8' }).trim()
  console.log(
    `machine ${cpus().length} x ${cpus()[0]?.model}, node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`,
  )
  console.log(`commit  ${commit}${changed === '' ? '' : ', with changes in registry/ or protocol/'}`)
}

function sayings(author: Author, member: number): Said[] {
  return Array.from({ length: Math.round(count / membersCount) - 1 }, (_, i) => {
    const about = sha256(utf8(`proposal ${(i * 7 + member) % 500}`))
    if (i % 20 === 19) return saysRelease(aRelease(author, { version: `1.0.${i}` }))
    if (i % 20 === 18) return saysJob(`wish-${member}-${i}`)
    if (i % 5 === 4) return said('comment/1', { proposal: about, text: `word ${i}` })
    return said('ballot/1', { proposal: about, choice: i % 3 === 0 ? 'no' : 'yes' })
  })
}

function said<T extends 'comment/1' | 'ballot/1'>(type: T, body: Parameters<typeof encodeBody<T>>[1]): Said {
  return { type, body: encodeBody(type, body) }
}

/** In slices short enough that some are not interrupted: on a machine that is shared, longer ones show what the others do. */
async function printVerification(): Promise<void> {
  const some = records.slice(0, 20_000).map(({ envelope, body }) => ({ envelope, body }))
  const raw = records.slice(0, some.length).map(rawSignature)
  const alone: number[] = []
  const whole: number[] = []
  const reopened: number[] = []
  for (let from = 0; from < some.length; from += sliceSize) {
    const slice = some.slice(from, from + sliceSize)
    alone.push(perItemUs(raw.slice(from, from + sliceSize), verifyAlone))
    whole.push(perItemUs(slice, verifyRecord))
    reopened.push(perItemUs(records.slice(from, from + sliceSize), reopenRecord))
  }
  const [aloneUs, wholeUs] = [undisturbed(alone), undisturbed(whole)]
  console.log(`\nsignatures, ${some.length} records in slices of ${sliceSize}, the slice that a tenth is faster than`)
  console.log(`  the library alone           ${perRecord(aloneUs)}`)
  console.log(
    `  whole records, this thread  ${perRecord(wholeUs)}, ${percent(aloneUs / wholeUs)} of the library's speed`,
  )
  console.log(`  the same without signature  ${perRecord(undisturbed(reopened))}`)
  await printWorkers(some)
}

async function printWorkers(some: readonly SignedRecord[]): Promise<void> {
  const workers = availableParallelism()
  await using verifier = verifyInWorkers(workers)
  await verifier.verify(some)
  const runs = []
  for (let i = 0; i < 5; i++) {
    const [main, all, start] = [process.threadCpuUsage(), process.cpuUsage(), performance.now()]
    await verifier.verify(some)
    const ms = performance.now() - start
    const [mainUs, allUs] = [process.threadCpuUsage(main), process.cpuUsage(all)].map(
      ({ user, system }) => user + system,
    )
    runs.push({ ms, main: mainUs! / some.length, worker: (allUs! - mainUs!) / some.length })
  }
  const [main, worker] = [middle(runs.map((run) => run.main)), middle(runs.map((run) => run.worker))]
  console.log(`processor time where ${workers} workers check them, median of ${runs.length}`)
  console.log(`  in the workers              ${perRecord(worker)}`)
  console.log(`  in this thread              ${perRecord(main)}`)
  const rate = Math.round(some.length / (middle(runs.map(({ ms }) => ms)) / 1000))
  console.log(`  by the clock, all together  ${rate} records per second`)
}

/** What libsodium needs of a record. Each is another one: a processor that sees one signature again and again learns its branches. */
function rawSignature({ envelope, fields }: VerifiedRecord): readonly [Buffer, Buffer, Buffer] {
  const message = concatBytes(utf8('lora-mesh/record/1\0'), withoutEntry(envelope, 'signature'))
  return [Buffer.from(fields.signature), Buffer.from(message), Buffer.from(fields.device)]
}

function verifyAlone([signature, message, device]: ReturnType<typeof rawSignature>): void {
  if (!sodium.crypto_sign_verify_detached(signature, message, device)) throw new Error('its signature is right')
}

function perItemUs<T>(items: readonly T[], work: (item: T) => unknown): number {
  const start = performance.now()
  for (const item of items) work(item)
  return ((performance.now() - start) * 1000) / items.length
}

function undisturbed(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 10)]!
}

function perRecord(us: number): string {
  return `${us.toFixed(1).padStart(5)} us (${Math.round(1e6 / us)} per second)`
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function printFold(): void {
  const ms = median(3, () => {
    const state = foldCommunity(genesis, viewLogs(records))
    sortHeard(state.parts.flatMap(({ statements }) => statements))
  })
  // A release counts only with its manifest's signature, so reading one checks it: timed here by itself, and taken off.
  const releases = records.filter(({ fields }) => fields.type === 'release/1')
  const manifestsMs = median(3, () => void releases.map(readRelease))
  console.log(`\n  manifests of ${releases.length} releases checked in ${seconds(manifestsMs)}`)
  report('folded from nothing, without that', ms - manifestsMs, foldMaxMs)
}

function printIncrement(): void {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-bench-'))
  try {
    using database = new Database({ path: join(folder, 'registry.sqlite') })
    const store = new LogStore(database)
    console.log(
      `  written to the disk in ${seconds(median(1, () => void store.offerVerified(records)))}, one transaction`,
    )
    let known: KnownLogs | undefined
    const readMs = median(1, () => (known = new KnownLogs(store)))
    console.log(`  read back, ids, bodies and chains checked, in ${seconds(readMs)}`)
    measureIncrement(database, store, known!)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function measureIncrement(database: Database, store: LogStore, known: KnownLogs): void {
  const community = new Communities(database).learnGenesis(genesis)
  if (!isKnown(community)) throw new Error('its genesis was given')
  const heard = sortHeard(known.statements(scope))
  known.state(community)
  const checking: number[] = []
  const writing: number[] = []
  const folding: number[] = []
  for (const [i, log] of logs.entries()) {
    const ballot = said('ballot/1', { proposal: sha256(utf8(`proposal ${i}`)), choice: 'yes' })
    const [record] = continueLog(authors[i]!, scope, log, [ballot])
    checking.push(median(1, () => verifyRecord(record!)))
    writing.push(median(1, () => void store.offerVerified([record!])))
    folding.push(median(1, () => foldMore(known, heard, record!, community)))
  }
  console.log(
    `  one more record: checked in ${middle(checking).toFixed(2)} ms, on the disk in ${middle(writing).toFixed(2)} ms`,
  )
  report(`one more record folded, with the new state hash`, middle(folding), incrementMaxMs)
}

function foldMore(
  known: KnownLogs,
  heard: ReturnType<typeof sortHeard>,
  record: VerifiedRecord,
  community: Parameters<KnownLogs['state']>[0],
): void {
  const more = known.appended(record)
  if (more !== undefined) hear(heard, more)
  known.state(community)
}

function report(what: string, ms: number, maxMs: number): void {
  if (ms > maxMs) missed++
  console.log(`  ${what}: ${ms.toFixed(ms < 100 ? 2 : 0)} ms (at most ${maxMs})${ms > maxMs ? '  MISSED' : ''}`)
}

function median(runs: number, work: () => unknown): number {
  const times = Array.from({ length: runs }, () => {
    const start = performance.now()
    work()
    return performance.now() - start
  })
  return middle(times)
}

function middle(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
