import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { bytesEqual, toHex } from '../protocol/index.ts'
import type { VerifiedRecord } from '../protocol/index.ts'
import { Database } from './database.ts'
import { LogStore } from './log-store.ts'
import { aLog, anAuthor, continueLog, saysUnknown } from './testing/builders.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup()
})

function aFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-store-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  return join(folder, 'registry.sqlite')
}

function aStore(path = ':memory:', maxBytes?: number): LogStore {
  const database = new Database(maxBytes === undefined ? { path } : { path, maxBytes })
  cleanups.push(() => database[Symbol.dispose]())
  return new LogStore(database)
}

const alice = anAuthor('alice')
const bob = anAuthor('bob')
const log = aLog(alice, 'public', ['one', 'two', 'three', 'four'].map(saysUnknown))
const first = log[0]!

describe('a log on disk', () => {
  test('takes records in order, and each once', () => {
    const store = aStore()
    expect(store.offer(log).map(({ kind }) => kind)).toEqual(log.map(() => 'appended'))
    expect(store.offer(log).map(({ kind }) => kind)).toEqual(log.map(() => 'known'))
    expect(store.summary(first.fields)).toMatchObject({ length: 5, head: log[4]!.id, forkedAt: undefined })
    expect(store.records(first.fields, 1, 3).map(({ id }) => id)).toEqual([log[1]!.id, log[2]!.id])
  })

  test('keeps record types it does not know, byte for byte', () => {
    const store = aStore()
    store.offer(log)
    expect(store.records(first.fields, 1, 2)[0]).toMatchObject({ envelope: log[1]!.envelope, body: log[1]!.body })
  })

  test('is the same after it was closed and opened again', () => {
    const path = aFile()
    const database = new Database({ path })
    const before = new LogStore(database)
    before.offer(log)
    before.markShared(first.fields)
    const summary = before.summary(first.fields)
    database[Symbol.dispose]()
    const store = aStore(path)
    expect(store.summary(first.fields)).toEqual(summary)
    expect(store.summary(first.fields)?.shared).toBe(true)
    expect(store.offer(log.slice(-1))[0]!.kind).toBe('known')
  })

  test('says where records are missing, and takes nothing beyond', () => {
    const store = aStore()
    store.offer(log.slice(0, 2))
    expect(store.offer(log.slice(3))).toEqual([
      { kind: 'gap', length: 2 },
      { kind: 'gap', length: 2 },
    ])
    expect(store.summary(first.fields)?.length).toBe(2)
  })

  test('refuses a record that continues another history', () => {
    const store = aStore()
    store.offer(log.slice(0, 3))
    const other = aLog(alice, 'public', ['one', 'other', 'three'].map(saysUnknown))
    expect(store.offer(other.slice(3))).toEqual([{ kind: 'does-not-follow', index: 3 }])
  })

  test('refuses a log that does not open with a certificate for its device', () => {
    const store = aStore()
    const mallory = { ...anAuthor('mallory'), identity: alice.identity }
    const forged = aLog(mallory, 'public', [saysUnknown('in the name of alice')])
    expect(() => store.offer(forged)).toThrow(expect.objectContaining({ code: 'bad-certificate' }))
    const headless = continueLog(alice, 'public', [], [saysUnknown('no certificate')])
    expect(() => store.offer(headless)).toThrow(expect.objectContaining({ code: 'bad-certificate' }))
    expect([...store.summaries()]).toEqual([])
  })

  test('refuses a changed body, a changed signature and cut bytes, and stores nothing of the batch', () => {
    const store = aStore()
    const last = log[4]!
    const damaged = [
      { envelope: last.envelope, body: saysUnknown('changed').body },
      { envelope: withFlippedBit(last.envelope, last.envelope.length - 1), body: last.body },
      { envelope: last.envelope.slice(0, -1), body: last.body },
    ]
    for (const record of damaged) {
      expect(() => store.offer([...log.slice(0, 4), record])).toThrow(expect.objectContaining({ blame: 'peer' }))
    }
    expect(store.summary(first.fields)).toBeUndefined()
  })

  test('keeps the logs of one author for different scopes and devices apart', () => {
    const store = aStore()
    const kitchen = 'ab'.repeat(32)
    const logs = [
      log,
      aLog(alice, kitchen, [saysUnknown('x')]),
      aLog(anAuthor('alice', 'phone'), 'public', [saysUnknown('y')]),
    ]
    store.offer(logs.flat())
    expect(logs.map(([record]) => store.summary(record!.fields)?.length)).toEqual([5, 2, 2])
  })

  test('keeps what a byte budget allows, but always one record', () => {
    const store = aStore()
    store.offer(log)
    expect(store.records(first.fields, 0, 5, 1)).toHaveLength(1)
    expect(store.records(first.fields, 0, 5, log[0]!.envelope.length + log[0]!.body.length + 1)).toHaveLength(1)
    expect(store.records(first.fields, 7, 9)).toEqual([])
  })
})

