// How long it takes to choose versions: 10,000 releases with three levels of requirements, from sorting them to the solution or to the
// paragraph that says why there is none; and how soon graphs made to be hard are given up. Run with `node bench/solver.ts`; exits 1 if a
// bar is missed.
import { execFileSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { defaultMaxSteps, groupReleases, solveReleases } from '../resolver/index.ts'
import type { Card, Solution, Wanted } from '../resolver/index.ts'

const runs = 15
/** Median milliseconds of the processor: on an idle machine no less than by the clock, on a busy one not stretched by others. */
const bar = 100

interface Graph {
  readonly label: string
  readonly cards: readonly Card[]
  readonly wanted: readonly Wanted[]
  /** What the answer has to be. */
  readonly kind: Solution['kind']
}

/** Names per level and versions per name; each release requires `requires` names of the next level. */
interface Shape {
  readonly levels: readonly number[]
  readonly versions: number
  readonly requires: number
  /** The part of requirements that ask for another major version than their own. */
  readonly strayShare: number
  readonly wishes: number
  readonly seed: number
}

const catalogue: Shape = {
  levels: [250, 250, 250, 250],
  versions: 10,
  requires: 2,
  strayShare: 0.05,
  wishes: 3,
  seed: 1,
}
const old: Shape = { levels: [10, 13, 13, 14], versions: 200, requires: 2, strayShare: 0, wishes: 10, seed: 2 }

const graphs: readonly Graph[] = [
  layered('1,000 names x 10 versions, 1 requirement in 20 strays', catalogue, 'solved'),
  layered('50 names x 200 versions, all agree', old, 'solved'),
  layered('50 names x 200 versions, 1 in 20 strays', { ...old, strayShare: 0.05 }, 'solved'),
  layered('50 names x 200 versions, 1 in 5 strays', { ...old, strayShare: 0.2 }, 'solved'),
  // It has a solution, found after 1.2 million steps: at half there is least to hold on to.
  layered('50 names x 200 versions, every second one strays', { ...old, strayShare: 0.5 }, 'too-hard'),
  contradictory('50 names x 200 versions, two wishes that contradict each other'),
  { ...pigeonholes(8), label: 'pigeonholes, 9 in 8' },
  { ...pigeonholes(40), label: 'pigeonholes, 41 in 40' },
]

const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()
const changes = git('status', '--porcelain', 'resolver', 'bench/solver.ts') === '' ? '' : ' with changes in resolver/'
console.log(
  `machine  ${cpus().length} x ${cpus()[0]?.model}, node ${process.version}, load ${loadavg()[0]!.toFixed(1)}`,
)
console.log(`commit   ${git('rev-parse', '--short', 'HEAD')}${changes}`)
console.log(`settings ${runs} runs each in turn after one to warm up; at most ${defaultMaxSteps} steps; seeds 1 and 2`)
console.log(`bar      median below ${bar} ms of the processor for 10,000 releases, but for what is given up\n`)

const times = graphs.map((): number[] => [])
const cpuTimes = graphs.map((): number[] => [])
const answers = graphs.map(({ cards, wanted }) => solveReleases(wanted, groupReleases(cards)))
for (let run = 0; run < runs; run++) {
  for (const [i, { cards, wanted }] of graphs.entries()) {
    const [start, cpuStart] = [performance.now(), process.cpuUsage()]
    solveReleases(wanted, groupReleases(cards))
    times[i]!.push(performance.now() - start)
    const { user, system } = process.cpuUsage(cpuStart)
    cpuTimes[i]!.push((user + system) / 1_000)
  }
}
let missed = 0
for (const [i, graph] of graphs.entries()) missed += report(graph, answers[i]!, sorted(times[i]!), sorted(cpuTimes[i]!))
process.exitCode = missed === 0 ? 0 : 1

/** Prints a line; 1 if the graph misses its bar or has another answer than it should. */
function report(
  { label, cards, kind }: Graph,
  answer: Solution,
  times: readonly number[],
  cpuTimes: readonly number[],
): number {
  const middle = Math.floor(runs / 2)
  const what = answer.kind === 'solved' ? `${answer.releases.size} releases` : answer.kind
  const bad = answer.kind !== kind || (kind !== 'too-hard' && cpuTimes[middle]! >= bar)
  console.log(
    `${label.padEnd(62)} ${String(cards.length).padStart(6)} releases -> ${what.padEnd(13)} ${String(answer.steps).padStart(6)} steps  ` +
      `median ${times[middle]!.toFixed(1)} ms (${times[0]!.toFixed(1)} to ${times.at(-1)!.toFixed(1)}), ` +
      `of the processor ${cpuTimes[middle]!.toFixed(1)} ms${bad ? '  MISSED' : ''}`,
  )
  if (answer.kind === 'unsatisfiable') console.log(`    ${answer.reason}`)
  return Number(bad)
}

function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b)
}

