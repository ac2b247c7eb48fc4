// Who becomes a member, who stays one, and what nobody gets in by.
import { describe, expect, test } from 'vitest'
import { sha256, signJoin, utf8 } from '../../protocol/index.ts'
import type { CommunityRole, EnclosedRecord, ProposedAction } from '../../protocol/index.ts'
import type { Applied } from './apply-decision.ts'
import { upgradeTo, PaperVillage } from './testing/paper-village.ts'

const people = { alice: 'admin', bob: 'admin', carol: 'teacher', dave: 'user' } as const

function aVillage(inviterCap = 5): PaperVillage {
  return new PaperVillage(people, { inviterCap })
}

function whyRefused(applied: Applied): string {
  return applied.kind === 'refused' ? applied.why : 'it was applied'
}

function removal(village: PaperVillage, name: string): ProposedAction {
  return { kind: 'remove', identity: village.author(name).identity, reason: 'gone' }
}

function admission(village: PaperVillage, name: string, role: CommunityRole = 'user'): ProposedAction {
  return { kind: 'admit', identity: village.author(name).identity, role }
}

function whyNotAccepted(village: PaperVillage, by: string, action: ProposedAction): string {
  const proposal = village.proposal(by, action)
  const yes = Object.fromEntries(village.members.map((name) => [name, 'yes' as const]))
  return whyRefused(village.tried(village.counted(proposal, village.ballots(proposal, yes))))
}

function leaving(village: PaperVillage, name: string): EnclosedRecord {
  return village.enclosed(name, 'leave/1', { since: village.member(name).since })
}

describe('an invitation', () => {
  test('lets one person in, and nobody a second time', () => {
    const village = aVillage()
    const seed = sha256(utf8('one invitation')).slice(0, 16)
    const joinOf = (guest: string) => signJoin(village.genesis.id, village.author(guest).identity, seed)
    const invite = village.enclosed('dave', 'invite/1', { key: joinOf('erin').key, role: 'user' })
    const [erin, frank] = ['erin', 'frank'].map((guest) => ({
      invite,
      join: village.enclosed(guest, 'join/1', joinOf(guest)),
    }))
    expect(whyRefused(village.tried(village.roll([erin!, frank!])))).toContain('was used')
    village.settle(village.roll([erin!]))
    expect(village.members).toEqual(['alice', 'bob', 'carol', 'dave', 'erin'])
    expect(whyRefused(village.tried(village.roll([frank!])))).toContain('was used')
    village.accept('alice', removal(village, 'erin'))
    expect(whyRefused(village.tried(village.roll([erin!])))).toContain('was used')
  })

  test('of somebody who was removed, or never was a member, lets nobody in', () => {
    const village = aVillage()
    const ofDave = village.invitation('dave', 'erin')
    const ofMallory = village.invitation('mallory', 'frank')
    expect(whyRefused(village.tried(village.roll([ofMallory])))).toContain('no member')
    expect(village.tried(village.roll([ofDave])).kind).toBe('applied')
    village.accept('alice', removal(village, 'dave'))
    expect(whyRefused(village.tried(village.roll([ofDave])))).toContain('no member')
  })

  test('of everybody makes users, of admins also teachers, of nobody admins', () => {
    const village = aVillage()
    const tried = (inviter: string, role: CommunityRole): string =>
      village.tried(village.roll([village.invitation(inviter, `${inviter}s ${role}`, role)])).kind
    expect(['alice', 'carol', 'dave'].map((inviter) => tried(inviter, 'user'))).toEqual(Array(3).fill('applied'))
    expect(['alice', 'carol', 'dave'].map((inviter) => tried(inviter, 'teacher'))).toEqual([
      'applied',
      'refused',
      'refused',
    ])
    expect(['alice', 'carol', 'dave'].map((inviter) => tried(inviter, 'admin'))).toEqual(Array(3).fill('refused'))
  })

  test('is used with its own key, for this community and by who signed for it', () => {
    const village = aVillage()
    const right = village.invitation('dave', 'erin')
    const other = village.invitation('dave', 'frank')
    expect(whyRefused(village.tried(village.roll([{ ...right, invite: other.invite }])))).toContain(
      'another invitation',
    )
    const seed = sha256(utf8('seen by mallory')).slice(0, 16)
    const erins = signJoin(village.genesis.id, village.author('erin').identity, seed)
    const elsewhere = signJoin(sha256(utf8('elsewhere')), village.author('mallory').identity, seed)
    const invite = village.enclosed('dave', 'invite/1', { key: erins.key, role: 'user' })
    for (const stolen of [erins, elsewhere]) {
      const join = village.enclosed('mallory', 'join/1', stolen)
      expect(whyRefused(village.tried(village.roll([{ invite, join }])))).toContain('not signed with the invitation')
    }
    const join = village.enclosed('erin', 'join/1', erins)
    expect(village.tried(village.roll([{ invite, join }])).kind).toBe('applied')
  })
})

