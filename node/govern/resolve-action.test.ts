import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultRules, identityToText, toHex } from '../../protocol/index.ts'
import type { ProposedAction, SignedManifest } from '../../protocol/index.ts'
import { anAuthor } from '../../testing/objects.ts'
import type { ProposalWish } from './proposal-wish.ts'
import { resolveAction } from './resolve-action.ts'
import { announce, aVillage } from './testing/village.ts'
import type { Village, Villager } from './testing/village.ts'

let village: Village
let founder: Villager

beforeEach(async () => {
  village = await aVillage('admin')
  founder = village.members[0]!
})
afterEach(() => village[Symbol.asyncDispose]())

const resolved = (wish: ProposalWish): ProposedAction => resolveAction(founder, village.id, wish)

/** Moves the channel as a proposal would. */
async function carryOut(wish: ProposalWish): Promise<void> {
  const said = founder.registry.governance.propose(village.id, resolved(wish))
  if (said.kind !== 'appended') throw new Error(said.message)
  await village.accept(said.record.id)
}

const upgradeTo = (version: string): Promise<void> => carryOut({ kind: 'upgrade', release: `biology@${version}` })

describe('an upgrade', () => {
  test('is compared with the bare base where the name meant nothing else', () => {
    const release = announce(founder, '1.0.0')
    expect(resolved({ kind: 'upgrade', release: 'biology@1.0.0' })).toEqual({
      kind: 'upgrade',
      capability: 'biology',
      base: release.manifest.base.id,
      release: release.releaseId,
    })
  })

  test('is compared with what the name would mean without it, as long as there is no channel', () => {
    const [old] = ['1.0.0', '1.1.0', '2.0.0-rc.1'].map((version) => announce(founder, version))
    expect(resolved({ kind: 'upgrade', release: 'biology@1.1.0' })).toMatchObject({ current: old!.releaseId })
  })

  test('is compared with what the channel holds, however much higher others are', async () => {
    const [first] = ['1.0.0', '1.1.0', '1.2.0'].map((version) => announce(founder, version))
    await upgradeTo('1.0.0')
    expect(resolved({ kind: 'upgrade', release: 'biology@1.2.0' })).toMatchObject({ current: first!.releaseId })
  })

  test('names its release by publisher, or by the first digits of its id', () => {
    const { releaseId } = announce(founder, '1.0.0')
    const publisher = identityToText(founder.author.identity)
    for (const release of [`${publisher}/biology@1.0.0`, toHex(releaseId).slice(0, 12)]) {
      expect(resolved({ kind: 'upgrade', release })).toMatchObject({ release: releaseId })
    }
  })

  test('to what nobody offers, or is withdrawn, is refused', () => {
    const { releaseId } = announce(founder, '1.0.0')
    expect(() => resolved({ kind: 'upgrade', release: 'biology@9.0.0' })).toThrow(/is no release of this community's/)
    founder.registry.withdrawRelease(releaseId, 'broken')
    expect(() => resolved({ kind: 'upgrade', release: 'biology@1.0.0' })).toThrow(/is withdrawn: broken/)
  })
})

describe('a roll-back', () => {
  let releases: SignedManifest[]

  beforeEach(async () => {
    releases = ['1.0.0', '1.1.0', '1.2.0'].map((version) => announce(founder, version))
    for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.0.0']) await upgradeTo(version)
  })

  test('leads to the release that the channel was moved away from last, not to the lowest or the first', () => {
    expect(resolved({ kind: 'rollback', capability: 'biology' })).toMatchObject({ release: releases[2]!.releaseId })
  })

  test('leads to a version that it held, and to no other', () => {
    const to = (version: string): ProposedAction => resolved({ kind: 'rollback', capability: 'biology', version })
    expect(to('1.1.0')).toMatchObject({ release: releases[1]!.releaseId })
    expect(to('biology@1.1.0')).toMatchObject({ release: releases[1]!.releaseId })
    announce(founder, '1.3.0')
    expect(() => to('1.3.0')).toThrow(/is no release that biology has meant before/)
  })

  test('passes over a release that the community withdrew', async () => {
    await carryOut({ kind: 'withdraw', release: 'biology@1.2.0', reason: 'gives wrong doses' })
    expect(resolved({ kind: 'rollback', capability: 'biology' })).toMatchObject({ release: releases[1]!.releaseId })
  })

  test('passes over a release that its publisher withdrew', () => {
    founder.registry.withdrawRelease(releases[2]!.releaseId, 'gives wrong doses')
    expect(resolved({ kind: 'rollback', capability: 'biology' })).toMatchObject({ release: releases[1]!.releaseId })
  })

  test('of a name without a channel is refused', () => {
    expect(() => resolved({ kind: 'rollback', capability: 'law' })).toThrow(/There is no channel law/)
  })
})

test('a withdrawal is about the channel that holds the release', async () => {
  const { releaseId } = announce(founder, '1.0.0')
  await upgradeTo('1.0.0')
  expect(resolved({ kind: 'withdraw', release: 'biology@1.0.0', reason: 'wrong doses' })).toMatchObject({
    capability: 'biology',
    release: releaseId,
    reason: 'wrong doses',
  })
})

test('rules that are not named stay as they are', () => {
  expect(resolved({ kind: 'rule', quorum: 0.3, inviterCap: 2 })).toEqual({
    kind: 'rule',
    rules: { ...defaultRules, quorum: 300_000, inviterCap: 2 },
  })
})

test('somebody is removed, or given another role, by the first characters of an identity; a stranger is admitted by all of them', () => {
  const identity = identityToText(founder.author.identity)
  const remove = (text: string): ProposedAction => resolved({ kind: 'remove', identity: text, reason: 'gone' })
  expect(remove(identity.slice(0, 8))).toMatchObject({ identity: founder.author.identity })
  expect(() => remove('zzzzzzzz')).toThrow(/No member's identity begins with/)
  const admit = (text: string): ProposedAction => resolved({ kind: 'admit', identity: text, role: 'user' })
  expect(admit(identity)).toMatchObject({ identity: founder.author.identity })
  expect(admit(identity.slice(0, 8))).toMatchObject({ identity: founder.author.identity })
  expect(() => admit(identityToText(anAuthor(99).identity).slice(0, 8))).toThrow(/is not an identity/)
})

test("a user's suite is refused before its questions are told to everybody", async () => {
  await using two = await aVillage('admin', 'user')
  const [, user] = two.members
  const suite = { kind: 'suite', capability: 'biology', questions: '{"prompt": "Q", "answer": "A"}\n' } as const
  const before = user!.registry.state(two.id).stateHash
  expect(() => resolveAction(user!, two.id, suite)).toThrow(/teachers and admins/)
  expect(user!.registry.state(two.id).stateHash).toEqual(before)
  expect(() => resolved({ ...suite, questions: 'no JSON' })).toThrow(/Line 1 of the suite is no JSON/)
})
