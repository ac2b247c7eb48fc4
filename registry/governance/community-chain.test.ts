// Which of two branches counts, whichever comes first, and how far back.
import { describe, expect, test } from 'vitest'
import { encodeCanonical, decodeCanonical, toHex } from '../../protocol/index.ts'
import type { OpenedCertificate, ProposedAction } from '../../protocol/index.ts'
import { Database } from '../database.ts'
import { CommunityChain } from './community-chain.ts'
import type { CertificateOutcome } from './community-chain.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'
import type { Names } from './testing/paper-village.ts'

const people = { alice: 'admin', bob: 'user', carol: 'user', dave: 'user' } as const
const others = ['bob', 'carol', 'dave']
const seven = { ...people, erin: 'user', frank: 'user', gina: 'user' } as const

function aVillage(names: Names = people): PaperVillage {
  return new PaperVillage(names, { quorum: 0 })
}

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

/** Alice settles what these voted for; the next one is on the same channel, and so names the one before. */
function settleUpgrade(village: PaperVillage, nth: number, voters: readonly string[]): OpenedCertificate {
  const action = upgradeTo(`release ${nth}`, nth === 0 ? undefined : `release ${nth - 1}`)
  const proposal = village.proposal(voters[0]!, action)
  return village.settle(village.counted(proposal, village.ballots(proposal, Object.fromEntries(yes(voters)))))
}

function yes(voters: readonly string[]): [string, 'yes'][] {
  return voters.map((name) => [name, 'yes'])
}

/** What these decide where the village stands now, and what happens after it; the village goes back to where it was. */
function branch(village: PaperVillage, grow: () => void): OpenedCertificate[] {
  const { state } = village
  const from = village.certificates.length
  grow()
  village.state = state
  return village.certificates.splice(from)
}

function overruling(village: PaperVillage, by: readonly string[], more: () => void = () => undefined) {
  return branch(village, () => {
    const proposal = village.proposal(by[0]!, admission(village, by[0]!))
    const ballots = village.ballots(proposal, Object.fromEntries(yes(by)))
    village.settle(village.counted(proposal, ballots, { lies: { electorate: 'members' } }), { by })
    more()
  })
}

function aChain(village: PaperVillage): CommunityChain {
  return new CommunityChain(new Database({ path: ':memory:' }), village.genesis)
}

/** As a peer that holds this chain shows it; what became of the last that was looked at. */
function show(chain: CommunityChain, certificates: readonly OpenedCertificate[]): CertificateOutcome['kind'] {
  for (const [i, { sealed }] of certificates.entries()) {
    const outcome = chain.offer(sealed)
    if (outcome.kind === 'refused' || outcome.kind === 'gap') return outcome.kind
    if (outcome.kind === 'other-branch') {
      return chain.offerBranch(certificates.slice(i).map((one) => one.sealed)).kind
    }
  }
  return 'appended'
}

function idsOf(certificates: readonly { readonly id: Uint8Array }[]): string[] {
  return certificates.map(({ id }) => toHex(id))
}

/** Shown both in either order, as often as one likes, nodes come to hold `expected`. */
function expectBothOrders(village: PaperVillage, branches: [OpenedCertificate[], OpenedCertificate[]], nth: 0 | 1) {
  const [one, two] = branches
  for (const order of [
    [one, two, one, two],
    [two, one, two, one],
  ]) {
    const chain = aChain(village)
    for (const shown of order) show(chain, shown)
    expect(idsOf(chain.certificates())).toEqual(idsOf(branches[nth]))
  }
}

