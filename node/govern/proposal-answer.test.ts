import { expect, test } from 'vitest'
import { identityToText, toHex, utf8 } from '../../protocol/index.ts'
import type { ProposedAction } from '../../protocol/index.ts'
import { aHash } from '../../testing/objects.ts'
import { proposalAnswer, tallyAnswer } from './proposal-answer.ts'
import { announce, aVillage, within } from './testing/village.ts'
import type { Village, Villager } from './testing/village.ts'

const questions = utf8('{"prompt": "Q: Where?", "answer": "There."}\n')

async function propose({ id, members }: Village, by: Villager, action: ProposedAction): Promise<Uint8Array> {
  const said = by.registry.governance.propose(id, action)
  if (said.kind !== 'appended') throw new Error(said.message)
  for (const { registry } of members) {
    const isHere = (): boolean =>
      registry.governance.proposals(id).some((one) => toHex(one.id) === toHex(said.record.id))
    await registry.until(isHere, within())
  }
  return said.record.id
}

/** Binds a suite, proposes an upgrade, and lets each member measure the given percentages against 88 %. */
async function measured(village: Village, percentages: readonly number[]): Promise<Uint8Array> {
  const [founder] = village.members
  const { suite } = founder!.registry.governance.shareSuite(village.id, questions)
  await village.accept(await propose(village, founder!, { kind: 'suite', capability: 'biology', suite }))
  const release = announce(founder!, '1.0.0')
  const { releaseId, manifest } = release
  const action = { kind: 'upgrade', capability: 'biology', base: manifest.base.id, release: releaseId } as const
  const proposal = await propose(village, founder!, action)
  for (const [i, percentage] of percentages.entries()) {
    village.members[i]!.registry.governance.reportEvaluation(village.id, {
      release: releaseId,
      suite,
      file: aHash(1),
      metric: 'exact-match',
      value: percentage * 10_000,
      againstValue: 880_000,
      n: 100,
      valueError: 27_000,
      standardError: 20_000,
    })
  }
  const { registry } = founder!
  const receipts = (): number => registry.governance.tally(village.id, proposal).receipts.length
  await registry.until(() => receipts() === percentages.length, within())
  return proposal
}

test('a measured upgrade shows the middle measurement, its error, and who agrees with it', async () => {
  await using village = await aVillage('admin', 'user', 'user')
  const proposal = await measured(village, [92, 93, 50])
  expect(proposalAnswer(village.members[0]!, village.id, proposal).measurement).toEqual({
    kind: 'measured',
    loses: false,
    value: 0.92,
    againstValue: 0.88,
    difference: 0.04,
    standardError: 0.02,
    receipts: 3,
    confirmedBy: 2,
    text: '92 % against 88 %, +4 +- 2, confirmed by 2 of 3',
  })
})

test('a measured loser says so', async () => {
  await using village = await aVillage('admin')
  const proposal = await measured(village, [80])
  expect(proposalAnswer(village.members[0]!, village.id, proposal).measurement).toMatchObject({
    loses: true,
    text: '80 % against 88 %, -8 +- 2, confirmed by 1 of 1: it loses',
  })
})

test('too few measurements, and no suite at all, are told apart', async () => {
  await using village = await aVillage('admin', 'user')
  const [founder] = village.members
  const few = await measured(village, [92])
  expect(proposalAnswer(founder!, village.id, few).measurement).toMatchObject({
    kind: 'unmeasured',
    needed: 2,
    own: true,
    text: 'UNMEASURED: 1 of 2 measurements',
  })
  const { manifest, releaseId } = announce(founder!, '1.0.0', 'law')
  const action = { kind: 'upgrade', capability: 'law', base: manifest.base.id, release: releaseId } as const
  const none = await propose(village, founder!, action)
  expect(proposalAnswer(founder!, village.id, none).measurement).toMatchObject({
    why: 'no-suite',
    text: 'UNMEASURED: no suite is bound',
  })
})

test('a tally shows every ballot with its reason and whose it is, what was said, and what the votes come to', async () => {
  await using village = await aVillage('admin', 'user', 'user')
  const [founder, user] = village.members
  const action = {
    kind: 'rule',
    rules: { ...founder!.registry.governance.chain(village.id).rules, inviterCap: 1 },
  } as const
  const id = await propose(village, founder!, action)
  const reason = 'one is enough, "really"; $(rm -rf /)'
  user!.registry.governance.vote(village.id, id, 'no', reason)
  founder!.registry.governance.comment(village.id, id, 'what do you think?')
  const { registry } = user!
  await registry.until(() => registry.governance.tally(village.id, id).comments.length === 2, within())
  expect(tallyAnswer(user!, village.id, id)).toMatchObject({
    community: { id: toHex(village.id), name: 'village' },
    author: identityToText(founder!.author.identity),
    own: false,
    action: { kind: 'rule', rules: { quorum: 0.5, inviterCap: 1 } },
    state: 'open',
    count: { yes: 0, no: 1, abstain: 0 },
    voters: 3,
    quorum: 2,
    outcome: 'no-quorum',
    ownBallot: 'no',
    ballots: [{ voter: identityToText(user!.author.identity), own: true, choice: 'no', reason }],
    leftOut: [],
    signers: [],
  })
})

test('a reason stands beside the ballot that it was said for, and never beside a later one', async () => {
  await using village = await aVillage('admin', 'user')
  const [founder] = village.members
  const { governance } = founder!.registry
  const rules = { ...governance.chain(village.id).rules, inviterCap: 1 }
  const id = await propose(village, founder!, { kind: 'rule', rules })
  const ownBallot = () => tallyAnswer(founder!, village.id, id).ballots[0]
  governance.vote(village.id, id, 'yes', 'it is time')
  expect(ownBallot()).toMatchObject({ choice: 'yes', reason: 'it is time' })
  governance.vote(village.id, id, 'no')
  expect(ownBallot()).toMatchObject({ choice: 'no' })
  expect(ownBallot()).not.toHaveProperty('reason')
  governance.vote(village.id, id, 'no', 'I was wrong')
  expect(ownBallot()).toMatchObject({ choice: 'no', reason: 'I was wrong' })
})

test('an open upgrade says what its name means so far, and whether a vote or the highest version made it so', async () => {
  await using village = await aVillage('admin')
  const [founder] = village.members
  const [low, high] = ['1.0.0', '1.1.0'].map((version) => announce(founder!, version))
  const upgradeTo = ({ releaseId, manifest: { base } }: typeof low & object): Promise<Uint8Array> =>
    propose(village, founder!, { kind: 'upgrade', capability: 'biology', base: base.id, release: releaseId })
  const meaningOf = (id: Uint8Array) => proposalAnswer(founder!, village.id, id).meaning
  const back = await upgradeTo(low!)
  expect(meaningOf(back)).toMatchObject({ release: { release: 'biology@1.1.0' }, proposed: 'lower', byChannel: false })
  expect(meaningOf(await upgradeTo(high!))).toMatchObject({ proposed: 'the same', byChannel: false })
  await village.accept(back)
  expect(meaningOf(back)).toBeUndefined()
  const { releaseId, manifest } = high!
  const action = { kind: 'upgrade', capability: 'biology', base: manifest.base.id, release: releaseId } as const
  const forth = await propose(village, founder!, { ...action, current: low!.releaseId })
  expect(meaningOf(forth)).toMatchObject({ release: { release: 'biology@1.0.0' }, proposed: 'higher', byChannel: true })
})
