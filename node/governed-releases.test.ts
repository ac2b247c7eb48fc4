import { expect, test } from 'vitest'
import { toHex } from '../protocol/index.ts'
import { channelAnswers } from './govern/index.ts'
import { announce, aVillage } from './govern/testing/village.ts'
import type { Village } from './govern/testing/village.ts'
import { channelsOn, lostChannels } from './governed-releases.ts'

type Announced = ReturnType<typeof announce>

async function upgradeTo(
  { id, members: [founder], accept }: Village,
  { releaseId, manifest }: Announced,
): Promise<void> {
  const { governance } = founder!.registry
  const about = { capability: 'biology', base: manifest.base.id }
  const current = governance.channels(id)[0]?.release
  const said = governance.propose(id, {
    kind: 'upgrade',
    ...about,
    release: releaseId,
    ...(current === undefined ? {} : { current }),
  })
  if (said.kind !== 'appended') throw new Error(said.message)
  await accept(said.record.id)
}

test('a channel whose release its publisher withdrew counts as none, and says what to do', async () => {
  await using village = await aVillage('admin')
  const [founder] = village.members
  const { registry } = founder!
  const [first, second, third] = ['1.0.0', '1.1.0', '1.2.0'].map((version) => announce(founder!, version))
  const base = first!.manifest.base.id
  const meant = (): string | undefined =>
    registry.resolveBareName(village.id, 'biology', base)?.release.manifest.version
  await upgradeTo(village, second!)
  expect(channelsOn(registry, toHex(base))).toEqual(new Map([['biology', toHex(second!.releaseId)]]))
  expect([meant(), lostChannels(registry)]).toEqual(['1.1.0', []])

  registry.withdrawRelease(second!.releaseId, 'gives wrong doses')
  expect(channelsOn(registry, toHex(base))).toEqual(new Map())
  expect(meant()).toBe('1.2.0')
  const [lost] = lostChannels(registry)
  expect(lost).toMatchObject({ capability: 'biology', base: toHex(base), releaseId: toHex(second!.releaseId) })
  expect(lost!.sentence).toContain(
    'The channel biology leads to biology@1.1.0, which was withdrawn (gives wrong doses)',
  )
  // It has held nothing else: there is no way back.
  expect(lost!.sentence).toContain('Move the channel: `lora-mesh propose upgrade biology@VERSION`.')
  expect(channelAnswers(registry, village.id)).toMatchObject([{ capability: 'biology', lost: lost!.sentence }])

  await upgradeTo(village, third!)
  expect([meant(), lostChannels(registry)]).toEqual(['1.2.0', []])
  expect(channelAnswers(registry, village.id)[0]).not.toHaveProperty('lost')
  await upgradeTo(village, first!)
  registry.withdrawRelease(first!.releaseId, 'too old')
  expect(lostChannels(registry)[0]!.sentence).toContain('`lora-mesh propose rollback biology`, or `lora-mesh propose')
})