describe('the cap of an inviter', () => {
  test('ends what one member may bring in, whoever of those it brought in invites', () => {
    const village = aVillage(3)
    village.join('dave', 'erin')
    village.join('erin', 'frank')
    village.join('frank', 'grace')
    for (const inviter of ['dave', 'erin', 'grace']) {
      const one = village.roll([village.invitation(inviter, 'heidi')])
      expect(whyRefused(village.tried(one))).toContain('as many as allowed')
    }
    village.join('carol', 'heidi')
    expect(village.members).toContain('heidi')
  })

  test('counts those of one decision together', () => {
    const village = aVillage(2)
    const guests = ['erin', 'frank', 'grace'].map((guest) => village.invitation('dave', guest))
    expect(whyRefused(village.tried(village.roll(guests)))).toContain('as many as allowed')
    expect(village.tried(village.roll(guests.slice(0, 2))).kind).toBe('applied')
  })

  test('is not lifted by the inviter leaving, being removed, or coming back', () => {
    for (const goes of ['leaves', 'is removed'] as const) {
      const village = aVillage(2)
      village.join('dave', 'erin')
      village.join('dave', 'frank')
      if (goes === 'leaves') village.settle(village.roll([], [leaving(village, 'dave')]))
      else village.accept('alice', removal(village, 'dave'))
      for (const inviter of ['erin', 'frank']) {
        const more = village.roll([village.invitation(inviter, 'grace')])
        expect(whyRefused(village.tried(more))).toContain('as many as allowed')
      }
      const backBelow = village.roll([village.invitation('erin', 'dave')])
      expect(whyRefused(village.tried(backBelow))).not.toBe('it was applied')
      // Dave and the two he brought in are three.
      const backBeside = village.roll([village.invitation('carol', 'dave')])
      expect(whyRefused(village.tried(backBeside))).toContain('as many as allowed')
    }
  })

  test('never makes anybody the guest of their own guest', () => {
    const village = aVillage(5)
    village.join('dave', 'erin')
    village.join('erin', 'frank')
    village.settle(village.roll([], [leaving(village, 'dave')]))
    for (const inviter of ['erin', 'frank']) {
      const back = village.roll([village.invitation(inviter, 'dave')])
      expect(whyRefused(village.tried(back))).toContain('came in by this one')
    }
    village.join('carol', 'dave')
    village.join('frank', 'grace')
    expect(village.members).toEqual(['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace'])
  })

  test('that is used while somebody is to be removed does not hold the removal up', () => {
    const village = aVillage()
    const proposal = village.proposal('alice', removal(village, 'dave'))
    const ballots = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'yes' })
    village.join('dave', 'puppet')
    const applied = village.tried(village.counted(proposal, ballots))
    expect(whyRefused(applied)).toBe('it was applied')
  })

  test('no longer counts those whom a vote admitted since', () => {
    const village = aVillage(2)
    village.join('dave', 'erin')
    village.join('erin', 'frank')
    expect(whyRefused(village.tried(village.roll([village.invitation('dave', 'grace')])))).toContain('as allowed')
    village.accept('alice', removal(village, 'erin'))
    village.accept('alice', admission(village, 'erin'))
    // Erin, and Frank with her, stand under her own cap now.
    village.join('dave', 'grace')
    village.join('dave', 'heidi')
    village.join('frank', 'ivan')
    expect(whyRefused(village.tried(village.roll([village.invitation('erin', 'judy')])))).toContain('as allowed')
  })

  test('frees a place when somebody below goes', () => {
    const village = aVillage(2)
    village.join('dave', 'erin')
    village.join('erin', 'frank')
    expect(whyRefused(village.tried(village.roll([village.invitation('dave', 'grace')])))).toContain('as allowed')
    village.accept('alice', removal(village, 'frank'))
    village.join('dave', 'grace')
    expect(village.members).toEqual(['alice', 'bob', 'carol', 'dave', 'erin', 'grace'])
  })
})

