// The largest community there can be: whatever its members say fits into a decision, and its signatures into a certificate.
import { describe, expect, test } from 'vitest'
import { limits, sha256, utf8 } from '../../protocol/index.ts'
import type { CommunityRole } from '../../protocol/index.ts'
import { composeDecision, maySign } from './compose-decision.ts'
import { Desk } from './testing/desk.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'

describe(`a community of ${limits.membersMax} members`, () => {
  const names = Array.from({ length: limits.membersMax }, (_, i) => [`m${i}`, 'admin'] as [string, CommunityRole])
  const village = new PaperVillage(Object.fromEntries(names))
  village.accept('m0', { kind: 'suite', capability: 'biology', suite: sha256(utf8('questions')) })

  test('settles an upgrade on which all voted, with all receipts that a decision may hold, all delegates signing', () => {
    const proposal = village.proposal('m1', upgradeTo('one'))
    const ballots = village.ballots(proposal, Object.fromEntries(village.members.map((name) => [name, 'yes'])))
    const measured = village.members.slice(0, limits.receiptsPerDecisionMax)
    const receipts = village.receipts(
      proposal,
      measured.map((by) => ({ by, difference: 100_000, standardError: 10_000 })),
    )
    const certificate = village.settle(village.counted(proposal, ballots, { receipts }), { round: limits.roundMax })
    expect(certificate.bytes.length).toBeLessThanOrEqual(limits.decisionMaxBytes)
    expect(certificate.sealed.length).toBeLessThanOrEqual(limits.communityCertificateMaxBytes)
    expect(certificate.sealed.length).toBeGreaterThan(limits.communityCertificateMaxBytes / 2)
  })

  test('comes to a decision also when everybody measured an upgrade: as many receipts count as fit', () => {
    const proposal = village.proposal('m1', upgradeTo('two', 'one'))
    village.ballots(proposal, Object.fromEntries(village.members.map((name) => [name, 'yes'])))
    const metric = 'm'.repeat(limits.nameMaxChars)
    const measured = village.members.map((by) => ({ by, difference: 4_000_000_000, standardError: 4_000_000_000 }))
    village.receipts(proposal, measured, { metric, n: 4_000_000_000, valueError: 4_000_000_000 })
    using desk = new Desk(village)
    const now = desk.now(proposal.record.fields.time)
    const decision = composeDecision(now, 'admins')
    const settled = decision?.decision.settled
    if (decision === undefined || settled?.kind !== 'proposal') throw new Error('nothing was decided')
    expect(settled.ballots).toHaveLength(limits.membersMax)
    expect(settled.receipts.length).toBeGreaterThan(30)
    expect(settled.receipts.length).toBeLessThan(limits.membersMax)
    expect(maySign(now, 'admins', decision)).toBe(true)
  })

  test('takes nobody more in', () => {
    const applied = village.tried(village.roll([village.invitation('m3', 'one more')]))
    expect(applied).toMatchObject({ kind: 'refused', why: 'The community is full.' })
  })
})
