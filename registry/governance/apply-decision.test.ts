// What may follow a chain and what not. Every refusal stands beside the same thing done rightly, which is taken.
import { describe, expect, test } from 'vitest'
import { bytesEqual, openCertificate, sealCertificate, sha256, toHex, utf8 } from '../../protocol/index.ts'
import type { CommunityRules, ProposedAction } from '../../protocol/index.ts'
import { baseA, baseB } from '../testing/builders.ts'
import { applyCertificate } from './apply-decision.ts'
import type { Applied } from './apply-decision.ts'
import { channelKey } from './chain-state.ts'
import { aRelease, PaperVillage, upgradeTo } from './testing/paper-village.ts'
import type { Receipt } from './testing/paper-village.ts'

const people = { alice: 'admin', bob: 'admin', carol: 'teacher', dave: 'user', erin: 'user' } as const
const everybody = { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'yes', erin: 'yes' } as const

function aVillage(rules: Partial<CommunityRules> = {}, nonce?: number): PaperVillage {
  return new PaperVillage(people, rules, nonce)
}

function whyRefused(applied: Applied): string {
  return applied.kind === 'refused' ? applied.why : 'it was applied'
}

function held(village: PaperVillage): string | undefined {
  const channel = village.state.channels.get(channelKey('biology', baseA))
  return channel && toHex(channel.release)
}

const hexOf = (release: string): string => toHex(aRelease(release))
const suite = sha256(utf8('the questions'))
const otherSuite = sha256(utf8('rigged questions'))

describe('a ballot', () => {
  test('of every member counts, once', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    village.settle(village.counted(proposal, village.ballots(proposal, everybody)))
    expect(held(village)).toBe(hexOf('one'))
  })

  test('twice of one member is refused before anything is counted', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const ballots = village.ballots(proposal, everybody)
    const [again] = village.ballots(proposal, { alice: 'no' })
    expect(whyRefused(village.tried(village.counted(proposal, [...ballots, again!])))).toContain('twice')
  })

  test('of somebody who is no member is refused, also if the outcome were the same', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const ballots = village.ballots(proposal, { ...everybody, mallory: 'yes' })
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('may not vote')
  })

  test('of a member who was removed since is refused', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const ballots = village.ballots(proposal, everybody)
    village.accept('alice', { kind: 'remove', identity: village.author('dave').identity, reason: 'gone' })
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('may not vote')
    const { dave: _, ...others } = everybody
    expect(village.tried(village.counted(proposal, village.ballots(proposal, others))).kind).toBe('applied')
  })

  test('of a member who came in after the proposal is refused', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    village.join('alice', 'frank')
    const ballots = village.ballots(proposal, { ...everybody, frank: 'no' })
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('may not vote')
    const later = village.proposal('erin', upgradeTo('one'))
    const all = village.ballots(later, { ...everybody, frank: 'no' })
    expect(village.tried(village.counted(later, all)).kind).toBe('applied')
  })

  test('on another proposal, or from another community, is refused', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const other = village.proposal('erin', upgradeTo('two'))
    const ballots = village.ballots(other, everybody)
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('another proposal')
    const elsewhere = aVillage({}, 8)
    expect(whyRefused(village.tried(village.counted(proposal, elsewhere.ballots(proposal, everybody))))).toContain(
      'signature',
    )
  })

  test('whose choice was changed after it was signed is refused', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const [yes] = village.ballots(proposal, { alice: 'yes' })
    const [no] = village.ballots(proposal, { alice: 'no' })
    const forged = yes!.with(8, no![8]) as unknown as typeof yes
    const ballots = [forged!, ...village.ballots(proposal, { bob: 'yes', carol: 'yes' })]
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('signature')
  })
})

describe('an outcome', () => {
  test('that the ballots do not come to is refused', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const against = { alice: 'yes', bob: 'no', carol: 'no' } as const
    const ballots = village.ballots(proposal, against)
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('"rejected", not "accepted"')
    expect(village.tried(village.counted(proposal, ballots, { outcome: 'rejected' })).kind).toBe('applied')
  })

  test('without a quorum of the members that the proposal names moves nothing', () => {
    const village = aVillage({ quorum: 600_000 })
    const proposal = village.proposal('erin', upgradeTo('one'))
    const few = village.ballots(proposal, { alice: 'yes', bob: 'yes' })
    expect(whyRefused(village.tried(village.counted(proposal, few)))).toContain('"no-quorum"')
    const enough = [...few, ...village.ballots(proposal, { carol: 'abstain' })]
    expect(village.tried(village.counted(proposal, enough)).kind).toBe('applied')
  })

  test('is settled once: a proposal that was counted is closed, a rejected one too', () => {
    const village = aVillage()
    const proposal = village.proposal('erin', upgradeTo('one'))
    const no = village.ballots(proposal, { alice: 'no', bob: 'no', carol: 'no' })
    village.settle(village.counted(proposal, no, { outcome: 'rejected' }))
    const yes = village.ballots(proposal, everybody)
    expect(whyRefused(village.tried(village.counted(proposal, yes)))).toContain('was decided: rejected')
  })
})