function layered(label: string, shape: Shape, kind: Solution['kind']): Graph {
  const pick = createPick(shape.seed)
  const majors = 10
  const cards = shape.levels.flatMap((names, level) =>
    Array.from({ length: names }, (_, name) =>
      Array.from({ length: shape.versions }, (_, version) => {
        const major = 1 + Math.floor((version * majors) / shape.versions)
        const below = shape.levels[level + 1]
        const requires = Array.from({ length: below === undefined ? 0 : shape.requires }, (_, i) => {
          const strays = pick(1_000) < shape.strayShare * 1_000
          return { name: nameOf(level + 1, (name * 7 + i) % below!), range: `^${strays ? 1 + pick(majors) : major}` }
        })
        return aCard(nameOf(level, name), `${major}.${version}.0`, requires)
      }),
    ).flat(),
  )
  return { label, cards, wanted: Array.from({ length: shape.wishes }, (_, i) => ({ key: nameOf(0, i) })), kind }
}

/** Two wishes whose requirements agree on no version three levels down. */
function contradictory(label: string): Graph {
  const { cards } = layered('', old, 'solved')
  const bound = cards.map((card) => ({
    ...card,
    requires: card.requires.map(({ name, range }) => ({
      name,
      range: name === nameOf(3, 0) ? contraryRange(card.name) : range,
    })),
  }))
  return {
    label,
    cards: bound,
    wanted: Array.from({ length: 10 }, (_, i) => ({ key: nameOf(0, i) })),
    kind: 'unsatisfiable',
  }
}

function contraryRange(name: string): string {
  return Number(name.split('-')[1]) % 4 === 0 ? '<5' : '>=5'
}

function pigeonholes(holes: number): Omit<Graph, 'label'> {
  const pigeons = Array.from({ length: holes + 1 }, (_, i) => i + 1)
  const places = pigeons.slice(1)
  const cards = pigeons.flatMap((pigeon) =>
    places.flatMap((hole) => [
      aCard(`pigeon-${pigeon}`, `${hole}.0.0`, [{ name: `hole-${hole}`, range: `${pigeon}.0.0` }]),
      aCard(`hole-${hole}`, `${pigeon}.0.0`, []),
    ]),
  )
  return { cards, wanted: pigeons.map((pigeon) => ({ key: `pigeon-${pigeon}` })), kind: 'too-hard' }
}

function nameOf(level: number, index: number): string {
  return `level${level}-${index}`
}

function aCard(name: string, version: string, requires: Card['requires']): Card {
  const id = `${name}@${version}`
  return { id, name, version, member: true, summary: '', capabilities: [], tags: [], bytes: 1, requires }
}

/** Whole numbers below a count, the same ones each time (a linear congruential generator modulo 2^31). */
function createPick(seed: number): (count: number) => number {
  let state = seed
  return (count) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >>> 8) % count
  }
}
