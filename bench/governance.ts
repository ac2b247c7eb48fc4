// How long counting takes: a million ballots whose signatures were checked before. Run with `node bench/governance.ts [BALLOTS]`; exits 1 if
// the bound is missed.
import { execFileSync } from 'node:child_process'
import { cpus, loadavg } from 'node:os'
import { limits, sha256, utf8 } from '../protocol/index.ts'
import { startOfChain } from '../registry/governance/chain-state.ts'
import { asOpenProposal, countHeard } from '../registry/governance/due.ts'
import { hear, sortHeard } from '../registry/governance/heard.ts'
import type { SaidOf } from '../registry/governance/heard.ts'
import { anAuthor, baseA, identityOf } from '../registry/testing/builders.ts'
import { aGenesis } from '../testing/objects.ts'

const ballotsCount = Number(process.argv[2] ?? 1_000_000)
const tallyMaxMs = 5_000
const runs = 5

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine ${cpus().length} x ${cpus()[0]?.model}, node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`)
console.log(`commit  ${commit}`)

const names = Array.from({ length: limits.membersMax }, (_, i) => `member ${i}`)
const voters = names.map(identityOf)
const members = voters.map((identity, i) => ({ identity, role: i === 0 ? ('admin' as const) : ('user' as const) }))
const state = startOfChain(aGenesis({ members }, anAuthor(names[0]!)))
const choices = ['yes', 'no', 'abstain'] as const

let missed = false
for (const proposals of [1, 500]) measure(proposals)
process.exitCode = missed ? 1 : 0

function measure(proposalsCount: number): void {
  const proposals = Array.from({ length: proposalsCount }, (_, n) => aProposal(n))
  const ballots = Array.from({ length: ballotsCount }, (_, n) => aBallot(n, proposals[n % proposalsCount]!))
  const sorting: number[] = []
  const counting: number[] = []
  for (let run = 0; run < runs; run++) {
    const heard = sortHeard(proposals)
    sorting.push(timed(() => ballots.forEach((ballot) => hear(heard, ballot))))
    counting.push(
      timed(() => {
        const counted = proposals.map((said) => countHeard(state, heard, asOpenProposal(said)))
        const total = counted.reduce((sum, { ballots: last }) => sum + last.length, 0)
        if (total !== proposalsCount * voters.length) throw new Error(`${total} ballots counted`)
      }),
    )
  }
  const [sortMs, countMs] = [sorting, counting].map(middle)
  const ms = sortMs! + countMs!
  missed ||= ms > tallyMaxMs
  console.log(
    `${ballotsCount} ballots of ${voters.length} members on ${proposalsCount} proposals: sorted in ${sortMs!.toFixed(0)} ms, ` +
      `counted in ${countMs!.toFixed(0)} ms (together at most ${tallyMaxMs}, median of ${runs})${ms > tallyMaxMs ? '  MISSED' : ''}`,
  )
}

function aProposal(n: number): SaidOf<'proposal/1'> {
  const release = sha256(utf8(`release ${n}`))
  const action = { kind: 'upgrade' as const, capability: `skill-${n}`, base: baseA, release }
  const body = { action, membership: state.community, replaces: new Uint8Array(32) }
  return { ...placeOf(0, n), statement: { type: 'proposal/1', body } }
}

/** Members vote in turn; of several ballots of one on one proposal the last counts. */
function aBallot(n: number, proposal: SaidOf<'proposal/1'>): SaidOf<'ballot/1'> {
  const voter = Math.floor(n / Math.max(1, ballotsCount / voters.length)) % voters.length
  return {
    ...placeOf(voter, n),
    statement: { type: 'ballot/1', body: { proposal: proposal.id, choice: choices[n % 3]! } },
  }
}

function placeOf(voter: number, index: number) {
  const id = new Uint8Array(32)
  new DataView(id.buffer).setUint32(0, index)
  return { id, author: voters[voter]!, device: voters[voter]!, index, time: index }
}

function timed(work: () => void): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function middle(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!
}