describe('a vote', () => {
  test('admits without an invitation or a cap, and gives and takes roles', () => {
    const village = aVillage(0)
    village.accept('dave', admission(village, 'erin'))
    village.accept('erin', admission(village, 'dave', 'admin'))
    expect(village.delegates().toSorted()).toEqual(['alice', 'bob', 'dave'])
    village.accept('erin', admission(village, 'alice', 'user'))
    expect(village.delegates().toSorted()).toEqual(['bob', 'dave'])
    expect(whyNotAccepted(village, 'bob', admission(village, 'erin'))).toContain('already')
  })

  test('never takes the last admin away', () => {
    const village = aVillage()
    village.accept('alice', removal(village, 'bob'))
    expect(whyNotAccepted(village, 'dave', removal(village, 'alice'))).toContain('last admin')
    expect(whyNotAccepted(village, 'dave', admission(village, 'alice', 'user'))).toContain('last admin')
    expect(whyRefused(village.tried(village.roll([], [leaving(village, 'alice')])))).toContain('last admin')
    village.accept('dave', admission(village, 'dave', 'admin'))
    village.accept('dave', removal(village, 'alice'))
    expect(village.members).toEqual(['carol', 'dave'])
  })

  test('is not open to those who were removed, nor are their proposals', () => {
    const village = aVillage()
    const proposal = village.proposal('dave', upgradeTo('one'))
    village.accept('alice', removal(village, 'dave'))
    const ballots = village.ballots(proposal, { alice: 'yes', bob: 'yes', carol: 'yes' })
    expect(whyRefused(village.tried(village.counted(proposal, ballots)))).toContain('no member')
  })

  test('among fewer than there are members today needs the quorum of today: a proposal can not choose a smaller one', () => {
    const village = new PaperVillage(people, { quorum: 500_000, inviterCap: 5 })
    const founding = village.state.membership
    for (const guest of ['erin', 'frank', 'grace']) village.join('alice', guest)
    const proposal = village.proposal('carol', upgradeTo('one'), { membership: founding })
    const [three, four] = [
      { alice: 'yes', bob: 'yes', carol: 'yes' },
      { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'yes' },
    ].map((choices) => village.ballots(proposal, choices as Readonly<Record<string, 'yes'>>))
    expect(whyRefused(village.tried(village.counted(proposal, three!)))).toContain('no-quorum')
    expect(whyRefused(village.tried(village.counted(proposal, four!)))).toBe('it was applied')
  })

  test('may not be among the few who were members long ago: most of the members in force are', () => {
    const village = aVillage()
    const old = village.proposal('alice', upgradeTo('one'))
    for (const guest of ['erin', 'frank', 'grace']) village.join('alice', guest)
    const yes = village.ballots(old, { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'yes' })
    expect(village.tried(village.counted(old, yes)).kind).toBe('applied')
    village.join('bob', 'heidi')
    expect(whyRefused(village.tried(village.counted(old, yes)))).toContain('propose it again')
    const dated = village.proposal('alice', upgradeTo('two'), { membership: village.genesis.id })
    const all = village.ballots(dated, { alice: 'yes', bob: 'yes', carol: 'yes', dave: 'yes' })
    expect(whyRefused(village.tried(village.counted(dated, all)))).toContain('propose it again')
  })
})

describe('leaving', () => {
  test('is said by oneself, and undoes no later admission', () => {
    const village = aVillage()
    const leave = leaving(village, 'dave')
    village.settle(village.roll([], [leave]))
    expect(village.members).toEqual(['alice', 'bob', 'carol'])
    expect(whyRefused(village.tried(village.roll([], [leave])))).toContain('no member')
    village.accept('alice', admission(village, 'dave'))
    expect(whyRefused(village.tried(village.roll([], [leave])))).toContain('admitted again since')
    village.settle(village.roll([], [leaving(village, 'dave')]))
    expect(village.members).toEqual(['alice', 'bob', 'carol'])
  })

  test('of all admins at once ends before the last', () => {
    const village = aVillage()
    const both = ['alice', 'bob'].map((name) => leaving(village, name))
    expect(whyRefused(village.tried(village.roll([], both)))).toContain('last admin')
    expect(village.tried(village.roll([], both.slice(0, 1))).kind).toBe('applied')
  })

  test('with nobody who does is no decision', () => {
    const village = aVillage()
    expect(whyRefused(village.tried(village.roll([])))).toContain('changes nothing')
  })
})

describe('all members together', () => {
  const lies = { electorate: 'members' as const }

  test('decide on membership when more than two thirds of them sign', () => {
    const village = aVillage()
    const proposal = village.proposal('dave', admission(village, 'dave', 'admin'))
    const ballots = village.ballots(proposal, { bob: 'yes', carol: 'yes', dave: 'yes' })
    const decision = village.counted(proposal, ballots, { lies })
    expect(() => village.settle(decision, { by: ['carol', 'dave'] })).toThrow('2 of 4 delegates')
    village.settle(decision, { by: ['bob', 'carol', 'dave'] })
    expect(village.delegates().toSorted()).toEqual(['alice', 'bob', 'dave'])
  })

  test('decide on nothing else', () => {
    const village = aVillage()
    const proposal = village.proposal('dave', upgradeTo('one'))
    const decision = village.counted(proposal, village.ballots(proposal, { bob: 'yes', carol: 'yes', dave: 'yes' }), {
      lies,
    })
    expect(() => village.settle(decision, { by: ['alice', 'bob', 'carol', 'dave'] })).toThrow('membership only')
  })
})