describe('a measured upgrade', () => {
  const three = (difference: number): Receipt[] =>
    ['alice', 'carol', 'erin'].map((by) => ({ by, difference, standardError: 10 }))

  function measuredVillage(): PaperVillage {
    const village = aVillage()
    village.accept('alice', { kind: 'suite', capability: 'biology', suite })
    village.accept('erin', upgradeTo('one'), three(100_000))
    return village
  }

  test('that wins is deployed by a bare majority; a loser is not, whatever the votes', () => {
    const village = measuredVillage()
    const proposal = village.proposal('erin', upgradeTo('two', 'one'))
    const losing = village.receipts(proposal, three(-11))
    const decision = village.counted(proposal, village.ballots(proposal, everybody), { receipts: losing })
    expect(whyRefused(village.tried(decision))).toContain('"measured-loser"')
    const narrow = { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'no', erin: 'no' } as const
    const winning = village.receipts(proposal, three(-10))
    village.settle(village.counted(proposal, village.ballots(proposal, narrow), { receipts: winning }))
    expect(held(village)).toBe(hexOf('two'))
  })

  test('without enough receipts needs a supermajority', () => {
    const village = measuredVillage()
    const proposal = village.proposal('erin', upgradeTo('two', 'one'))
    const receipts = village.receipts(proposal, three(50).slice(0, 2))
    const narrow = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'no', erin: 'no' })
    expect(whyRefused(village.tried(village.counted(proposal, narrow, { receipts })))).toContain('"rejected"')
    const wide = village.ballots(proposal, { ...everybody, erin: 'no' })
    expect(village.tried(village.counted(proposal, wide, { receipts })).kind).toBe('applied')
  })

  test('counts one receipt per member, and none of others', () => {
    const village = measuredVillage()
    const proposal = village.proposal('erin', upgradeTo('two', 'one'))
    const ballots = village.ballots(proposal, everybody)
    const good = village.receipts(proposal, three(50))
    const twice = [...good, ...village.receipts(proposal, [{ by: 'alice', difference: 60, standardError: 1 }])]
    expect(whyRefused(village.tried(village.counted(proposal, ballots, { receipts: twice })))).toContain('twice')
    const foreign = [...good, ...village.receipts(proposal, [{ by: 'mallory', difference: 60, standardError: 1 }])]
    expect(whyRefused(village.tried(village.counted(proposal, ballots, { receipts: foreign })))).toContain('no member')
    expect(village.tried(village.counted(proposal, ballots, { receipts: good })).kind).toBe('applied')
  })

  test('is deployed by the suite that the community bound, and by no other that its publisher brought', () => {
    const village = measuredVillage()
    const proposal = village.proposal('erin', upgradeTo('two', 'one'))
    const narrow = { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'no', erin: 'no' } as const
    const ballots = village.ballots(proposal, narrow)
    const rigged = village.receipts(proposal, three(400_000), { suite: otherSuite })
    expect(whyRefused(village.tried(village.counted(proposal, ballots, { receipts: rigged })))).toContain(
      'something else',
    )
    // Left out, they leave the upgrade unmeasured: the narrow majority does not carry it.
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('"rejected"')
    expect(held(village)).toBe(hexOf('one'))
  })

  test('counts receipts that compare the two releases in question only', () => {
    const village = measuredVillage()
    const proposal = village.proposal('erin', upgradeTo('two', 'one'))
    const ballots = village.ballots(proposal, everybody)
    for (const lies of [{ against: aRelease('zero') }, { release: aRelease('three') }]) {
      const receipts = village.receipts(proposal, three(50), lies)
      expect(whyRefused(village.tried(village.counted(proposal, ballots, { receipts })))).toContain('something else')
    }
    const bare = village.proposal('erin', upgradeTo('two'))
    expect(whyRefused(village.tried(village.counted(bare, village.ballots(bare, everybody))))).toContain(
      'another release than the channel holds',
    )
  })
})

describe('a suite', () => {
  test('is proposed by teachers and admins', () => {
    const village = aVillage()
    const action: ProposedAction = { kind: 'suite', capability: 'biology', suite }
    const byUser = village.proposal('erin', action)
    expect(whyRefused(village.tried(village.counted(byUser, village.ballots(byUser, everybody))))).toContain('teachers')
    village.accept('carol', action)
    expect(village.state.suites.get('biology')).toEqual(suite)
  })
})

