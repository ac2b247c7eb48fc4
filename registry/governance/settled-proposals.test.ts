// What is read again of decided proposals, and how much work that is.
import { describe, expect, test } from 'vitest'
import { encodeDecision, toHex } from '../../protocol/index.ts'
import type { EnclosedRecord } from '../../protocol/index.ts'
import { Communities, isKnown } from '../communities.ts'
import type { KnownCommunity } from '../communities.ts'
import { Database } from '../database.ts'
import { applyDecision, applyVerified } from './apply-decision.ts'
import { SettledProposals } from './settled-proposals.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'

const people = { alice: 'admin', bob: 'user', carol: 'user', dave: 'user' } as const

function known(village: PaperVillage): KnownCommunity {
  const community = new Communities(new Database({ path: ':memory:' })).learnGenesis(village.genesis)
  if (!isKnown(community)) throw new Error('its genesis was given')
  return community
}

/** Counts the decisions that were gone through. */
function counting() {
  const work = { decisions: 0 }
  const settled = new SettledProposals((state, decision) => {
    work.decisions++
    return applyVerified(state, decision)
  })
  return { work, settled }
}

/** Upgrades of one channel, the nth of which follows the one before; somebody joins in between. */
function grow(village: PaperVillage, from: number, to: number): void {
  for (let n = from; n < to; n++) {
    if (n % 5 === 0) village.join('alice', `guest ${n}`)
    village.accept('bob', upgradeTo(`release ${n}`, n === 0 ? undefined : `release ${n - 1}`))
  }
}

describe('reading what was decided', () => {
  test('goes through each decision once, and later only through what came since', () => {
    const village = new PaperVillage(people, { inviterCap: 100 })
    const community = known(village)
    const { work, settled } = counting()
    grow(village, 0, 40)
    for (const { sealed } of village.certificates) community.chain.offer(sealed)
    const all = settled.all(community)
    expect(all).toHaveLength(40)
    expect(work.decisions).toBe(48)
    settled.all(community)
    for (const { said } of all) expect(settled.get(community, said.id)).toBeDefined()
    expect(work.decisions).toBe(48)
    grow(village, 40, 41)
    for (const { sealed } of village.certificates.slice(48)) community.chain.offer(sealed)
    expect(settled.all(community)).toHaveLength(41)
    expect(work.decisions).toBe(50)
  })

  test('tells what was counted by the rules and members of then, and who could vote', () => {
    const village = new PaperVillage(people, { inviterCap: 100 })
    const community = known(village)
    grow(village, 0, 12)
    village.accept('alice', { kind: 'rule', rules: { ...village.state.rules, decision: 'consensus' } })
    for (const { sealed } of village.certificates) community.chain.offer(sealed)
    const { settled } = counting()
    const all = settled.all(community)
    expect(all.map(({ before }) => before.members.size)).toEqual([5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7])
    expect(all.map(({ counted }) => counted.voters)).toEqual(all.map(({ before }) => before.members.size))
    expect(all.map(({ counted }) => counted.ballots.length)).toEqual(all.map(({ counted }) => counted.voters))
    expect(new Set(all.map(({ before }) => before.rules.decision))).toEqual(new Set(['majority']))
    expect(all.map(({ certificate }) => toHex(certificate.id))).toEqual(
      village.certificates.flatMap(({ id, decision }) => (decision.settled.kind === 'proposal' ? [toHex(id)] : [])),
    )
  })

  test('forgets what was outranked, and tells what counts in its place', () => {
    const village = new PaperVillage(people, { quorum: 0 })
    const community = known(village)
    const bob = { kind: 'admit', identity: village.author('bob').identity, role: 'admin' } as const
    const proposal = village.proposal('bob', bob)
    const ballots = village.ballots(proposal, { bob: 'yes', carol: 'yes', dave: 'yes' })
    const decision = village.counted(proposal, ballots, { lies: { electorate: 'members' } })
    const theirs = village.signed(decision, { by: ['bob', 'carol', 'dave'] })
    const alone = village.proposal('alice', upgradeTo('one'))
    const hers = village.settle(village.counted(alone, village.ballots(alone, { alice: 'yes' })))
    const { settled } = counting()
    community.chain.offer(hers.sealed)
    expect(settled.all(community).map(({ said }) => said.id)).toEqual([alone.record.id])
    community.chain.offer(theirs.sealed)
    expect(settled.all(community).map(({ said }) => said.id)).toEqual([proposal.record.id])
    expect(settled.get(community, alone.record.id)).toBeUndefined()
  })
})

test('going through a decision again looks at no signature in it, and comes to the same state', () => {
  const village = new PaperVillage(people)
  const proposal = village.proposal('bob', upgradeTo('one'))
  const ballots = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'yes' })
  const decision = village.counted(proposal, ballots)
  expect(applyVerified(village.state, decision)).toEqual(applyDecision(village.state, decision))
  const unsigned = (enclosed: EnclosedRecord): EnclosedRecord => enclosed.with(9, new Uint8Array(64)) as EnclosedRecord
  const { settled } = decision.decision
  if (settled.kind !== 'proposal') throw new Error('a proposal was counted')
  const forged = encodeDecision({
    ...decision.decision,
    settled: { ...settled, ballots: settled.ballots.map(unsigned) },
  })
  expect(applyDecision(village.state, forged).kind).toBe('refused')
  expect(applyVerified(village.state, forged).kind).toBe('applied')
})
