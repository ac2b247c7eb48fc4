// Kills processes that publish and vote, each at a moment of its own, and looks after every kill at what is left.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Dice } from '../../registry/agreement/testing/dice.ts'
import { readAcknowledgement, repeatable, statementsPerVersion } from './acknowledgement.ts'
import { Ledger } from './ledger.ts'

export const governUntilKilled = fileURLToPath(new URL('govern-until-killed.ts', import.meta.url))

export interface Toll {
  readonly kills: number
  /** Kills before the process had told of anything: while it started, opened the file, or found its peer. */
  readonly early: number
  /** Different statements that were told of. */
  readonly statements: number
  readonly decisions: number
  readonly problems: readonly string[]
}

/** When a process dies: so long after it told of so many statements, or after it was started. */
interface Moment {
  readonly told: number
  readonly laterMs: number
  /** Whether it begins by saying again what was told of, as one does who is not sure. */
  readonly again: boolean
}

const mostTold = 12
/** Longer than a process takes to begin, and longer than any one statement takes. */
const startMs = 800
const statementMs = 5
const patienceMs = 60_000

/** One village, killed so many times; its files grow from kill to kill. */
export async function killVillage(kills: number, seed: number): Promise<Toll> {
  const dice = new Dice(seed)
  const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-crash-'))
  try {
    const ledger = new Ledger()
    const problems: string[] = []
    let early = 0
    for (let kill = 0; kill < kills; kill++) {
      const life = await liveUntil(aMoment(dice), folder, ledger)
      if (life.told === 0) early++
      const found = [...life.problems, ...(await ledger.problems(folder))]
      problems.push(...found.map((problem) => `after kill ${kill + 1}: ${problem}`))
    }
    return { kills, early, statements: ledger.statements, decisions: ledger.decisions, problems }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function aMoment(dice: Dice): Moment {
  const told = dice.chance(0.2) ? 0 : dice.between(1, mostTold)
  const laterMs = told === 0 ? dice.below(startMs) : dice.below(statementMs * 100) / 100
  return { told, laterMs, again: dice.chance(0.5) }
}

function firstOf({ again }: Moment, next: number): number {
  const sinceRelease = next % statementsPerVersion
  return again && sinceRelease <= repeatable ? next - sinceRelease : next
}

async function liveUntil(moment: Moment, folder: string, ledger: Ledger) {
  const { told, laterMs } = moment
  const program = [governUntilKilled, folder, String(firstOf(moment, ledger.next))]
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const problems: string[] = []
  const timers = [
    setTimeout(() => {
      problems.push(`it was not as far as it was to come after ${patienceMs} ms`)
      child.kill('SIGKILL')
    }, patienceMs),
    ...(told === 0 ? [setTimeout(() => child.kill('SIGKILL'), laterMs)] : []),
  ]
  let lines = 0
  for await (const line of createInterface(child.stdout)) {
    const acknowledged = readAcknowledgement(line)
    if (acknowledged === undefined) continue
    ledger.add(acknowledged)
    lines++
    if (lines !== told) continue
    spin(laterMs)
    child.kill('SIGKILL')
  }
  const [code, signal] = (await exited) as [number | null, NodeJS.Signals | null]
  for (const timer of timers) clearTimeout(timer)
  if (signal !== 'SIGKILL') problems.push(`it ended by itself, with ${code ?? signal}`)
  return { told: lines, problems }
}

/** Timers are too coarse for the time between two statements. */
function spin(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}
