// Whether anything that was acknowledged is ever lost. A thousand processes that publish and vote are killed with SIGKILL at random
// moments, a hundred whole nodes while they answer HTTP; after each kill everything that was told of must be there once. Then the system
// calls of a process are traced: nothing is told of before it was synced to the disk.
// Run with `node bench/crash.ts [KILLS] [SEED] [NODE KILLS]`, by default 1,000 from seed 1 and 100; minutes. Exits 1 if anything was lost.
// The seed repeats what is said and when the kill is meant to come; where it then hits is the machine's affair.
import { execFileSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { killNode } from './crash/kill-node.ts'
import { killVillage } from './crash/kill-registries.ts'
import type { Toll } from './crash/kill-registries.ts'
import { traceStatements, whyNoTrace } from './crash/trace.ts'

const kills = Number(process.argv[2] ?? 1_000)
const seed = Number(process.argv[3] ?? 1)
const nodeKills = Number(process.argv[4] ?? 100)
/** Of one village; its files grow from kill to kill. */
const killsPerVillage = 50
const villagesAtOnce = 2
const tracedStatements = 80

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(
  `machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, load ${loadavg()[0]!.toFixed(1)}`,
)
console.log(`commit ${commit}, seed ${seed}\n`)

const problems: string[] = []
await measure(`${kills} kills of registries that publish and vote`, killVillages)
if (nodeKills > 0) await measure(`${nodeKills} kills of a whole node under HTTP requests`, killWholeNode)
await measure('the system calls of one that lives', traceOne)
for (const problem of problems) console.log(`BROKEN: ${problem}`)
console.log(problems.length === 0 ? '\nnothing acknowledged was lost or doubled' : `\n${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1

async function measure(what: string, work: () => Promise<string>): Promise<void> {
  const begun = performance.now()
  const found = await work()
  console.log(`${what}: ${found}, ${((performance.now() - begun) / 1_000).toFixed(0)} s`)
}

async function killVillages(): Promise<string> {
  const villages = Array.from({ length: Math.ceil(kills / killsPerVillage) }, (_, nth) => nth)
  const tolls: Toll[] = []
  const work = async (): Promise<void> => {
    for (let nth = villages.shift(); nth !== undefined; nth = villages.shift()) {
      const toll = await killVillage(Math.min(killsPerVillage, kills - nth * killsPerVillage), seed + nth)
      tolls.push(toll)
      problems.push(...toll.problems.map((problem) => `village ${nth}, ${problem}`))
    }
  }
  await Promise.all(Array.from({ length: villagesAtOnce }, work))
  const sum = (of: (toll: Toll) => number): number => tolls.reduce((total, toll) => total + of(toll), 0)
  return (
    `${sum(({ statements }) => statements)} statements acknowledged, ${sum(({ decisions }) => decisions)} decisions, ` +
    `${sum(({ early }) => early)} killed while they started, ${problems.length} problems`
  )
}

async function killWholeNode(): Promise<string> {
  const toll = await killNode(nodeKills, seed)
  problems.push(...toll.problems.map((problem) => `node, ${problem}`))
  const burnt = `${toll.versionsBurnt} versions burnt by a kill between keeping and announcing`
  return `${toll.answers} answers kept, ${toll.decisions} decisions, ${burnt}, ${toll.problems.length} problems`
}

async function traceOne(): Promise<string> {
  const why = whyNoTrace()
  if (why !== undefined) return `not looked at (${why})`
  const traced = await traceStatements(tracedStatements)
  problems.push(...traced.problems)
  return `${traced.told} acknowledgements, ${traced.told - traced.problems.length} after a sync of the file`
}
