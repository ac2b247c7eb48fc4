import { expect, test } from 'vitest'
import { identityToText, toHex } from '../../protocol/index.ts'
import type { OperationEvent } from '../http/index.ts'
import { happeningsOf } from './registry-happenings.ts'
import { streamHappenings } from './stream-happenings.ts'
import { announce, aVillage, within } from './testing/village.ts'
import type { Village, Villager } from './testing/village.ts'

/** What a client of the stream gets, until it is stopped. */
function listening(node: Villager, wish: { community?: string } = {}, lastEventId?: string) {
  const controller = new AbortController()
  const events: OperationEvent[] = []
  const emit = (event: OperationEvent): void => void events.push(event)
  const done = streamHappenings(node, wish, { signal: controller.signal, emit, lastEventId })
  return {
    events,
    typesOf: (...types: string[]) => events.filter(({ type }) => types.includes(type)).map(({ type }) => type),
    async stop() {
      controller.abort()
      await done
    },
  }
}

function proposeUpgrade({ id, members: [founder] }: Village): Uint8Array {
  const release = announce(founder!, '1.0.0')
  const { base, name } = release.manifest
  const action = { kind: 'upgrade', capability: name, base: base.id, release: release.releaseId } as const
  const said = founder!.registry.governance.propose(id, action)
  if (said.kind !== 'appended') throw new Error(said.message)
  return said.record.id
}

test('a proposal, the ballots on it and the decision are told once each and in this order, to every node', async () => {
  await using village = await aVillage('admin', 'user')
  const listeners = village.members.map((member) => listening(member))
  const proposal = proposeUpgrade(village)
  await village.accept(proposal)
  for (const [i, listener] of listeners.entries()) {
    const { registry } = village.members[i]!
    await registry.until(() => listener.typesOf('decided').length > 0, within())
    await listener.stop()
    expect(listener.typesOf('proposal', 'ballot', 'decided')).toEqual(['proposal', 'ballot', 'ballot', 'decided'])
    expect(listener.events.find(({ type }) => type === 'decided')).toMatchObject({
      community: toHex(village.id),
      proposal: toHex(proposal),
      position: 0,
      outcome: 'accepted',
      count: { yes: 2, no: 0, abstain: 0 },
      signers: [identityToText(village.members[0]!.author.identity)],
    })
  }
})

test('what was there before the first listener is no news', async () => {
  await using village = await aVillage('admin')
  const [founder] = village.members
  await village.accept(proposeUpgrade(village))
  const listener = listening(founder!)
  founder!.registry.governance.invite(village.id)
  await listener.stop()
  expect(listener.events.map(({ type }) => type)).toEqual(['hello', 'records'])
})

test('whoever comes back gets what it missed; after another run it is told to read the state anew', async () => {
  await using village = await aVillage('admin')
  const [founder] = village.members
  const first = listening(founder!)
  await first.stop()
  const proposal = proposeUpgrade(village)
  await village.accept(proposal)
  const again = listening(founder!, {}, String(first.events[0]!['id']))
  await again.stop()
  expect(again.events[0]).toMatchObject({ type: 'hello', current: true, id: first.events[0]!['id'] })
  expect(again.typesOf('proposal', 'ballot', 'decided')).toEqual(['proposal', 'ballot', 'decided'])
  const stranger = listening(founder!, {}, 'another run-1')
  await stranger.stop()
  expect(stranger.events).toEqual([{ type: 'hello', id: happeningsOf(founder!).lastId, current: false }])
})

test('a stream of one community tells nothing of others, nor of what belongs to none', async () => {
  await using village = await aVillage('admin')
  const [founder] = village.members
  const { registry } = founder!
  const other = registry.createCommunity({ name: 'other' })
  const listener = listening(founder!, { community: 'village' })
  announce(founder!, '1.0.0')
  registry.governance.invite(other.id)
  registry.governance.invite(village.id)
  await listener.stop()
  expect(listener.events).toMatchObject([{ type: 'hello' }, { type: 'records', community: toHex(village.id) }])
  await expect(
    streamHappenings(founder!, { community: 'nobody' }, { signal: within(), emit() {} }),
  ).rejects.toMatchObject({
    code: 'not-found',
  })
})
