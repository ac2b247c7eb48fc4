// One schedule from its seed: honest delegates, one observer and an adversary in a network that is bad until it heals, in virtual time.
// The same seed gives the same schedule, to the last message.
import { unleashAdversary } from './adversary.ts'
import { HonestParty } from './honest-party.ts'
import { World } from './world.ts'
import type { AgreementEvent, Heard, Value } from '../index.ts'
import type { Violation } from './ledger.ts'
import type { Machine, ScheduleOptions } from './world.ts'

export interface Outcome {
  readonly violations: readonly Violation[]
  readonly value: Value | undefined
  /** The rounds in which the parties found it decided. */
  readonly rounds: readonly number[]
  readonly ticks: number
  /** Events the machines were told. */
  readonly steps: number
  readonly restarts: number
  readonly heardAgain: number
  /** Misbehaving delegates that were proven so. */
  readonly accused: number
  /** Precommits of honest delegates for a value that was not decided. */
  readonly vainLocks: number
}

/** Far more than it takes: timeouts exceed the delays after the heal by then many times over. */
const ticksAfterHeal = 20_000

export function runSchedule(options: ScheduleOptions): Outcome {
  const world = new World(options)
  const { ledger, agenda, delegates } = world
  // The last one observes.
  const parties = Array.from({ length: delegates + 1 }, (_, index) => index)
    .filter((index) => world.isHonest(index))
    .map((index) => new HonestParty(index, world, options.machine))
  const watch = unleashAdversary(world, parties)
  for (const party of parties) {
    const others = parties.filter((other) => other !== party)
    party.begin(others, watch)
  }
  const isOver = (): boolean => ledger.decisions.size === parties.length || ledger.violations.length > 0
  agenda.run(world.healAt + ticksAfterHeal, isOver)
  if (!isOver()) ledger.violations.push('no decision')
  const [decision] = ledger.decisions.values()
  const all = world.dice.shuffled([...new Set(parties.flatMap(({ stored }) => stored))])
  if (ledger.violations.length === 0 && decisionFrom(all, delegates, options.machine) !== decision?.value) {
    ledger.violations.push('messages alone did not lead to the decision')
  }
  return {
    violations: ledger.violations,
    value: decision?.value,
    rounds: [...ledger.decisions.values()].map(({ round }) => round),
    ticks: agenda.now,
    steps: ledger.steps,
    restarts: ledger.restarts,
    heardAgain: ledger.heardAgain,
    accused: ledger.accused.size,
    vainLocks: ledger.vainLocks(),
  }
}

/** What a newcomer makes of the messages, in the order in which they are given. */
function decisionFrom(messages: readonly Heard[], delegates: number, machine: Machine): Value | undefined {
  let state = machine.start({ delegates, self: undefined, roundsAhead: 1 })
  const events = messages.map((heard): AgreementEvent => ({ kind: 'message', ...heard }))
  for (let at = 0; at < events.length && state.decided === undefined; at++) {
    const transition = machine.next(state, events[at]!)
    state = transition.state
    for (const action of transition.actions) {
      if (action.kind !== 'hear-again') continue
      const wanted = messages.filter(
        ({ message: { round } }) => round >= action.fromRound && round <= action.throughRound,
      )
      events.push(...wanted.map((heard): AgreementEvent => ({ kind: 'message', ...heard })))
    }
  }
  return state.decided?.value
}
