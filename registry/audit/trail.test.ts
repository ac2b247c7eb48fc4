// The audit trail of communities that really decide, over real logs.
import { describe, expect, test } from 'vitest'
import { communityTopic, encodeBody, identityToText, toHex } from '../../protocol/index.ts'
import { ManualClock } from '../clock.ts'
import { hourMs, quiet, Village } from '../governance/testing/village.ts'
import { MemoryMesh } from '../memory-exchange.ts'
import { aLog, aRelease, anAuthor, baseA, identityOf, infohashOf } from '../testing/builders.ts'
import { RawPeer } from '../testing/raw-peer.ts'
import { trailType } from './trail-entry.ts'
import type { TrailEntry } from './trail-entry.ts'
import type { TrailFilter } from './trail.ts'
import { verifyLog } from './verify-log.ts'

const everything = { limit: 1_000, steps: true }

function trailOf(village: Village, on: string, filter: Partial<TrailFilter> = {}): readonly TrailEntry[] {
  return village.registry(on).audit.trail(village.id, { limit: 1_000, ...filter }).entries
}

const typesOf = (entries: readonly TrailEntry[]): string[] => entries.map(trailType)
const records = (entries: readonly TrailEntry[]) => entries.filter((entry) => entry.kind === 'record')

/** Alice publishes biology and everybody accepts it. */
async function decided(village: Village) {
  const release = aRelease(anAuthor('alice'), { name: 'biology', version: '1.8.0' })
  village.registry('alice').publishRelease(release, infohashOf(release))
  await quiet()
  const action = { kind: 'upgrade', capability: 'biology', base: baseA, release: release.releaseId } as const
  const proposal = await village.propose('alice', action)
  await village.vote(proposal, 'yes', 'alice', 'bob', 'carol')
  return { proposal, release }
}

const founders = { alice: 'admin', bob: 'admin', carol: 'user' } as const

