import { expect, test } from 'vitest'
import { toHex } from '../../protocol/index.ts'
import { aVillage } from '../govern/testing/village.ts'
import { aHash } from '../../testing/objects.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { reputationAnswer } from './reputation-answer.ts'
import { openReputation } from './reputation.ts'

test('shows who is connected, newcomers too, with what is known of them', async () => {
  await using village = await aVillage('admin')
  await using folder = await temporaryFolder()
  const { author, registry } = village.members[0]!
  const parts = { path: `${folder.path}/reputation.json`, registry, self: author.identity, clock: () => 0, log() {} }
  await using reputation = await openReputation(parts)
  const [known, newcomer] = [aHash(1), aHash(2)]
  const transfer = reputation.watchTransfer(() => 0)
  transfer.served([{ kind: 'noise', id: toHex(known), client: 'c', receivedBytes: 2 ** 26, sentBytes: 0 }])
  const peers = [known, newcomer, undefined].map((transferKey) => ({
    id: 'x',
    agent: '',
    sharedTopics: [],
    transferKey,
  }))
  expect(reputationAnswer(reputation, peers)).toMatchObject({
    standings: [
      { subject: `noise:${toHex(known)}`, connected: true, score: 0.25, goodBytes: 2 ** 26 },
      { subject: `noise:${toHex(newcomer)}`, connected: true, score: 0, why: 'Nothing is known of it yet.' },
    ],
  })
  expect(reputationAnswer(reputation, [])).toMatchObject({ standings: [{ connected: false }] })
})