describe('where an admin vanished, what all members together decided', () => {
  const aliceAlone = (village: PaperVillage, count: number): OpenedCertificate[] =>
    branch(village, () => {
      for (let n = 0; n < count; n++) settleUpgrade(village, n, ['alice'])
    })

  test.each([1, 2, 25])('counts instead of %i decisions of hers alone, whichever comes first', (count) => {
    const village = aVillage()
    expectBothOrders(village, [aliceAlone(village, count), overruling(village, others)], 1)
  })

  test('counts also after a restart', () => {
    const village = aVillage()
    using database = new Database({ path: ':memory:' })
    const theirs = overruling(village, others)
    const chain = new CommunityChain(database, village.genesis)
    show(chain, aliceAlone(village, 3))
    expect(chain.offer(theirs[0]!.sealed)).toEqual({ kind: 'outranked', from: 0 })
    expect(chain.state.channels.size).toBe(0)
    const fresh = new CommunityChain(database, village.genesis)
    expect(idsOf(fresh.certificates())).toEqual(idsOf(theirs))
    expect(fresh.state).toEqual(chain.state)
  })

  test('counts although the decision of hers holds the ballots of all, cast before she vanished', () => {
    const village = aVillage()
    const late = branch(village, () => settleUpgrade(village, 0, ['alice', ...others]))
    expectBothOrders(village, [late, overruling(village, others)], 1)
  })

  test('is not held off, nor undone later, by decisions that she builds on with people of her own making', () => {
    const village = aVillage()
    const secret = branch(village, () => {
      village.join('alice', 'mallory')
      village.join('mallory', 'trent')
      for (let n = 0; n < 3; n++) settleUpgrade(village, n, ['mallory', 'trent', 'alice'])
    })
    const theirs = overruling(village, others, () => village.join('carol', 'erin'))
    expectBothOrders(village, [secret, theirs], 1)
  })

  test('is kept from those only who heard first of as many such people as members back it', () => {
    const village = aVillage()
    const made = ['mallory', 'trent', 'walter']
    const secret = branch(village, () => {
      for (const name of made) village.join('alice', name)
      settleUpgrade(village, 0, made)
    })
    const theirs = overruling(village, others)
    for (const [first, second] of [
      [theirs, secret],
      [secret, theirs],
    ] as const) {
      const chain = aChain(village)
      show(chain, first)
      show(chain, second)
      expect(idsOf(chain.certificates())).toEqual(idsOf(first))
    }
  })

  test('is not held off by signatures of strangers under what she decided', () => {
    const village = aVillage()
    const strangers = ['mallory', 'trent', 'walter', 'oscar']
    const hers = branch(village, () => {
      for (let n = 0; n < 3; n++) {
        const proposal = village.proposal('alice', { ...upgradeTo('one'), capability: `skill-${n}` })
        const decision = village.counted(proposal, village.ballots(proposal, { alice: 'yes' }))
        village.settle(decision, { by: ['alice', ...strangers] })
      }
    })
    expectBothOrders(village, [hers, overruling(village, others)], 1)
  })

  test('is not itself replaced by something else that they decide in that place', () => {
    const village = aVillage()
    const chain = aChain(village)
    show(chain, overruling(village, others))
    const other = aside(village, admission(village, 'carol'), ['carol', 'bob', 'dave'], 'members')
    expect(chain.offer(other.sealed)).toMatchObject({ kind: 'other-branch', parted: 'here' })
  })
})

describe('a community torn in two, in which both parts went on,', () => {
  test('is in the end what more than two thirds of its members decided, whoever hears what first', () => {
    const village = aVillage(seven)
    const few = branch(village, () => {
      for (let n = 0; n < 4; n++) settleUpgrade(village, n, ['alice', 'bob'])
      village.join('bob', 'heidi')
      settleUpgrade(village, 4, ['heidi', 'bob'])
    })
    const most = overruling(village, ['carol', 'dave', 'erin', 'frank', 'gina'], () => village.join('carol', 'ivan'))
    expectBothOrders(village, [few, most], 1)
  })
})

describe('what a third of the members built on', () => {
  function living() {
    const village = aVillage(seven)
    const lived = branch(village, () => {
      for (let n = 0; n < 3; n++) settleUpgrade(village, n, ['alice', 'bob', 'carol'])
    })
    return { village, lived }
  }

  test('stands against what the same members sign later in an earlier place, whoever hears what first', () => {
    const { village, lived } = living()
    expectBothOrders(village, [lived, overruling(village, ['bob', 'carol', 'dave', 'erin', 'frank'])], 0)
  })

  test('is the place from which on they may: what nobody built on yet can be outranked', () => {
    const { village, lived } = living()
    const chain = aChain(village)
    show(chain, lived)
    village.state = chain.stateAt(2)
    expect(show(chain, overruling(village, ['bob', 'carol', 'dave', 'erin', 'frank']))).toBe('appended')
    expect(chain.length).toBe(3)
  })

  test('does not count where a signature in it is wrong', () => {
    const { village, lived } = living()
    const chain = aChain(village)
    show(chain, overruling(village, ['bob', 'carol', 'dave', 'erin', 'frank']))
    const before = idsOf(chain.certificates())
    const forged = [...lived.slice(0, 2).map(({ sealed }) => sealed), withBadSignatures(lived[2]!)]
    expect(() => chain.offerBranch(forged)).toThrow(expect.objectContaining({ code: 'bad-signature' }))
    expect(idsOf(chain.certificates())).toEqual(before)
  })
})

