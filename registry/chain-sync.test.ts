// How two nodes that hold different chains come to hold the same.
import { expect, test } from 'vitest'
import { communityLink, communityTopic } from '../protocol/index.ts'
import type { OpenedCertificate } from '../protocol/index.ts'
import { PaperVillage, upgradeTo } from './governance/testing/paper-village.ts'
import { quiet } from './governance/testing/village.ts'
import { MemoryMesh } from './memory-exchange.ts'
import { aNode } from './testing/builders.ts'
import { RawPeer } from './testing/raw-peer.ts'

const common = 65

/** Alice decides by herself, again and again; the others overruled her after so many certificates, and she does not know. */
function torn() {
  const village = new PaperVillage({ alice: 'admin', bob: 'user', carol: 'user', dave: 'user' }, { quorum: 0 })
  const alone = (n: number): OpenedCertificate => {
    const proposal = village.proposal('alice', { ...upgradeTo(`release ${n}`), capability: `skill-${n}` })
    return village.settle(village.counted(proposal, village.ballots(proposal, { alice: 'yes' })))
  }
  for (let n = 0; n < common; n++) alone(n)
  const admission = { kind: 'admit', identity: village.author('bob').identity, role: 'admin' } as const
  const proposal = village.proposal('bob', admission)
  const ballots = village.ballots(proposal, { bob: 'yes', carol: 'yes', dave: 'yes' })
  const decision = village.counted(proposal, ballots, { lies: { electorate: 'members' } })
  const overruling = village.signed(decision, { by: ['bob', 'carol', 'dave'] })
  for (let n = common; n < common + 2; n++) alone(n)
  return { village, hers: village.certificates, theirs: [...village.certificates.slice(0, common), overruling] }
}

test('a peer whose longer chain was overruled far from its start is told where, and what counts there', async () => {
  const { village, hers, theirs } = torn()
  const topic = communityTopic(village.genesis.id)
  const mesh = new MemoryMesh()
  await using node = await aNode(mesh, 'erin')
  node.registry.followCommunity(communityLink(village.genesis.id))
  await quiet()
  await using teacher = await RawPeer.greet(mesh, topic)
  await teacher.hear('want-genesis/1')
  await teacher.say({ type: 'genesis/1', topic, sealed: village.genesis.sealed })
  await node.registry.until(() => node.registry.communities()[0]?.state === 'following', AbortSignal.timeout(10_000))
  const show = async (peer: RawPeer, chain: readonly OpenedCertificate[]): Promise<number> => {
    const { from } = await peer.hear('want-certificates/1')
    const certificates = chain.slice(from, from + 64).map(({ sealed }) => sealed)
    await peer.say({ type: 'certificates/1', topic, from, certificates })
    return from
  }
  await teacher.say({ type: 'chain/1', topic, length: theirs.length, head: theirs.at(-1)!.id })
  expect([await show(teacher, theirs), await show(teacher, theirs)]).toEqual([0, 64])
  await quiet()
  expect(node.registry.governance.certificates(village.genesis.id)).toHaveLength(theirs.length)

  await using alice = await RawPeer.greet(mesh, topic)
  await alice.say({ type: 'chain/1', topic, length: hers.length, head: hers.at(-1)!.id })
  const asked = [await show(alice, hers), await show(alice, hers), await show(alice, hers)]
  expect(asked).toEqual([theirs.length, 0, 64])
  expect(await alice.hear('certificates/1')).toMatchObject({ from: common, certificates: [theirs.at(-1)!.sealed] })
  expect(node.registry.governance.certificates(village.genesis.id).at(-1)?.id).toEqual(theirs.at(-1)!.id)
})