describe('two records at one position', () => {
  const other = aLog(alice, 'public', ['one', 'other', 'story'].map(saysUnknown))

  test('are proof, whichever came first', () => {
    for (const [seenFirst, seenLater] of [
      [log, other],
      [other, log],
    ] as const) {
      const store = aStore()
      store.offer(seenFirst)
      expect(store.offer([seenLater[2]!])).toEqual([{ kind: 'fork', index: 2 }])
      expect(store.summary(first.fields)?.forkedAt).toBe(2)
      const proof = store.forkProof(first.fields)!.map(({ id }) => toHex(id))
      expect(proof).toEqual([log[2]!, other[2]!].map(({ id }) => toHex(id)).toSorted())
    }
  })

  test('count from the first such position, also when a later one was seen before', () => {
    const store = aStore()
    store.offer(log)
    store.offer([other[3]!])
    expect(store.summary(first.fields)?.forkedAt).toBe(3)
    store.offer([other[2]!])
    expect(store.summary(first.fields)?.forkedAt).toBe(2)
    expect(store.offer([other[3]!])[0]!.kind).toBe('known')
    expect(store.summary(first.fields)?.forkedAt).toBe(2)
  })

  test('are remembered after a restart', () => {
    const path = aFile()
    const database = new Database({ path })
    const before = new LogStore(database)
    before.offer([...log, other[2]!])
    const proof = before.forkProof(first.fields)
    database[Symbol.dispose]()
    expect(aStore(path).forkProof(first.fields)).toEqual(proof)
  })

  test('do not touch the logs of others', () => {
    const store = aStore()
    const bobs = aLog(bob, 'public', [saysUnknown('x')])
    store.offer([...log, ...bobs, other[2]!])
    expect(store.summary(bobs[0]!.fields)?.forkedAt).toBeUndefined()
  })
})

test('the same records in any order, repeated and in batches of any size, end in the same log', () => {
  const order = fc.shuffledSubarray([...log, ...log], { minLength: log.length * 2 })
  fc.assert(
    fc.property(order, fc.integer({ min: 1, max: 4 }), (records, batch) => {
      const store = aStore()
      offerUntilSettled(store, records, batch)
      const summary = store.summary(first.fields)
      expect(summary?.length).toBe(log.length)
      expect(bytesEqual(summary!.head, log.at(-1)!.id)).toBe(true)
    }),
    { numRuns: 30 },
  )
})

test('a full disk is told as such; what was stored before is there, and storing works again when there is room', () => {
  const path = aFile()
  const database = new Database({ path, maxBytes: 256 * 1024 })
  const store = new LogStore(database)
  const big = aLog(
    alice,
    'public',
    Array.from({ length: 40 }, (_, i) => saysUnknown(`${i}${'x'.repeat(20_000)}`)),
  )
  let stored = 0
  const fill = (): void => {
    for (const record of big) {
      store.offer([record])
      stored++
    }
  }
  expect(fill).toThrow(expect.objectContaining({ code: 'disk-full', blame: 'self' }))
  expect(stored).toBeGreaterThan(2)
  expect(store.summary(big[0]!.fields)?.length).toBe(stored)
  database[Symbol.dispose]()
  const roomy = aStore(path)
  expect(roomy.summary(big[0]!.fields)).toMatchObject({ length: stored, head: big[stored - 1]!.id })
  expect(roomy.offer(big.slice(stored)).every(({ kind }) => kind === 'appended')).toBe(true)
})

test('a file of a newer version, and one that is no database, are refused with what to do', () => {
  const path = aFile()
  new Database({ path })[Symbol.dispose]()
  const raw = new DatabaseSync(path)
  raw.exec('PRAGMA user_version = 99')
  raw.close()
  expect(() => new Database({ path })).toThrow(expect.objectContaining({ code: 'storage-failed' }))
  expect(() => new Database({ path: join(path, 'not', 'there') })).toThrow(
    expect.objectContaining({ code: 'storage-failed' }),
  )
})

test('every commit is written through: write-ahead log, full synchronisation', () => {
  const path = aFile()
  const database = new Database({ path })
  cleanups.push(() => database[Symbol.dispose]())
  expect(database.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' })
  expect(database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 })
})

/** As an exchange does: what came too early is offered again. */
function offerUntilSettled(store: LogStore, records: readonly VerifiedRecord[], batch: number): void {
  for (let round = 0; round < records.length; round++) {
    for (let i = 0; i < records.length; i += batch) store.offer(records.slice(i, i + batch))
  }
}

function withFlippedBit(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.with(at, bytes[at]! ^ 1)
}