describe('the few members of the first days', () => {
  /** Of 25 certificates, in a community of 14; none of the first members but the admin ever spoke. */
  function livingVillage() {
    const village = aVillage()
    const newcomers = Array.from({ length: 10 }, (_, i) => `guest ${i}`)
    const lived = branch(village, () => {
      for (const [i, guest] of newcomers.entries()) village.join(i < 5 ? 'alice' : others[i % 3]!, guest)
      for (let n = 0; n < 15; n++) settleUpgrade(village, n, newcomers)
    })
    return { village, lived }
  }

  test('cannot wipe out a community that lives, where they had kept silent', () => {
    const { village, lived } = livingVillage()
    const chain = aChain(village)
    expect(show(chain, lived)).toBe('appended')
    expect([chain.length, chain.state.members.size]).toEqual([25, 14])
    const [wipe] = overruling(village, others)
    expect(chain.offer(wipe!.sealed)).toMatchObject({ kind: 'other-branch', parted: 'here' })
    expect(idsOf(chain.certificates())).toEqual(idsOf(lived))
  })

  test('cannot where they had spoken; not even a node that heard them first stays with them', () => {
    const village = aVillage()
    const lived = branch(village, () => {
      village.join('alice', 'erin')
      for (let n = 0; n < 5; n++) settleUpgrade(village, n, ['alice', 'bob', 'erin'])
    })
    expectBothOrders(village, [lived, overruling(village, others)], 0)
  })

  test('cannot alone: a founder by itself has no more weight as all members than as their admin', () => {
    const village = aVillage({ alice: 'admin' })
    const mine = aside(village, admission(village, 'mallory'), ['alice'], 'members')
    const lived = branch(village, () => village.join('alice', 'bob'))
    const chain = aChain(village)
    show(chain, lived)
    expect(chain.offer(mine.sealed)).toMatchObject({ kind: 'other-branch' })
    for (const guest of ['carol', 'dave']) village.join('alice', guest)
    expect(aChain(village).offer(mine.sealed).kind).toBe('appended')
  })
})

test('of two certificates by the same admins for one place the first that came stands', () => {
  const village = aVillage()
  const [one, two] = ['one', 'two'].map((release) => aside(village, upgradeTo(release), ['alice'], 'admins'))
  for (const [first, second] of [
    [one!, two!],
    [two!, one!],
  ] as const) {
    const chain = aChain(village)
    const kinds = [first, second, first].map(({ sealed }) => chain.offer(sealed).kind)
    expect(kinds).toEqual(['appended', 'other-branch', 'known'])
  }
})

/** The same certificate with other bytes where the delegates' signatures were. */
function withBadSignatures({ sealed }: OpenedCertificate): Uint8Array {
  const { format, decision, precommits } = decodeCanonical(sealed) as {
    [key: string]: unknown
    precommits: unknown[][]
  }
  const forged = precommits.map((one) => one.with(9, new Uint8Array(64)))
  return encodeCanonical({ format, decision, precommits: forged } as Parameters<typeof encodeCanonical>[0])
}

describe('no signature is looked at', () => {
  const village = aVillage()
  for (let n = 0; n < 40; n++) settleUpgrade(village, n, ['alice', 'bob'])
  const chain = aChain(village)
  show(chain, village.certificates)

  function atTheStart(by: readonly string[], electorate: 'admins' | 'members'): Uint8Array {
    const early = aVillage()
    return withBadSignatures(aside(early, admission(early, by[0]!), by, electorate))
  }

  test('of a certificate in an old place, or the next one, that names too few delegates', () => {
    expect(chain.offer(atTheStart(['bob'], 'members'))).toMatchObject({ kind: 'refused' })
    expect(chain.offer(atTheStart(['mallory', 'trent', 'walter'], 'members'))).toMatchObject({ kind: 'refused' })
    const next = withBadSignatures(aside(village, admission(village, 'bob'), ['bob'], 'admins'))
    expect(chain.offer(next)).toMatchObject({ kind: 'refused', why: expect.stringContaining('0 of 1') as string })
  })

  test('of one that does not count whoever signed it', () => {
    expect(chain.offer(atTheStart(others, 'members'))).toMatchObject({ kind: 'other-branch' })
    expect(chain.offer(atTheStart(['alice'], 'admins'))).toMatchObject({ kind: 'other-branch' })
  })

  test('but where it could count: then wrong ones are found', () => {
    const next = withBadSignatures(aside(village, admission(village, 'bob'), ['alice'], 'admins'))
    expect(() => chain.offer(next)).toThrow(expect.objectContaining({ code: 'bad-signature' }))
  })
})

test('the state at an old place is the one that was there, however far back', () => {
  const village = aVillage()
  const states = Array.from({ length: 30 }, (_, n) => {
    const before = village.state
    settleUpgrade(village, n, ['alice', 'bob'])
    return before
  })
  const chain = aChain(village)
  show(chain, village.certificates)
  for (const place of [0, 1, 7, 20, 29]) expect(chain.stateAt(place)).toEqual(states[place])
})
