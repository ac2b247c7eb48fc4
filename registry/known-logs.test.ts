import { describe, expect, test } from 'vitest'
import { noPrevious, toHex } from '../protocol/index.ts'
import { Database } from './database.ts'
import { KnownLogs } from './known-logs.ts'
import { LogStore } from './log-store.ts'
import { aLog, anAuthor, saysUnknown } from './testing/builders.ts'

const kitchen = 'ab'.repeat(32)
const alice = anAuthor('alice')
const log = aLog(alice, kitchen, ['one', 'two', 'three'].map(saysUnknown))
const damaged = expect.objectContaining({ code: 'storage-failed', blame: 'self' })

function aDatabase(): { database: Database; store: LogStore } & Disposable {
  const database = new Database({ path: ':memory:' })
  const store = new LogStore(database)
  store.offerVerified(log)
  return { database, store, [Symbol.dispose]: () => database[Symbol.dispose]() }
}

describe('logs read from the disk', () => {
  test('hold the records that were stored', () => {
    using file = aDatabase()
    const entries = new KnownLogs(file.store).log(log[0]!.fields)?.entries
    expect(entries?.map(({ id }) => toHex(id))).toEqual(log.map(({ id }) => toHex(id)))
  })

  test.each(['id', 'envelope', 'body'] as const)('are refused with any bit of a record flipped: %s', (column) => {
    using file = aDatabase()
    const { id, envelope, body, fields } = log[1]!
    const whole = { id, envelope, body }[column]
    const signature = Buffer.from(envelope).indexOf(fields.signature)
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const at = bit >> 3
      // Signature bytes are looked at later: see check-stored-signatures.ts.
      if (column === 'envelope' && at >= signature && at < signature + 64) continue
      file.database.run(
        `UPDATE records SET ${column} = ? WHERE position = 1`,
        whole.with(at, whole[at]! ^ (1 << (bit & 7))),
      )
      expect(() => new KnownLogs(file.store), `bit ${bit}`).toThrow(damaged)
    }
  })

  test('are refused where a record stands in the place or in the log of another', () => {
    using file = aDatabase()
    file.database.run('UPDATE records SET position = 7 WHERE position = 1')
    file.database.run('UPDATE records SET position = 1 WHERE position = 2')
    file.database.run('UPDATE records SET position = 2 WHERE position = 7')
    expect(() => new KnownLogs(file.store)).toThrow(damaged)
    using other = aDatabase()
    other.database.run('UPDATE logs SET author = ?', noPrevious)
    expect(() => new KnownLogs(new LogStore(other.database))).toThrow(damaged)
  })
})
