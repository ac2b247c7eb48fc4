import { expect, test } from 'vitest'
import { fromHex } from '../protocol/index.ts'
import { cardsOf } from './release-cards.ts'
import { aPublisher, anAdapterFile, publish } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'
import { withdrawRelease } from './withdraw-release.ts'

test('a withdrawn release is not offered to new plans, stays held, and is found by its id with the reason', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const { releaseId, release } = await publish(node, { path, name: 'law', version: '1.0.0' })
  await publish(node, { path, name: 'law', version: '1.0.1' })
  const reason = 'trained on the wrong edition'
  const result = withdrawRelease(node, { release: 'law@1.0.0', reason })
  expect(result).toEqual({ release, releaseId, reason, state: 'withdrawn', message: undefined })
  const entries = node.registry.catalogue()
  const cards = cardsOf(entries).map(({ version, withdrawn }) => [version, withdrawn])
  expect(cards.toSorted()).toEqual([
    ['1.0.0', reason],
    ['1.0.1', undefined],
  ])
  expect(node.releases.get(releaseId)).toBeDefined()
  expect(node.registry.release(fromHex(releaseId))?.withdrawn).toBe(reason)
})

test('withdrawing twice changes nothing, and gives no second reason', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const { releaseId } = await publish(node, { path, name: 'law' })
  const first = withdrawRelease(node, { release: releaseId.slice(0, 12), reason: 'wrong' })
  expect(withdrawRelease(node, { release: 'law', reason: 'wrong' })).toEqual(first)
  expect(() => withdrawRelease(node, { release: 'law', reason: 'other' })).toThrow(
    expect.objectContaining({ code: 'already-exists' }),
  )
})

test('only a release of ones own, and one that is named without doubt, can be withdrawn', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  for (const version of ['1.0.0', '1.0.1']) await publish(node, { path, name: 'law', version })
  expect(() => withdrawRelease(node, { release: 'biology@1.0.0', reason: 'x' })).toThrow(
    expect.objectContaining({ code: 'not-found' }),
  )
  expect(() => withdrawRelease(node, { release: 'law', reason: 'x' })).toThrow(
    expect.objectContaining({
      code: 'bad-input',
      details: { release: 'law', ids: [expect.any(String), expect.any(String)] },
    }),
  )
})
