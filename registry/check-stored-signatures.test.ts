import { expect, test } from 'vitest'
import { checkStoredSignatures } from './check-stored-signatures.ts'
import { Database } from './database.ts'
import { LogStore } from './log-store.ts'
import { aLog, anAuthor, saysUnknown } from './testing/builders.ts'
import { inlineMax, verifyInWorkers } from './verify-in-workers.ts'

const forever = new AbortController().signal
const [alice, bob] = [anAuthor('alice'), anAuthor('bob')]
const long = aLog(
  alice,
  'public',
  Array.from({ length: inlineMax + 10 }, (_, i) => saysUnknown(`number ${i}`)),
)
const short = aLog(bob, 'public', [saysUnknown('one'), saysUnknown('two')])
const otherEnd = aLog(bob, 'public', [saysUnknown('one'), saysUnknown('another')]).at(-1)!

test('signatures on the disk that are what they were pass; in an empty store there is nothing to find', async () => {
  await using verifier = verifyInWorkers(1)
  using database = new Database({ path: ':memory:' })
  const store = new LogStore(database)
  await checkStoredSignatures(store, verifier, forever)
  store.offerVerified([...long, ...short, otherEnd])
  await checkStoredSignatures(store, verifier, forever)
})

test.each([
  ['a signature', 'records', long[70]!],
  ['the signature of a proof against a forked author', 'forks', otherEnd],
])('a flipped bit in %s is told as a damaged file', async (_what, table, { id, envelope, fields }) => {
  await using verifier = verifyInWorkers(1)
  using database = new Database({ path: ':memory:' })
  const store = new LogStore(database)
  store.offerVerified([...long, ...short, otherEnd])
  const at = Buffer.from(envelope).indexOf(fields.signature) + 40
  database.run(`UPDATE ${table} SET envelope = ? WHERE id = ?`, envelope.with(at, envelope[at]! ^ 1), id)
  await expect(checkStoredSignatures(store, verifier, forever)).rejects.toMatchObject({
    code: 'storage-failed',
    blame: 'self',
  })
})

test('once stopped it ends without a word, and reads no more of a store that may be closed by then', async () => {
  const verifier = verifyInWorkers(1)
  const database = new Database({ path: ':memory:' })
  const store = new LogStore(database)
  store.offerVerified(long)
  const closing = new AbortController()
  const checking = checkStoredSignatures(store, verifier, closing.signal)
  closing.abort()
  await verifier[Symbol.asyncDispose]()
  database[Symbol.dispose]()
  await checking
})
