// Whether delegates agree whatever the network and fewer than a third of them do: many simulated schedules in virtual time, half of them
// with four delegates and half with seven. Run with `node bench/agreement.ts [SCHEDULES] [FIRST SEED]`, by default 100,000 from seed 1;
// exits 1 if a property was broken and names the seeds, which repeat the schedules.
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { realMachine } from '../registry/agreement/testing/faulty-machines.ts'
import { runSchedule } from '../registry/agreement/testing/simulation.ts'
import type { Outcome } from '../registry/agreement/testing/simulation.ts'

const schedules = Number(process.argv[2] ?? 100_000)
const firstSeed = Number(process.argv[3] ?? 1)

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, commit ${commit}`)
console.log(`${schedules} schedules, seeds from ${firstSeed}\n`)

class Tally {
  broken = 0
  steps = 0
  readonly #byRound = new Map<number, number>()
  readonly #seen = new Map<string, number>()

  add({ violations, rounds, steps, restarts, accused, heardAgain, vainLocks }: Outcome): void {
    if (violations.length > 0) this.broken++
    this.steps += steps
    const last = Math.max(...rounds)
    this.#byRound.set(last, (this.#byRound.get(last) ?? 0) + 1)
    this.#note('an honest process ended and came back', restarts > 0)
    this.#note('a delegate was proven to misbehave', accused > 0)
    this.#note('messages let go were asked for again', heardAgain > 0)
    this.#note('an honest delegate was locked on a value that was not decided', vainLocks > 0)
    this.#note('decided in different rounds by different delegates', new Set(rounds).size > 1)
  }

  #note(what: string, happened: boolean): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + (happened ? 1 : 0))
  }

  lines(count: number): string[] {
    const rounds = [...this.#byRound].toSorted(([a], [b]) => a - b).map(([round, times]) => `${round}: ${times}`)
    const share = (times: number): string => `${((100 * times) / count).toFixed(1)}%`
    return [
      `decided in round ${rounds.join(', ')}`,
      ...[...this.#seen].map(([what, times]) => `${share(times)} ${what}`),
    ]
  }
}

let broken = 0
for (const delegates of [4, 7]) runAll(delegates, Math.ceil(schedules / 2))
process.exitCode = broken === 0 ? 0 : 1

function runAll(delegates: number, count: number): void {
  const tally = new Tally()
  const begun = performance.now()
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const outcome = runSchedule({ delegates, seed, machine: realMachine })
    tally.add(outcome)
    for (const violation of outcome.violations)
      console.log(`BROKEN: ${violation}, ${delegates} delegates, seed ${seed}`)
  }
  const seconds = (performance.now() - begun) / 1000
  broken += tally.broken
  console.log(
    `${delegates} delegates, up to ${Math.ceil(delegates / 3) - 1} misbehaving: ${count} schedules, ${tally.broken} broken, ` +
      `${seconds.toFixed(1)} s, ${Math.round(count / seconds)} schedules/s, ${Math.round(tally.steps / count)} events each`,
  )
  for (const line of tally.lines(count)) console.log(`  ${line}`)
}
