// When a delegate proposes to decide, and what it signs that another proposes.
import { describe, expect, test } from 'vitest'
import { composeDecision, maySign } from './compose-decision.ts'
import { leastHeldPart, periodsUntilMembers } from './due.ts'
import { Desk } from './testing/desk.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'
import { hourMs } from './testing/village.ts'

const people = { alice: 'admin', bob: 'admin', carol: 'user', dave: 'user' } as const
const votingPeriodMs = 24 * hourMs

function aVillage(): PaperVillage {
  return new PaperVillage(people, { votingPeriodMs })
}

describe('a proposal', () => {
  test('is settled when its time is up, and was held for a quarter of the voting period, however it is dated', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const proposal = village.proposal('carol', upgradeTo('one'))
    village.ballots(proposal, { alice: 'yes', bob: 'yes' })
    const saidAt = proposal.record.fields.time
    expect(composeDecision(desk.now(saidAt), 'admins')).toBeUndefined()
    expect(composeDecision(desk.now(saidAt + votingPeriodMs - 1), 'admins')).toBeUndefined()
    expect(composeDecision(desk.now(saidAt + votingPeriodMs), 'admins')?.decision.settled).toMatchObject({
      outcome: 'accepted',
    })
    // Whoever hears of it late does not settle it at once.
    using late = new Desk(village)
    const heardAt = saidAt + 50 * votingPeriodMs
    expect(composeDecision(late.now(heardAt), 'admins')).toBeUndefined()
    expect(composeDecision(late.now(heardAt + leastHeldPart * votingPeriodMs - 1), 'admins')).toBeUndefined()
    expect(composeDecision(late.now(heardAt + leastHeldPart * votingPeriodMs), 'admins')).toBeDefined()
  })

  test('counts the ballots that were here in time; the last of them, not a later change of mind', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const proposal = village.proposal('carol', upgradeTo('one'))
    village.ballots(proposal, { alice: 'yes', bob: 'no' })
    village.ballots(proposal, { bob: 'yes' })
    desk.now(proposal.record.fields.time)
    const due = proposal.record.fields.time + votingPeriodMs
    const outcomeAt = (nowMs: number): unknown => composeDecision(desk.now(nowMs), 'admins')?.decision.settled
    expect(composeDecision(desk.now(due - 1), 'admins')).toBeUndefined()
    expect(outcomeAt(due)).toMatchObject({ outcome: 'accepted', ballots: { length: 2 } })
    village.ballots(proposal, { alice: 'no', bob: 'no', carol: 'no' })
    expect(outcomeAt(due + 1)).toMatchObject({ outcome: 'accepted', ballots: { length: 2 } })
  })

  test('on membership may be settled by all members four voting periods later, others never', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const admission = { kind: 'admit', identity: village.author('erin').identity, role: 'user' } as const
    const upgrade = village.proposal('carol', upgradeTo('one'))
    const proposal = village.proposal('carol', admission)
    for (const one of [upgrade, proposal]) village.ballots(one, { bob: 'yes', carol: 'yes', dave: 'yes' })
    const saidAt = proposal.record.fields.time
    desk.now(saidAt)
    expect(composeDecision(desk.now(saidAt), 'members')).toBeUndefined()
    // Not even when everybody voted.
    const all = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'yes' })
    const early = village.counted(proposal, all, { lies: { electorate: 'members' } })
    expect(maySign(desk.now(saidAt), 'members', early)).toBe(false)
    const from = saidAt + (1 + periodsUntilMembers) * votingPeriodMs
    expect(composeDecision(desk.now(from - 1), 'members')).toBeUndefined()
    expect(composeDecision(desk.now(from), 'members')?.decision.electorate).toBe('members')
    expect(composeDecision(desk.now(from), 'members')?.decision.settled).toMatchObject({ ballots: { length: 4 } })
    expect(maySign(desk.now(from), 'members', early)).toBe(true)
  })
})

describe('a delegate signs', () => {
  test('what follows from its contents and whose time has come, and nothing else', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const proposal = village.proposal('carol', upgradeTo('one'))
    const ballots = village.ballots(proposal, { alice: 'no', bob: 'no', carol: 'yes' })
    const due = proposal.record.fields.time + votingPeriodMs
    desk.now(proposal.record.fields.time)
    const right = village.counted(proposal, ballots, { outcome: 'rejected' })
    expect(maySign(desk.now(due - 1), 'admins', right)).toBe(false)
    expect(maySign(desk.now(due), 'admins', right)).toBe(true)
    expect(maySign(desk.now(due), 'members', right)).toBe(false)
    for (const wrong of [
      village.counted(proposal, ballots),
      village.counted(proposal, ballots, { outcome: 'rejected', lies: { position: 1 } }),
      village.counted(proposal, village.ballots(proposal, { mallory: 'no' }), { outcome: 'no-quorum' }),
    ]) {
      expect(maySign(desk.now(due), 'admins', wrong)).toBe(false)
    }
  })

  test('nothing that leaves out a ballot it held in time, or puts an older one of the voter in its place', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const proposal = village.proposal('carol', upgradeTo('one'))
    const ballots = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'no' })
    const [alices, bobs] = ballots
    const changed = village.ballots(proposal, { bob: 'no' })
    desk.now(proposal.record.fields.time)
    const due = proposal.record.fields.time + votingPeriodMs
    const whole = village.counted(proposal, [alices!, ballots[2]!, ...changed], { outcome: 'rejected' })
    const without = village.counted(proposal, [alices!, bobs!], { outcome: 'accepted' })
    const older = village.counted(proposal, ballots, { outcome: 'accepted' })
    expect(maySign(desk.now(due), 'admins', without)).toBe(false)
    expect(maySign(desk.now(due), 'admins', older)).toBe(false)
    expect(maySign(desk.now(due), 'admins', whole)).toBe(true)
  })

  test('what holds more than it held in time: another delegate held it, and its own list then takes that in', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const proposal = village.proposal('carol', upgradeTo('one'))
    const intime = village.ballots(proposal, { alice: 'yes', bob: 'yes' })
    desk.now(proposal.record.fields.time)
    const due = proposal.record.fields.time + votingPeriodMs
    expect(composeDecision(desk.now(due), 'admins')?.decision.settled).toMatchObject({ ballots: { length: 2 } })
    const later = village.ballots(proposal, { carol: 'yes' })
    expect(maySign(desk.now(due + 1), 'admins', village.counted(proposal, [...intime, ...later]))).toBe(true)
    expect(composeDecision(desk.now(due + 1), 'admins', 'in-time')?.decision.settled).toMatchObject({
      ballots: { length: 2 },
    })
    expect(composeDecision(desk.now(due + 1), 'admins', 'all-held')?.decision.settled).toMatchObject({
      ballots: { length: 3 },
    })
  })

  test('at once when everybody voted, and not a moment before', () => {
    const village = aVillage()
    using desk = new Desk(village)
    const proposal = village.proposal('carol', upgradeTo('one'))
    const three = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'yes' })
    const saidAt = proposal.record.fields.time
    expect(maySign(desk.now(saidAt), 'admins', village.counted(proposal, three))).toBe(false)
    const all = [...three, ...village.ballots(proposal, { dave: 'abstain' })]
    expect(maySign(desk.now(saidAt), 'admins', village.counted(proposal, all))).toBe(true)
  })
})
