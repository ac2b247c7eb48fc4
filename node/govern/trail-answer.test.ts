import { expect, test } from 'vitest'
import { trailAnswers } from './trail-answer.ts'
import { aHash } from '../../testing/objects.ts'
import { announce, aVillage } from './testing/village.ts'

test('a patch says between which releases, and how large it is', async () => {
  await using village = await aVillage('admin')
  const [founder] = village.members
  const { registry, author } = founder!
  const [from, to] = ['1.0.0', '1.1.0'].map((version) => announce(founder!, version).releaseId)
  const sizes = { sha256: aHash(5), bytes: 140_288, codec: 'zstd', infohash: aHash(6).slice(0, 20) }
  registry.publishPatch({ from: from!, to: to!, ...sizes })
  const { entries } = registry.audit.trail(village.id, { types: new Set(['patch']), limit: 10 })
  const subject = { registry, community: village.id, self: author.identity }
  expect(trailAnswers(subject, entries)).toMatchObject([
    { type: 'patch', said: { from: { release: 'biology@1.0.0' }, to: { release: 'biology@1.1.0' }, bytes: 140_288 } },
  ])
})
