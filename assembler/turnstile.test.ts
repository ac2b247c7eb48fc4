import { expect, test } from 'vitest'
import { createTurnstile } from './turnstile.ts'

const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

test('tasks run one at a time in order of arrival, and a failed one lets the next one in', async () => {
  const turnstile = createTurnstile()
  const log: string[] = []
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const task = (name: string) => async () => {
    log.push(`${name} in`)
    if (name === 'a') await gate
    log.push(`${name} out`)
    if (name === 'b') throw new Error('b failed')
    return name
  }
  const all = [
    turnstile.pass(undefined, task('a')),
    failure(turnstile.pass(undefined, task('b'))),
    turnstile.pass(undefined, task('c')),
  ]
  open()
  expect(await Promise.all(all)).toEqual(['a', new Error('b failed'), 'c'])
  expect(log).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out'])
})

test('who gives up while waiting is out at once, is never let in, and does not let others in early', async () => {
  const turnstile = createTurnstile()
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const log: string[] = []
  const first = turnstile.pass(undefined, async () => {
    await gate
    log.push('first')
  })
  const abort = new AbortController()
  const second = failure(turnstile.pass(abort.signal, async () => log.push('second')))
  const third = turnstile.pass(undefined, async () => log.push('third'))
  abort.abort()
  expect(await second).toMatchObject({ code: 'aborted' })
  expect(log).toEqual([])
  open()
  await Promise.all([first, third])
  expect(log).toEqual(['first', 'third'])
  expect(await failure(turnstile.pass(AbortSignal.abort(), async () => log.push('never')))).toMatchObject({
    code: 'aborted',
  })
  expect(log).toEqual(['first', 'third'])
})