describe('a certificate', () => {
  const four = { alice: 'admin', bob: 'admin', carol: 'admin', dave: 'admin' } as const

  function decided(village: PaperVillage) {
    const proposal = village.proposal('alice', upgradeTo('one'))
    const yes = village.members.map((name) => [name, 'yes'] as const)
    return village.counted(proposal, village.ballots(proposal, Object.fromEntries(yes)))
  }

  test('needs more than two thirds of the delegates: three of four, both of two, all of three', () => {
    const village = new PaperVillage(four)
    const decision = decided(village)
    const by = (...names: string[]): Applied =>
      applyCertificate(village.state, village.signed(decision, { by: names.toSorted() }))
    expect(whyRefused(by('alice', 'bob'))).toBe('2 of 4 delegates signed it; 3 are needed')
    expect(by('alice', 'bob', 'dave').kind).toBe('applied')
    const pair = aVillage()
    const two = decided(pair)
    const half = pair.signed(two, { by: ['alice'] })
    expect(whyRefused(applyCertificate(pair.state, half))).toBe('1 of 2 delegates signed it; 2 are needed')
  })

  test('is not carried by signatures of people who are no admins, or no members', () => {
    const village = aVillage()
    const decision = decided(village)
    const certificate = village.signed(decision, { by: ['alice', 'carol', 'dave', 'erin', 'mallory'] })
    expect(whyRefused(applyCertificate(village.state, certificate))).toContain('1 of 2')
  })

  test('is not carried by an admin who was removed', () => {
    const village = new PaperVillage(four)
    village.accept('alice', { kind: 'remove', identity: village.author('dave').identity, reason: 'gone' })
    const decision = decided(village)
    const certificate = village.signed(decision, { by: ['alice', 'bob', 'dave'] })
    expect(whyRefused(applyCertificate(village.state, certificate))).toBe('2 of 3 delegates signed it; 3 are needed')
    expect(applyCertificate(village.state, village.signed(decision)).kind).toBe('applied')
  })

  test('in which somebody signed twice is no certificate', () => {
    const village = new PaperVillage(four)
    const decision = decided(village)
    expect(() => village.signed(decision, { by: ['alice', 'alice', 'bob'] })).toThrow('twice')
  })

  test('with a signature for another decision, place, round or electorate is none', () => {
    const village = new PaperVillage(four)
    const decision = decided(village)
    const wrong = [{ decision: sha256(utf8('x')) }, { previous: sha256(utf8('x')) }, { electorate: 'members' as const }]
    for (const lies of [...wrong, { decision: undefined }]) {
      expect(() => village.signed(decision, { lies })).toThrow('another decision or round')
    }
    const [alice, bob] = village.precommits(decision, { by: ['alice', 'bob'] })
    const [carol] = village.precommits(decision, { by: ['carol'], round: 1 })
    expect(() => sealCertificate(decision, [alice!, bob!, carol!])).toThrow('another decision or round')
  })

  test('whose signatures were made in another community is none', () => {
    const [here, there] = [new PaperVillage(four), new PaperVillage(four, {}, 8)]
    const decision = decided(here)
    expect(() => sealCertificate(decision, there.precommits(decision))).toThrow('signature')
  })

  test('is the same read back from its bytes, and not if a bit is turned', () => {
    const village = new PaperVillage(four)
    const certificate = village.signed(decided(village))
    expect(openCertificate(certificate.sealed).id).toEqual(certificate.id)
    for (const at of [40, 400, certificate.sealed.length - 40]) {
      const turned = certificate.sealed.with(at, certificate.sealed[at]! ^ 1)
      expect(() => openCertificate(turned)).toThrow(expect.objectContaining({ blame: 'peer' }))
    }
  })
})

