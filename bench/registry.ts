// How long the registry takes to add up records, and to check their signatures. Run with `node bench/registry.ts [RECORDS]`, by default
// 100,000; exits 1 if a bound is missed. Making the records, checking them and writing them to the disk are timed apart.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import sodium from 'sodium-native'
import {
  encodeBody,
  keyPairFromSeed,
  readRelease,
  sha256,
  signRaw,
  toHex,
  utf8,
  verifyRecord,
} from '../protocol/index.ts'
import type { Author, VerifiedRecord } from '../protocol/index.ts'
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

async function printVerification(): Promise<void> {
  const some = records.slice(0, 20_000).map(({ envelope, body }) => ({ envelope, body }))
  const perSecond = (ms: number, n = some.length): string => `${Math.round(n / (ms / 1000))} per second`
  console.log(`\nsignatures, ${some.length} records, median of 3`)
  console.log(`  the library alone, one thread  ${perSecond(rawVerificationMs(2_000), 2_000)}`)
  const inline = median(3, () => void some.map(verifyRecord))
  console.log(`  whole records, this thread     ${perSecond(inline)}`)
  const workers = availableParallelism()
  await using verifier = verifyInWorkers(workers)
  await verifier.verify(some)
  const times: number[] = []
  for (let i = 0; i < 3; i++) times.push(await timed(async () => void (await verifier.verify(some))))
  console.log(`  whole records, ${workers} workers      ${perSecond(middle(times))}`)
}

/** Ed25519 by libsodium itself over 200 bytes, what a record's statement has. */
function rawVerificationMs(n: number): number {
  const pair = keyPairFromSeed(sha256(utf8('bench')))
  const message = Buffer.alloc(200, 1)
  const [signature, key] = [Buffer.from(signRaw(message, pair.secretKey)), Buffer.from(pair.publicKey)]
  return median(3, () => {
    for (let i = 0; i < n; i++) sodium.crypto_sign_verify_detached(signature, message, key)
  })
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
    console.log(`  read back, every signature checked again, in ${seconds(readMs)}`)
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

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

function middle(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
