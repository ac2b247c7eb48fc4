import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { next } from './child-state.ts'
import type { ChildEvent, ChildState } from './child-state.ts'

const anEvent: fc.Arbitrary<ChildEvent> = fc.oneof(
  fc.record({ kind: fc.constant('ready' as const), pid: fc.nat() }),
  fc.record({ kind: fc.constant('exited' as const), exit: fc.string(), retryAtMs: fc.nat() }),
  fc.constant({ kind: 'start' } as const),
  fc.constant({ kind: 'stop' } as const),
)
const after = (events: ChildEvent[]): ChildState => events.reduce<ChildState>(next, { kind: 'starting' })

test('whatever happens after a stop, a stopped child stays stopped', () => {
  fc.assert(
    fc.property(fc.array(anEvent), fc.array(anEvent), (before, later) => {
      expect(after([...before, { kind: 'stop' }, ...later])).toEqual({ kind: 'stopped' })
    }),
  )
})

test('only a starting child becomes ready, and its pid is the one that said so', () => {
  fc.assert(
    fc.property(fc.array(anEvent), fc.nat(), (events, pid) => {
      const state = after(events)
      const ready = next(state, { kind: 'ready', pid })
      expect(ready).toEqual(state.kind === 'starting' ? { kind: 'running', pid } : state)
    }),
  )
})

test('an exit is followed by a pause, and a second report of it does not lengthen the pause', () => {
  const once = next({ kind: 'running', pid: 1 }, { kind: 'exited', exit: 'exited with code 1', retryAtMs: 5 })
  expect(once).toEqual({ kind: 'backing-off', untilMs: 5, lastExit: 'exited with code 1' })
  expect(next(once, { kind: 'exited', exit: 'again', retryAtMs: 9 })).toBe(once)
  expect(next(once, { kind: 'start' })).toEqual({ kind: 'starting' })
})
