import { expect, test } from 'vitest'
import { bestFirst } from './best-first.ts'

interface Source extends AsyncIterable<Uint8Array> {
  answer(...keys: readonly number[]): void
  end(): void
  fail(error: Error): void
}

/** Seeders that answer when the test says so. */
function aSource(): Source {
  const stream = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 100 }, { highWaterMark: 100 })
  const writer = stream.writable.getWriter()
  return {
    answer: (...keys) => keys.forEach((key) => void writer.write(Uint8Array.of(key))),
    end: () => void writer.close(),
    fail: (error) => void writer.abort(error),
    [Symbol.asyncIterator]: () => stream.readable.values(),
  }
}

/** Pauses that end when the test says so, by their length. */
function pauses() {
  const waiting: { readonly ms: number; readonly end: () => void }[] = []
  return {
    lengths: () => waiting.map(({ ms }) => ms),
    over: (atMostMs: number) => waiting.filter(({ ms }) => ms <= atMostMs).forEach(({ end }) => end()),
    pause(ms: number, signal: AbortSignal): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.push({ ms, end: resolve })
      signal.addEventListener('abort', () => resolve())
      return promise
    },
  }
}

/** Keys of one byte: below 100 they did harm, from 200 on they are trusted, the larger the more. */
const scoreOf = ([key = 0]: Uint8Array): number => (key < 100 ? -1 : Math.max(0, key - 199) / 100)

async function take(keys: AsyncIterable<Uint8Array>): Promise<number[]> {
  const taken: number[] = []
  for await (const [key = 0] of keys) taken.push(key)
  return taken
}

const patient = new AbortController().signal

test('the trusted come at once and the best of them first, then strangers, then those that did harm', async () => {
  const source = aSource()
  const { pause, over, lengths } = pauses()
  const taking = take(bestFirst(source, { scoreOf, trustsAnybody: () => true, pause }, patient))
  source.answer(7, 150, 201, 250, 151)
  source.end()
  await expect.poll(lengths).toEqual([5_000, 250, 250])
  over(250)
  over(5_000)
  const taken = await taking
  expect(taken.slice(0, 2).toSorted()).toEqual([201, 250])
  expect(taken.slice(2)).toEqual([150, 151, 7])
})

test('of several that wait to be taken the best is taken first', async () => {
  const source = aSource()
  const { pause } = pauses()
  const keys = bestFirst(source, { scoreOf, trustsAnybody: () => true, pause }, patient)[Symbol.asyncIterator]()
  source.answer(205)
  expect((await keys.next()).value).toEqual(Uint8Array.of(205))
  source.answer(210, 203, 220)
  source.end()
  // While the taker is busy with the first one, all of these come in.
  await new Promise((resolve) => setImmediate(resolve))
  expect([(await keys.next()).value, (await keys.next()).value, (await keys.next()).value]).toEqual(
    [220, 210, 203].map((key) => Uint8Array.of(key)),
  )
  expect((await keys.next()).done).toBe(true)
})

test('strangers wait for nobody where nobody is trusted', async () => {
  const source = aSource()
  const { pause, lengths } = pauses()
  const taking = take(bestFirst(source, { scoreOf, trustsAnybody: () => false, pause }, patient))
  source.answer(150, 151)
  source.end()
  expect(await taking).toEqual([150, 151])
  expect(lengths()).toEqual([])
})

test('the only one that has it is taken although it did harm', async () => {
  const source = aSource()
  const { pause, over, lengths } = pauses()
  const taking = take(bestFirst(source, { scoreOf, trustsAnybody: () => true, pause }, patient))
  source.answer(7)
  source.end()
  await expect.poll(lengths).toEqual([5_000])
  over(5_000)
  expect(await taking).toEqual([7])
})

test('an abort ends it, though some still wait for their turn', async () => {
  const source = aSource()
  const stop = new AbortController()
  const { pause, lengths } = pauses()
  const taking = take(bestFirst(source, { scoreOf, trustsAnybody: () => true, pause }, stop.signal))
  source.answer(7)
  await expect.poll(lengths).toEqual([5_000])
  source.end()
  stop.abort()
  expect(await taking).toEqual([])
})

test('a failure of the search is passed on', async () => {
  const source = aSource()
  const taking = take(bestFirst(source, { scoreOf, trustsAnybody: () => false, pause: pauses().pause }, patient))
  source.fail(new Error('the registry is closed'))
  await expect(taking).rejects.toThrow('the registry is closed')
})

test('a failure to rate a seeder is passed on too', async () => {
  const source = aSource()
  const rate = (): number => {
    throw new Error('the registry is closed')
  }
  const taking = take(bestFirst(source, { scoreOf: rate, trustsAnybody: () => false, pause: pauses().pause }, patient))
  source.answer(1)
  await expect(taking).rejects.toThrow('the registry is closed')
})
