import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MeshError } from '../protocol/index.ts'
import { superviseChild } from './index.ts'
import type { ChildOptions, ChildState, SupervisedChild } from './index.ts'

const entry = new URL('./testing/misbehaving-child.ts', import.meta.url)

/** A child that is gone after the test, and a way to wait for one of its states. */
function aChild(options: Partial<ChildOptions<unknown>> = {}) {
  const states: ChildState[] = []
  let wake: (() => void) | undefined
  const child = superviseChild({
    name: 'test',
    entry,
    backoffMs: [0],
    ...options,
    onState(state) {
      states.push(state)
      wake?.()
      options.onState?.(state)
    },
  })
  onTestFinished(async () => await child[Symbol.asyncDispose]())
  return {
    child,
    states,
    async until(holds: (states: ChildState[]) => boolean): Promise<void> {
      while (!holds(states)) await new Promise<void>((resolve) => (wake = resolve))
    },
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The parent is told of the end of a process by an event; for a grandchild there is none, so this one polls. */
async function gone(pid: number): Promise<void> {
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: unknown) => error,
  )

const pidOf = (child: SupervisedChild): Promise<number> => child.request<number>('pid', null)

describe('requests', () => {
  test('carry typed arrays, maps and big integers both ways', async () => {
    const { child } = aChild()
    const payload = { bytes: new Uint8Array([1, 2]), map: new Map([[1, 0.5]]), big: 1n << 60n, nothing: undefined }
    expect(await child.request('echo', payload)).toEqual(payload)
  })

  test('deliver the events of one request in order and before its result', async () => {
    const { child } = aChild()
    const seen: unknown[] = []
    const result = await child.request('count', 5, { onEvent: (event) => seen.push(event) })
    expect([...seen, result]).toEqual([1, 2, 3, 4, 5, 5])
  })

  test('events that belong to no request reach onEvent', async () => {
    const seen: unknown[] = []
    const { child } = aChild({ onEvent: (event) => seen.push(event) })
    await child.request('announce', { kind: 'peer', n: 1 })
    expect(seen).toEqual([{ kind: 'peer', n: 1 }])
  })

  test('a MeshError thrown by the handler arrives with code, message and details', async () => {
    const { child } = aChild()
    const error = await failure(child.request('refuse', null))
    expect(error).toBeInstanceOf(MeshError)
    expect(error).toMatchObject({
      code: 'rank-limit',
      details: { rank: 600 },
      message: expect.stringMatching(/^Rank 600/),
    })
  })

  test('details that cannot be cloned do not hide the refusal', async () => {
    const { child } = aChild()
    expect(await failure(child.request('refuseWithBadDetails', null))).toMatchObject({
      code: 'rank-limit',
      details: {},
    })
  })

  test('a bug in the handler arrives as a plain Error and the child lives on', async () => {
    const { child } = aChild()
    const pid = await pidOf(child)
    const error = await failure(child.request('bug', null))
    expect(error).not.toBeInstanceOf(MeshError)
    expect(error).toMatchObject({ message: 'TypeError: x is not a function' })
    expect(await pidOf(child)).toBe(pid)
  })

  test('an unknown request and a result that cannot be cloned are errors, not silence', async () => {
    const { child } = aChild()
    expect(await failure(child.request('constructor', null))).toMatchObject({
      message: expect.stringMatching(/No handler/),
    })
    expect(await failure(child.request('unclonable', null))).toMatchObject({
      message: expect.stringMatching(/could not be cloned/),
    })
    expect(await failure(child.request('echo', () => {}))).toMatchObject({
      message: expect.stringMatching(/could not be cloned/),
    })
  })
})

describe('abort', () => {
  test('of a request in flight rejects it at once and reaches the handler', async () => {
    const { promise: aborted, resolve: sawAbort } = Promise.withResolvers<void>()
    const { child } = aChild({ onEvent: (event) => event === 'saw the abort' && sawAbort() })
    const abort = new AbortController()
    const request = child.request('untilAborted', null, { signal: abort.signal, onEvent: () => abort.abort() })
    expect(await failure(request)).toMatchObject({ code: 'aborted' })
    await aborted
  })

  test('of a request that waits for the child drops it', async () => {
    const { child } = aChild()
    const abort = new AbortController()
    const request = child.request('exit', 7, { signal: abort.signal })
    abort.abort()
    expect(await failure(request)).toMatchObject({ code: 'aborted' })
    expect(await child.request('echo', 'still here')).toBe('still here')
  })

  test('before the request never reaches the child', async () => {
    const { child } = aChild()
    expect(await failure(child.request('exit', 7, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'aborted' })
    expect(await child.request('echo', 1)).toBe(1)
  })
})

describe('a child that dies', () => {
  test.for([
    ['exit', 3, { exitCode: 3 }, /exited with code 3/],
    ['killSelf', 'SIGKILL', { signal: 'SIGKILL' }, /was ended by SIGKILL/],
    ['crashWith', 'lost /home/someone/secret/model.gguf', { exitCode: 1 }, /Error: lost model\.gguf/],
  ] as const)(
    'by %s rejects what was in flight and serves the next request',
    async ([type, payload, details, pattern]) => {
      const { child } = aChild()
      const before = await pidOf(child)
      const other = failure(child.request('never', null))
      expect(await failure(child.request(type, payload))).toMatchObject({
        code: 'child-crashed',
        message: expect.stringMatching(pattern),
        details,
      })
      expect(await other).toMatchObject({ code: 'child-crashed' })
      expect(await pidOf(child)).not.toBe(before)
    },
  )

  test('hangs is ended after three unanswered pings', async () => {
    const { child } = aChild({ heartbeatMs: 200 })
    const error = await failure(child.request('hang', null))
    expect(error).toMatchObject({ code: 'child-crashed', message: expect.stringMatching(/stopped answering/) })
    expect(await child.request('echo', 2)).toBe(2)
  })

  test('is told again what a fresh one must know, before any waiting request', async () => {
    const { child } = aChild({
      onStart: async (fresh) => void (await fresh.request('remember', 'the address book')),
    })
    expect(await child.request('recall', null)).toBe('the address book')
    const crash = failure(child.request('exit', 1))
    expect(await child.request('recall', null).catch(() => child.request('recall', null))).toBe('the address book')
    expect(await crash).toMatchObject({ code: 'child-crashed' })
  })

  test('is restarted with growing pauses until it does some work again', async () => {
    const { child, states, until } = aChild({ backoffMs: [1, 2, 3], nowMs: () => 1000 })
    const pauses = (): number[] =>
      states.flatMap((state) => (state.kind === 'backing-off' ? [state.untilMs - 1000] : []))
    for (let i = 1; i <= 4; i++) {
      await failure(child.request('exit', 1))
      await until((states) => states.filter(({ kind }) => kind === 'running').length === i + 1)
    }
    expect(pauses()).toEqual([1, 2, 3, 3])
    await child.request('echo', 'work')
    await failure(child.request('exit', 1))
    expect(pauses()).toEqual([1, 2, 3, 3, 1])
  })

  test('that can never start rejects who waits, with the reason', async () => {
    const { child } = aChild({ args: ['die-at-start'] })
    const error = await failure(child.request('echo', 1))
    expect(error).toMatchObject({
      code: 'child-crashed',
      message: expect.stringMatching(/does not start.*no such library/),
    })
  })

  test('that does not get ready in time is ended', async () => {
    const { child } = aChild({ args: ['hang-at-start'], startTimeoutMs: 50 })
    expect(await failure(child.request('echo', 1))).toMatchObject({
      message: expect.stringMatching(/did not start in time/),
    })
  })

  test('whose set-up is refused rejects who waits, with the refusal as cause', async () => {
    const { child } = aChild({ onStart: async (fresh) => void (await fresh.request('refuse', null)) })
    const error = await failure(child.request('echo', 1))
    expect(error).toMatchObject({ code: 'child-crashed', cause: { code: 'rank-limit' } })
  })
})

describe('quarantine', () => {
  test('begins with the third crash for one input and leaves others alone', async () => {
    const { child } = aChild()
    const crash = (blame: string): Promise<unknown> => failure(child.request('exit', 1, { blame }))
    expect(await crash('bad')).toMatchObject({ code: 'child-crashed', details: { blame: 'bad', exitCode: 1 } })
    expect(await crash('bad')).toMatchObject({ code: 'child-crashed' })
    expect(await child.request('echo', 'good', { blame: 'good' })).toBe('good')
    expect(await crash('bad')).toMatchObject({ code: 'quarantined', details: { blame: 'bad', crashes: 3 } })
    const pid = await pidOf(child)
    expect(await failure(child.request('echo', 'x', { blame: 'bad' }))).toMatchObject({ code: 'quarantined' })
    expect(await pidOf(child)).toBe(pid)
    expect(await child.request('echo', 'good', { blame: 'good' })).toBe('good')
  })

  test('counts a crash of a request whose caller had already given up', async () => {
    const { child } = aChild()
    for (let i = 0; i < 3; i++) {
      const abort = new AbortController()
      const before = await pidOf(child)
      const request = child.request('untilAborted', null, {
        signal: abort.signal,
        blame: 'bad',
        onEvent: () => {
          // The child reads this before it reads of the abort.
          void failure(child.request('exit', 1))
          abort.abort()
        },
      })
      expect(await failure(request)).toMatchObject({ code: 'aborted' })
      while ((await failure(pidOf(child))) === before);
      await pidOf(child)
    }
    expect(await failure(child.request('echo', 1, { blame: 'bad' }))).toMatchObject({ code: 'quarantined' })
  })

  test('does not count a restart that was asked for', async () => {
    const { child } = aChild()
    for (let i = 0; i < 4; i++) {
      const request = failure(child.request('untilAborted', null, { blame: 'innocent' }))
      await child.request('echo', 1)
      await child.restart('memory')
      expect(await request).toMatchObject({
        code: 'child-crashed',
        message: expect.stringMatching(/was restarted: memory/),
      })
    }
  })
})

describe('the end', () => {
  test('restart gives one fresh process, whoever asks at the same time, and only when the old one is gone', async () => {
    const overlaps: number[] = []
    let before = 0
    const { child } = aChild({
      args: ['never-stops'],
      stopTimeoutMs: 1000,
      onState: ({ kind }) => kind === 'running' && before !== 0 && overlaps.push(Number(alive(before))),
    })
    before = await pidOf(child)
    const restarts = Promise.all([child.restart('one'), child.restart('two')])
    expect(child.state).toEqual({ kind: 'starting' })
    await restarts
    expect(await pidOf(child)).not.toBe(before)
    expect(overlaps).toEqual([0])
  })

  test('dispose lets the child finish in good order and may be called twice', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-supervisor-'))
    onTestFinished(async () => await rm(folder, { recursive: true }))
    const { child } = aChild({ args: [`stop-note=${join(folder, 'note')}`] })
    const pid = await pidOf(child)
    const inFlight = failure(child.request('untilAborted', null))
    await Promise.all([child[Symbol.asyncDispose](), child[Symbol.asyncDispose]()])
    await child[Symbol.asyncDispose]()
    expect(alive(pid)).toBe(false)
    expect(child.state).toEqual({ kind: 'stopped' })
    expect(await readFile(join(folder, 'note'), 'utf8')).toBe('stopped in good order')
    expect(await inFlight).toMatchObject({ code: 'aborted' })
    expect(await failure(child.request('echo', 1))).toMatchObject({ code: 'aborted' })
    expect(await failure(child.restart('x'))).toMatchObject({ code: 'aborted' })
  })

  test('dispose kills a child that does not stop', async () => {
    const { child } = aChild({ args: ['never-stops'], stopTimeoutMs: 50 })
    const pid = await pidOf(child)
    await child[Symbol.asyncDispose]()
    expect(alive(pid)).toBe(false)
  })

  test('dispose while starting, backing off and restarting leaves no process', async () => {
    const starting = aChild()
    await starting.child[Symbol.asyncDispose]()
    const backingOff = aChild({ backoffMs: [1 << 30] })
    const waiting = failure(backingOff.child.request('exit', 1)).then(() => backingOff.child.request('echo', 1))
    await backingOff.until((states) => states.some(({ kind }) => kind === 'backing-off'))
    const rejected = failure(waiting)
    await backingOff.child[Symbol.asyncDispose]()
    expect(await rejected).toMatchObject({ code: 'aborted' })
    const restarting = aChild()
    const pid = await pidOf(restarting.child)
    const restart = failure(restarting.child.restart('x'))
    await restarting.child[Symbol.asyncDispose]()
    expect(alive(pid)).toBe(false)
    expect(await restart).toMatchObject({ code: 'aborted' })
  })

  test('no child outlives a parent that was killed', async () => {
    const parent = spawn(process.execPath, [new URL('./testing/parent-that-dies.ts', import.meta.url).pathname])
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    expect(alive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await gone(pid)
  })
})

test('a child sees PATH and what it was given, and its output does not mix with ours', async () => {
  const { child } = aChild({ env: { GIVEN: 'yes' } })
  process.env['SECRET_OF_THE_PARENT'] = 'x'
  onTestFinished(() => void delete process.env['SECRET_OF_THE_PARENT'])
  await child.request('print', 'this goes nowhere')
  const names = Object.keys(await child.request<Record<string, string>>('environment', null))
  expect(names.filter((name) => !name.startsWith('NODE_CHANNEL')).toSorted()).toEqual(['GIVEN', 'PATH'])
})