describe('the trail', () => {
  test('tells what was published, proposed, voted and decided, in that order and the same on every node', async () => {
    await using village = await Village.found(new MemoryMesh(), founders)
    await decided(village)
    const told = trailOf(village, 'carol')
    const course = typesOf(told).filter((type) => type !== 'log')
    expect(course).toEqual(['release', 'proposal', 'ballot', 'ballot', 'ballot', 'certificate'])
    expect(told.at(-1)).toMatchObject({ kind: 'certificate', delegates: 2 })
    const ids = (on: string): string[] => trailOf(village, on, everything).map(({ id }) => toHex(id))
    expect(ids('alice').toSorted()).toEqual(ids('carol').toSorted())
  })

  test('leaves out the steps of the agreement, says how many, and shows them when asked', async () => {
    await using village = await Village.found(new MemoryMesh(), founders)
    await decided(village)
    const { stepsHidden, older } = village.registry('bob').audit.trail(village.id, { limit: 2 })
    expect(older).toBeGreaterThan(0)
    const steps = trailOf(village, 'bob', { types: new Set(['round', 'prevote', 'precommit']) })
    expect(steps).toHaveLength(stepsHidden)
    expect(stepsHidden).toBeGreaterThan(2)
    expect(trailOf(village, 'bob', everything)).toHaveLength(trailOf(village, 'bob').length + stepsHidden)
  })

  test('can be asked by whom, about what, of what kind and since when', async () => {
    await using village = await Village.found(new MemoryMesh(), founders)
    const { proposal, release } = await decided(village)
    const before = village.clock.now()
    await village.pass(hourMs)
    village.registry('bob').governance.invite(village.id, 'user')
    await quiet()
    const bob = identityToText(identityOf('bob'))
    expect(typesOf(trailOf(village, 'alice', { by: bob.slice(0, 8), types: new Set(['ballot', 'invite']) }))).toEqual([
      'ballot',
      'invite',
    ])
    const onProposal = ['proposal', 'ballot', 'ballot', 'ballot', 'certificate']
    expect(typesOf(trailOf(village, 'alice', { about: toHex(proposal).slice(0, 12) }))).toEqual(onProposal)
    const onRelease = ['release', ...onProposal]
    for (const about of ['biology', 'biology@1.8.0', toHex(release.releaseId)]) {
      expect(typesOf(trailOf(village, 'bob', { about }))).toEqual(onRelease)
    }
    expect(trailOf(village, 'bob', { about: 'chemistry' })).toEqual([])
    expect(typesOf(trailOf(village, 'bob', { sinceMs: before + 1 }))).toEqual(['invite'])
    expect(typesOf(trailOf(village, 'bob', { untilMs: before }))).not.toContain('invite')
  })

  test('shows nothing before what it answers, whatever the clocks say', async () => {
    await using village = await Village.found(new MemoryMesh(), founders)
    const proposal = await village.propose('alice', { kind: 'admit', identity: identityOf('dave'), role: 'user' })
    const slow = new ManualClock(village.clock.now() - hourMs)
    await village.stop('carol')
    await village.open('carol', { clock: slow, offline: true })
    await village.follow('carol', false)
    await village.vote(proposal, 'no', 'carol')
    const told = trailOf(village, 'bob', { types: new Set(['proposal', 'ballot']) })
    expect(typesOf(told)).toEqual(['proposal', 'ballot'])
    expect(told[1]!.time).toBeLessThan(told[0]!.time)
  })

  test('marks a ballot that was in time and that the certificate left out', async () => {
    await using village = await Village.found(new MemoryMesh(), { alice: 'admin', bob: 'user', carol: 'user' })
    const action = { kind: 'admit', identity: identityOf('dave'), role: 'user' } as const
    const proposal = await village.propose('alice', action)
    await village.vote(proposal, 'yes', 'alice', 'bob')
    await village.part(['carol'])
    await village.vote(proposal, 'no', 'carol')
    await village.pass(25 * hourMs)
    await village.heal()
    await village.pass(hourMs)
    const ballots = records(trailOf(village, 'carol', { types: new Set(['ballot']) }))
    const marks = ballots.map(({ author, mark }) => [toHex(author) === toHex(identityOf('carol')), mark?.kind])
    expect(marks.toSorted()).toEqual([
      [false, undefined],
      [false, undefined],
      [true, 'left-out'],
    ])
  })

  test('shows both records of a fork and what follows in their places, void', async () => {
    await using village = await Village.found(new MemoryMesh(), founders)
    const proposal = await village.propose('alice', { kind: 'admit', identity: identityOf('dave'), role: 'user' })
    await twoLogs(village, proposal)
    const voids = records(trailOf(village, 'alice')).filter(({ mark }) => mark?.kind === 'void')
    expect(voids.map(({ index, type, mark }) => [index, type, mark])).toEqual([
      [0, 'log/1', { kind: 'void', forkedAt: 0 }],
      [0, 'log/1', { kind: 'void', forkedAt: 0 }],
      [1, 'ballot/1', { kind: 'void', forkedAt: 0 }],
    ])
    expect(new Set(voids.map(({ id }) => toHex(id))).size).toBe(3)
    expect(voids.every(({ author }) => toHex(author) === toHex(identityOf('carol')))).toBe(true)
  })

  test('says of how many delegates a certificate was, also where all members overruled the admins', async () => {
    const roles = { alice: 'admin', bob: 'user', carol: 'user', dave: 'user' } as const
    await using village = await Village.found(new MemoryMesh({ shape: 'full' }), roles, { rules: { quorum: 0 } })
    await village.part(['alice'])
    const replacing = await village.propose('bob', { kind: 'admit', identity: identityOf('bob'), role: 'admin' })
    await village.vote(replacing, 'yes', 'bob', 'carol', 'dave')
    for (const name of ['bob', 'carol', 'dave']) village.registry(name).governance.allowSettling(village.id, true)
    const own = await village.propose('alice', { kind: 'admit', identity: identityOf('erin'), role: 'user' })
    await village.vote(own, 'yes', 'alice')
    await village.pass(7 * 24 * hourMs)
    const delegates = (): unknown => trailOf(village, 'alice', { types: new Set(['certificate']) })
    expect(delegates()).toMatchObject([{ delegates: 1 }])
    await village.heal()
    await village.pass(hourMs)
    expect(delegates()).toMatchObject([{ delegates: 4, certificate: { decision: { electorate: 'members' } } }])
  })

  test('exports what others can check, and come to the same state as this node', async () => {
    await using village = await Village.found(new MemoryMesh(), founders)
    await decided(village)
    await twoLogs(village, await village.propose('bob', { kind: 'admit', identity: identityOf('dave'), role: 'user' }))
    const { lines, total } = village.registry('bob').audit.export(village.id)
    const text = [...lines]
    const verdict = await verifyLog(pieces(text))
    expect(verdict).toMatchObject({ kind: 'whole', certificates: 1, forks: 1, lines: text.length })
    expect(verdict.kind === 'whole' && toHex(verdict.stateHash)).toBe(village.stateHash('bob'))
    // The first line, the last one, and the proof of the fork.
    expect(text).toHaveLength(total + 3)
  })
})

async function* pieces(lines: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const line of lines) yield Buffer.from(line)
}

/** Carol votes, and her keys sign another first record on a machine that doesn't know of it. */
async function twoLogs(village: Village, proposal: Uint8Array): Promise<void> {
  await village.vote(proposal, 'no', 'carol')
  await village.stop('carol')
  const carol = anAuthor('carol')
  const topic = communityTopic(village.id)
  const body = encodeBody('ballot/1', { proposal, choice: 'yes' })
  const other = aLog(carol, toHex(village.id), [{ type: 'ballot/1', body }])
  await using peer = await RawPeer.greet(village.mesh, topic)
  void peer.serve(other)
  await peer.sayHeads(topic, other)
  await quiet()
  await quiet()
}
