// Which of two certificates in one place counts, whichever comes first, and how far back.
import { describe, expect, test } from 'vitest'
import { toHex } from '../../protocol/index.ts'
import type { OpenedCertificate, ProposedAction } from '../../protocol/index.ts'
import { Database } from '../database.ts'
import { CommunityChain } from './community-chain.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'
import type { Names } from './testing/paper-village.ts'

const people = { alice: 'admin', bob: 'user', carol: 'user', dave: 'user' } as const

/** What so many say by themselves on top of what was decided, without it being decided in the village. */
function aside(village: PaperVillage, action: ProposedAction, by: readonly string[], electorate: 'admins' | 'members') {
  const proposal = village.proposal(by[0]!, action)
  const ballots = village.ballots(proposal, Object.fromEntries(by.map((name) => [name, 'yes'])))
  const decision = village.counted(proposal, ballots, { lies: { electorate } })
  return village.signed(decision, { by })
}

function admission(village: PaperVillage, name: string): ProposedAction {
  return { kind: 'admit', identity: village.author(name).identity, role: 'admin' }
}

function kinds(chain: CommunityChain, certificates: readonly OpenedCertificate[]): string[] {
  return certificates.map(({ sealed }) => chain.offer(sealed).kind)
}

function idsOf(chain: CommunityChain): string[] {
  return chain.certificates().map(({ id }) => toHex(id))
}

describe('what all members together decided', () => {
  function torn(names: Names = people) {
    const village = new PaperVillage(names, { quorum: 0 })
    const theirs = aside(village, admission(village, 'bob'), ['bob', 'carol', 'dave'], 'members')
    village.settle(aliceAlone(village, 'one'))
    village.settle(aliceAlone(village, 'two', 'one'))
    return { village, theirs }
  }

  function aliceAlone(village: PaperVillage, release: string, current?: string) {
    const proposal = village.proposal('alice', upgradeTo(release, current))
    return village.counted(proposal, village.ballots(proposal, { alice: 'yes' }))
  }

  test('counts instead of what vanished admins decided there and after it, whichever comes first', () => {
    const { village, theirs } = torn()
    for (const order of [
      [...village.certificates, theirs],
      [theirs, ...village.certificates],
    ]) {
      using database = new Database({ path: ':memory:' })
      const chain = new CommunityChain(database, village.genesis)
      kinds(chain, order)
      expect(idsOf(chain)).toEqual([toHex(theirs.id)])
      expect(chain.state.channels.size).toBe(0)
      expect(idsOf(new CommunityChain(database, village.genesis))).toEqual([toHex(theirs.id)])
    }
  })

  test('is not itself replaced by something else that they decide in that place', () => {
    const { village, theirs } = torn()
    using database = new Database({ path: ':memory:' })
    const chain = new CommunityChain(database, village.genesis)
    chain.offer(theirs.sealed)
    const start = new PaperVillage(people, { quorum: 0 })
    const other = aside(start, admission(start, 'carol'), ['bob', 'carol', 'dave'], 'members')
    expect(chain.offer(other.sealed).kind).toBe('refused')
  })
})

test('of two certificates by the same admins for one place the first that came stands', () => {
  const village = new PaperVillage(people, { quorum: 0 })
  const [one, two] = ['one', 'two'].map((release) => aside(village, upgradeTo(release), ['alice'], 'admins'))
  for (const [first, second] of [
    [one!, two!],
    [two!, one!],
  ] as const) {
    using database = new Database({ path: ':memory:' })
    const chain = new CommunityChain(database, village.genesis)
    expect(kinds(chain, [first, second, first])).toEqual(['appended', 'refused', 'known'])
  }
})

describe('the founder of a community that was alone at first', () => {
  test('cannot overturn what others have signed since, with the power of all members of then', () => {
    const village = new PaperVillage({ alice: 'admin' })
    const before = village.state
    for (const guest of ['bob', 'carol']) village.join('alice', guest)
    village.accept('alice', admission(village, 'bob'))
    village.accept('bob', { kind: 'remove', identity: village.author('alice').identity, reason: 'gone' })
    using database = new Database({ path: ':memory:' })
    const chain = new CommunityChain(database, village.genesis)
    expect(kinds(chain, village.certificates)).toEqual(village.certificates.map(() => 'appended'))
    const after = idsOf(chain)
    village.state = before
    const overturning = aside(village, admission(village, 'mallory'), ['alice'], 'members')
    expect(chain.offer(overturning.sealed)).toMatchObject({ kind: 'refused' })
    expect(idsOf(chain)).toEqual(after)
    expect(new CommunityChain(new Database({ path: ':memory:' }), village.genesis).offer(overturning.sealed).kind).toBe(
      'appended',
    )
  })
})
