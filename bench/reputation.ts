// How long it takes to work out whom to trust, and what Sybils gain, for growing meshes. Run with `node bench/reputation.ts`.
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { standings } from '../registry/index.ts'
import type { Endorsement, Observation, Subject } from '../registry/index.ts'

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, commit ${commit}\n`)

const identity = (name: string | number): Subject => `identity:${name}`
const self = identity('self')

/** A full community in which each member measured releases of so many others well, and this node chose five and saw 1,000 peers. */
function fullCommunity(endorsedByEach: number): {
  chosen: Set<Subject>
  observed: Observation[]
  endorsements: Endorsement[]
} {
  const members = Array.from({ length: 256 }, (_, i) => i)
  const endorsements = members.flatMap((by) =>
    Array.from({ length: endorsedByEach }, (_, i): Endorsement => {
      const of = (by + 1 + i * 7) % members.length
      return { by: identity(by), of: identity(of), release: `${of} 1.0.0` }
    }),
  )
  const observed = Array.from({ length: 1_000 }, (_, i): Observation => {
    const seen = { goodBytes: 2 ** 20 * (i + 1), badBytes: 0, transfers: 1, seconds: 1, confirmed: 0, refuted: 0 }
    return { subject: `noise:${i}`, day: 0, ...seen }
  })
  return { chosen: new Set([0, 1, 2, 3, 4].map(identity)), observed, endorsements }
}

/** Member 17 is endorsed as the others are, and endorses Sybils only, which endorse each other. */
function withSybils(count: number): Endorsement[] {
  const sybil = (i: number): Subject => identity(`sybil ${i % count}`)
  return Array.from({ length: count }, (_, i): Endorsement[] => [
    { by: identity(17), of: sybil(i), release: `sybil ${i}` },
    { by: sybil(i), of: sybil(i + 1), release: `sybil ${i + 1}` },
    { by: sybil(i), of: identity(17), release: '17' },
  ]).flat()
}

for (const endorsedByEach of [4, 16, 64, 255]) {
  const community = fullCommunity(endorsedByEach)
  const begun = performance.now()
  const known = standings({ self, ...community }).all().length
  console.log(
    `256 members endorse ${endorsedByEach} each, 1,000 peers: ${known} ranked in ${(performance.now() - begun).toFixed(0)} ms`,
  )
}
console.log()
for (const count of [10, 100, 1_000, 10_000]) {
  const community = fullCommunity(16)
  const honest = community.endorsements.filter(({ by }) => by !== identity(17))
  const begun = performance.now()
  const view = standings({ self, ...community, endorsements: [...honest, ...withSybils(count)] })
  const ms = performance.now() - begun
  const sybils = view.all().filter(({ subject }) => subject.startsWith('identity:sybil'))
  const together = sybils.reduce((sum, { score }) => sum + score, 0)
  const one = view.of(identity(17)).score
  console.log(
    `${count} Sybils of a member with ${one.toFixed(4)}: together ${together.toFixed(4)}, ${ms.toFixed(0)} ms`,
  )
}