describe('a place in the chain', () => {
  test('wrong in any one of its parts is refused; right in all it is taken', () => {
    const village = aVillage()
    village.accept('alice', { kind: 'suite', capability: 'physics', suite })
    const proposal = village.proposal('erin', upgradeTo('one'))
    const ballots = village.ballots(proposal, everybody)
    const elsewhere = sha256(utf8('somewhere else'))
    const lies = [
      [{ previous: elsewhere }, 'does not follow'],
      [{ previous: village.genesis.id }, 'does not follow'],
      [{ position: 0 }, 'does not follow'],
      [{ position: 2 }, 'does not follow'],
      [{ membership: village.genesis.id }, 'other members'],
      [{ replaces: elsewhere }, 'replaces another'],
      [{ subject: elsewhere }, 'another subject'],
      [{ community: elsewhere }, 'another community'],
    ] as const
    for (const [lie, why] of lies) {
      const decision = village.counted(proposal, ballots, { lies: lie })
      if ('community' in lie) expect(() => village.signed(decision)).toThrow('signature')
      else expect(whyRefused(village.tried(decision))).toContain(why)
    }
    expect(village.tried(village.counted(proposal, ballots)).kind).toBe('applied')
  })

  test('is of one community: the certificate of another, with the same people, is refused', () => {
    const [here, there] = [aVillage(), aVillage({}, 8)]
    const proposal = there.proposal('erin', upgradeTo('one'))
    const certificate = there.signed(there.counted(proposal, there.ballots(proposal, everybody)))
    expect(whyRefused(applyCertificate(here.state, certificate))).toContain('another community')
    expect(applyCertificate(there.state, certificate).kind).toBe('applied')
  })

  test('is lost to a proposal that was overtaken on its subject; one on another subject is not', () => {
    const village = aVillage()
    const overtaken = village.proposal('erin', upgradeTo('one'))
    const physics = { ...upgradeTo('three'), capability: 'physics' }
    const beside = village.proposal('erin', physics)
    const otherBase = village.proposal('erin', { ...upgradeTo('four'), base: baseB })
    village.accept('dave', upgradeTo('two'))
    expect(whyRefused(village.tried(village.counted(overtaken, village.ballots(overtaken, everybody))))).toContain(
      'came first',
    )
    village.settle(village.counted(beside, village.ballots(beside, everybody)))
    village.settle(village.counted(otherBase, village.ballots(otherBase, everybody)))
    expect(held(village)).toBe(hexOf('two'))
  })

  test('is held by a proposal beside a rejected one on the same subject', () => {
    const village = aVillage()
    const [first, second] = ['one', 'two'].map((release) => village.proposal('erin', upgradeTo(release)))
    const no = village.ballots(first!, { alice: 'no', bob: 'no', carol: 'no' })
    village.settle(village.counted(first!, no, { outcome: 'rejected' }))
    village.settle(village.counted(second!, village.ballots(second!, everybody)))
    expect(held(village)).toBe(hexOf('two'))
  })
})

describe('a channel', () => {
  test('is rolled back to what it held, and to nothing else', () => {
    const village = aVillage()
    village.accept('erin', upgradeTo('one'))
    village.accept('erin', upgradeTo('two', 'one'))
    const back = (release: string): ProposedAction => ({
      kind: 'rollback',
      capability: 'biology',
      base: baseA,
      release: aRelease(release),
    })
    const never = village.proposal('erin', back('zero'))
    expect(whyRefused(village.tried(village.counted(never, village.ballots(never, everybody))))).toContain('never held')
    village.accept('erin', back('one'))
    expect(held(village)).toBe(hexOf('one'))
    village.accept('erin', back('two'))
    expect(held(village)).toBe(hexOf('two'))
  })

  test('does not go on holding a release that was withdrawn under the name of another', () => {
    const village = aVillage()
    village.accept('alice', upgradeTo('one'))
    expect(village.state.channels.size).toBe(1)
    const { release, base } = [...village.state.channels.values()][0]!
    village.accept('alice', { kind: 'withdraw', capability: 'chemistry', base, release, reason: 'wrong' })
    expect(village.state.channels.size).toBe(0)
  })

  test('never returns to a release that the community withdrew', () => {
    const village = aVillage()
    const where = { capability: 'biology', base: baseA }
    village.accept('erin', upgradeTo('one'))
    village.accept('erin', upgradeTo('two', 'one'))
    village.accept('erin', { kind: 'withdraw', ...where, release: aRelease('one'), reason: 'bad' })
    expect(held(village)).toBe(hexOf('two'))
    const back = village.proposal('erin', { kind: 'rollback', ...where, release: aRelease('one') })
    expect(whyRefused(village.tried(village.counted(back, village.ballots(back, everybody))))).toContain('withdrew')
    village.accept('erin', { kind: 'withdraw', ...where, release: aRelease('two'), reason: 'bad too' })
    expect(held(village)).toBeUndefined()
  })
})

test('what is decided does not depend on the objects it was decided with: the chain alone gives the state', () => {
  const village = aVillage()
  const start = village.state
  village.join('alice', 'frank')
  village.accept('erin', upgradeTo('one'))
  village.accept('erin', upgradeTo('two', 'one'))
  let state = start
  for (const { sealed } of village.certificates) {
    const applied = applyCertificate(state, openCertificate(sealed))
    if (applied.kind === 'refused') throw new Error(applied.why)
    state = applied.state
  }
  expect(state).toEqual(village.state)
  expect(bytesEqual(state.head, village.certificates.at(-1)!.id)).toBe(true)
})
