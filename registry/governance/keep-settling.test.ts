// A delegate's node keeps at it: through a full disk, and through a flood of proposals.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isMeshError } from '../../protocol/index.ts'
import { MemoryMesh } from '../memory-exchange.ts'
import { maySign } from './compose-decision.ts'
import { openPerAuthor, openProposals } from './due.ts'
import { Desk } from './testing/desk.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'
import { hourMs, Village } from './testing/village.ts'

const day = 24 * hourMs

function fill(village: Village, name: string, proposal: Uint8Array): void {
  try {
    for (let i = 0; ; i++) village.registry(name).governance.comment(village.id, proposal, `${i} ${'x'.repeat(400)}`)
  } catch (error) {
    if (!isMeshError(error, 'disk-full')) throw error
  }
}

test('a delegate whose disk is full says so, tries again by itself, and decides when there is room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-full-'))
  try {
    const mesh = new MemoryMesh({ shape: 'full' })
    const paths = { alice: join(folder, 'registry.sqlite') }
    await using village = await Village.found(mesh, { alice: 'admin', bob: 'user' }, { paths })
    const proposal = await village.propose('bob', upgradeTo('one'))
    await village.vote(proposal, 'yes', 'bob')
    await village.stop('alice')
    await village.open('alice', { maxBytes: 400_000 })
    fill(village, 'alice', proposal)
    const failures = (): number => village.events.filter(({ event }) => event.kind === 'failed').length
    await village.pass(day)
    const before = failures()
    await village.pass(5 * 60_000)
    expect(before).toBeGreaterThan(0)
    expect(failures() - before).toBe(10)
    expect(village.decided('alice')).toEqual([])
    await village.stop('alice')
    await village.open('alice')
    await village.pass(hourMs)
    // So many records are verified by workers, which the clock of the village doesn't wait for.
    await village.registry('bob').until(() => village.decided('bob').length === 1, AbortSignal.timeout(20_000))
    expect(village.decided('bob')).toEqual(village.decided('alice'))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('of one author the oldest sixteen open proposals are taken up; void ones count nothing, and others have their own', () => {
  const village = new PaperVillage({ alice: 'admin', bob: 'user', mallory: 'user' }, { votingPeriodMs: day })
  using desk = new Desk(village)
  for (let i = 0; i < 5; i++) village.proposal('mallory', upgradeTo(`void ${i}`), { membership: new Uint8Array(32) })
  const flood = Array.from({ length: openPerAuthor + 4 }, (_, i) => village.proposal('mallory', upgradeTo(`${i}`)))
  const bobs = village.proposal('bob', upgradeTo('good'))
  const due = bobs.record.fields.time + 2 * day
  const taken = (): string[] => {
    const { state, heard } = desk.now(due)
    return openProposals(state, heard).map(({ id }) => Buffer.from(id).toString('hex'))
  }
  const ids = flood.map(({ record }) => Buffer.from(record.id).toString('hex'))
  expect(new Set(taken())).toEqual(
    new Set([...ids.slice(0, openPerAuthor), Buffer.from(bobs.record.id).toString('hex')]),
  )
  // It bounds what this node takes up by itself, not what may be decided.
  const beyond = flood.at(-1)!
  const decision = village.counted(beyond, village.ballots(beyond, { alice: 'yes', bob: 'yes' }))
  desk.now(beyond.record.fields.time)
  expect(maySign(desk.now(due), 'admins', decision)).toBe(false)
  expect(maySign(desk.now(due + day), 'admins', decision)).toBe(true)
  village.settle(village.counted(flood[0]!, [], { outcome: 'no-quorum' }))
  expect(taken()).not.toContain(ids[0])
  expect(taken()).toContain(ids[openPerAuthor])
})
