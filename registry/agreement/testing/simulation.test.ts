import { describe, expect, test } from 'vitest'
import {
  deafMachine,
  gullibleMachine,
  ledByOneMachine,
  majorityMachine,
  oneShortMachine,
  realMachine,
  unlockedMachine,
} from './faulty-machines.ts'
import { runSchedule } from './simulation.ts'
import type { Violation } from './ledger.ts'
import type { Outcome } from './simulation.ts'
import type { ScheduleOptions } from './world.ts'

const firstSeed = 1
/** Seconds on an idle machine; a busy one may take its time. */
const patienceMs = 240_000

function* schedules(count: number, options: Omit<ScheduleOptions, 'seed'>): Generator<Outcome & { seed: number }> {
  for (let seed = firstSeed; seed < firstSeed + count; seed++) yield { seed, ...runSchedule({ ...options, seed }) }
}

describe(
  'no schedule divides the delegates, stops them for good, or makes an honest one sign twice',
  { timeout: patienceMs },
  () => {
    test.each([
      [1, 300],
      [2, 300],
      [3, 300],
      [4, 7_000],
      [5, 300],
      [6, 300],
      [7, 3_000],
      [10, 100],
    ])('%i delegates, %i schedules', (delegates, count) => {
      const broken = [...schedules(count, { delegates, machine: realMachine })].filter(
        ({ violations }) => violations.length > 0,
      )
      expect(broken).toEqual([])
    })

    test('nothing is signed twice, and no two decisions made, if a crash loses messages of others at random', () => {
      const options = { delegates: 4, machine: realMachine, durable: 'others at random' } as const
      const broken = [...schedules(1_000, options)].flatMap(({ violations }) => violations)
      expect(broken.filter((violation) => violation !== 'no decision')).toEqual([])
    })
  },
)

describe('the schedules are hard', () => {
  const outcomes = [...schedules(500, { delegates: 7, machine: realMachine })]
  const share = (is: (outcome: Outcome) => boolean): number => outcomes.filter(is).length / outcomes.length

  test.each<[string, number, (outcome: Outcome) => boolean]>([
    ['go beyond the first round', 0.6, ({ rounds }) => Math.max(...rounds) > 0],
    ['go beyond the fourth round', 0.1, ({ rounds }) => Math.max(...rounds) > 3],
    ['see an honest process end and come back', 0.5, ({ restarts }) => restarts > 0],
    ['prove somebody guilty', 0.5, ({ accused }) => accused > 0],
    ['need messages a second time', 0.1, ({ heardAgain }) => heardAgain > 0],
    ['lock an honest delegate on a value that is not decided', 0.01, ({ vainLocks }) => vainLocks > 0],
  ])('many %s', (_, least, is) => {
    expect(share(is)).toBeGreaterThan(least)
  })

  test('a seed gives the same schedule to the last event', () => {
    const again = [...schedules(20, { delegates: 7, machine: realMachine })]
    expect(again).toEqual(outcomes.slice(0, 20))
  })
})

describe('the simulation catches', { timeout: patienceMs }, () => {
  test.each<[string, Violation, number, Omit<ScheduleOptions, 'seed'>]>([
    ['a quorum of more than half', 'two decisions', 400, { delegates: 7, machine: majorityMachine }],
    ['a quorum that is one short', 'two decisions', 200, { delegates: 4, machine: oneShortMachine }],
    ['a lock that is forgotten', 'two decisions', 1_000, { delegates: 7, machine: unlockedMachine }],
    [
      'values that were not checked',
      'an honest delegate voted for what it had not checked',
      20,
      { delegates: 4, machine: gullibleMachine },
    ],
    [
      'own messages that a crash loses',
      'an honest delegate signed twice',
      20,
      { delegates: 4, machine: realMachine, durable: 'nothing of its own' },
    ],
    ['a single delegate that leads the others on', 'no decision', 200, { delegates: 7, machine: ledByOneMachine }],
    [
      'messages let go and never asked for',
      'messages alone did not lead to the decision',
      200,
      { delegates: 4, machine: deafMachine },
    ],
    ['a half that misbehaves', 'two decisions', 500, { delegates: 4, misbehaving: 2, machine: realMachine }],
    ['a third that falls silent', 'no decision', 20, { delegates: 3, misbehaving: 1, machine: realMachine }],
  ])('%s', (_, violation, withinSchedules, options) => {
    const caught = schedules(withinSchedules, options).some(({ violations }) => violations.includes(violation))
    expect(caught).toBe(true)
  })
})
