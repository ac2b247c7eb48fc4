// Look-alike names: how long one name takes among 10,000 known ones, and how many genuine pairs are flagged without need. That 99 in 100 of
// 1,000 disguised names are found is a test (protocol/look-alike.test.ts). Run with `node bench/look-alike.ts`; exits 1 if the bar is missed.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { z } from 'zod'
import { capabilities } from '../fixtures/world/world.ts'
import { indexLookAlikes, lookAlikes } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'

const runs = 25
/** Median milliseconds of the processor for one question with nothing prepared; others' work on the machine doesn't stretch them. */
const bar = 20

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(
  `machine  ${cpus().length} x ${cpus()[0]?.model}, node ${process.version}, load ${loadavg()[0]!.toFixed(1)}`,
)
console.log(`commit   ${commit}; ${runs} runs each after one to warm up\n`)

const known = tenThousandNames()
const index = indexLookAlikes(known)
const alone = times(() => lookAlikes('bi0logy-for-poets', known))
console.log(
  `one name against ${known.length}: ${shown(alone)}${alone.processor < bar ? '' : '  MISSED'} (bar ${bar} ms)`,
)
console.log(`one more with the names prepared: ${shown(times(() => index.of('bi0logy-for-poets')))}`)
process.exitCode = alone.processor < bar ? 0 : 1

console.log('\ngenuine pairs flagged')
report(
  'the small world',
  capabilities.map(({ name }) => name),
)
if (kit.present) {
  report("the kit's personas", namesIn('dev-personas.json', 'name'))
  report("the kit's sciences", namesIn('arxiv-taxonomy.json', 'name'))
  report("the kit's tasks, most of them numbered", namesIn('dev-tasks.json', 'task'))
}

interface Times {
  readonly clock: number
  readonly processor: number
}

/** Medians, milliseconds. */
function times(action: () => unknown): Times {
  action()
  const all = Array.from({ length: runs }, (): Times => {
    const [start, cpuStart] = [performance.now(), process.cpuUsage()]
    action()
    const { user, system } = process.cpuUsage(cpuStart)
    return { clock: performance.now() - start, processor: (user + system) / 1_000 }
  })
  return { clock: median(all.map(({ clock }) => clock)), processor: median(all.map(({ processor }) => processor)) }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

function shown({ clock, processor }: Times): string {
  return `median ${clock.toFixed(1)} ms, of the processor ${processor.toFixed(1)} ms`
}

function report(label: string, names: readonly string[]): void {
  const distinct = [...new Set(names)]
  const its = indexLookAlikes(distinct)
  const pairs = distinct.flatMap((name) =>
    its.of(name).flatMap((alike) => (name < alike.name ? [`${name} ~ ${alike.name} (${alike.why})`] : [])),
  )
  const count = (distinct.length * (distinct.length - 1)) / 2
  const examples = pairs.length === 0 ? '' : `, such as ${pairs.slice(0, 3).join(', ')}`
  console.log(`  ${label}: ${pairs.length} of ${count}${examples}`)
}

function namesIn(file: string, field: 'name' | 'task'): string[] {
  const entries = z
    .array(z.looseObject({ [field]: z.string() }))
    .parse(JSON.parse(readFileSync(kit.path('resolver', file), 'utf8')))
  return entries.map((entry) =>
    String(entry[field])
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-'),
  )
}

function tenThousandNames(): string[] {
  const subjects =
    'biology chemistry physics medicine law history music wine poetry botany geology algebra grammar logic trade film'
  const uses = 'for of in on at by with as to'
  const people =
    'poets pilots farmers judges nurses bakers sailors teachers singers miners weavers tailors painters hunters smiths brewers'
  const words = [subjects, uses, people].map((line) => line.split(' '))
  const combined = words[0]!.flatMap((a) => words[1]!.flatMap((b) => words[2]!.map((c) => `${a}-${b}-${c}`)))
  return [
    ...combined,
    ...combined.flatMap((name) => ['old', 'new', 'plain', 'quick'].map((word) => `${word}-${name}`)),
  ].slice(0, 10_000)
}
