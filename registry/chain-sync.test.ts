// How two nodes that hold different chains come to hold the same.
import { expect, test } from 'vitest'
import { communityLink, communityTopic, toHex } from '../protocol/index.ts'
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

/** A node that follows the village and has its genesis, and the topic on which it is met. */
async function aFollower(village: PaperVillage) {
  const topic = communityTopic(village.genesis.id)
  const mesh = new MemoryMesh()
  const node = await aNode(mesh, 'erin')
  const broken: string[] = []
  node.registry.onEvent((event) => {
    if (event.kind === 'peer-broke-rules') broken.push(event.kind)
  })
  node.registry.followCommunity(communityLink(village.genesis.id))
  await quiet()
  const first = await RawPeer.greet(mesh, topic)
  await first.hear('want-genesis/1')
  await first.say({ type: 'genesis/1', topic, sealed: village.genesis.sealed })
  await node.registry.until(() => node.registry.communities()[0]?.state === 'following', AbortSignal.timeout(10_000))
  await first.hear('chain/1')
  const held = (): string[] => node.registry.governance.certificates(village.genesis.id).map(({ id }) => toHex(id))
  return {
    mesh,
    topic,
    first,
    broken,
    held,
    meet: async () => {
      const peer = await RawPeer.greet(mesh, topic)
      await peer.hear('chain/1')
      return peer
    },
    async [Symbol.asyncDispose]() {
      await first[Symbol.asyncDispose]()
      await node[Symbol.asyncDispose]()
    },
  }
}

/** Answers a request for certificates as a peer with this chain; from where it was asked. */
async function answer(peer: RawPeer, topic: Uint8Array, chain: readonly OpenedCertificate[]): Promise<number> {
  const { from } = await peer.hear('want-certificates/1')
  const certificates = chain.slice(from, from + 64).map(({ sealed }) => sealed)
  await peer.say({ type: 'certificates/1', topic, from, certificates })
  return from
}

async function tell(peer: RawPeer, topic: Uint8Array, chain: readonly OpenedCertificate[]): Promise<void> {
  await peer.say({ type: 'chain/1', topic, length: chain.length, head: chain.at(-1)!.id })
}

test('where a peer holds another branch, the place is found in steps; it is told of the own one, and nobody is blamed', async () => {
  const { village, hers, theirs } = torn()
  await using follower = await aFollower(village)
  const { topic, first, held } = follower
  await tell(first, topic, theirs)
  expect([await answer(first, topic, theirs), await answer(first, topic, theirs)]).toEqual([0, 64])
  await quiet()
  expect(held()).toEqual(theirs.map(({ id }) => toHex(id)))

  await using alice = await follower.meet()
  await tell(alice, topic, hers)
  const asked = [await answer(alice, topic, hers), await answer(alice, topic, hers), await answer(alice, topic, hers)]
  expect(asked).toEqual([theirs.length, common - 1, common])
  await tell(alice, topic, hers)
  await alice.settled()
  expect(alice.heard('want-certificates/1')).toBe(0)
  expect(held()).toEqual(theirs.map(({ id }) => toHex(id)))
  expect(follower.broken).toEqual([])
})

test('one whose longer branch is overruled asks whoever has the shorter one, and takes it over', async () => {
  const { village, hers, theirs } = torn()
  await using follower = await aFollower(village)
  const { topic, first, held } = follower
  await tell(first, topic, hers)
  await answer(first, topic, hers)
  await answer(first, topic, hers)
  await quiet()
  expect(held()).toHaveLength(hers.length)
  await using bob = await follower.meet()
  await tell(bob, topic, theirs)
  expect(await answer(bob, topic, theirs)).toBe(theirs.length - 1)
  await quiet()
  expect(held()).toEqual(theirs.map(({ id }) => toHex(id)))
})

test('a node that heard of a wiped past first comes to hold what the community built on, as soon as it is shown', async () => {
  const village = new PaperVillage({ alice: 'admin', bob: 'user', carol: 'user', dave: 'user' }, { quorum: 0 })
  const proposal = village.proposal('bob', { kind: 'admit', identity: village.author('bob').identity, role: 'admin' })
  const ballots = village.ballots(proposal, { bob: 'yes', carol: 'yes', dave: 'yes' })
  const decision = village.counted(proposal, ballots, { lies: { electorate: 'members' } })
  const wiped = [village.signed(decision, { by: ['bob', 'carol', 'dave'] })]
  for (let n = 0; n < 5; n++) village.accept('carol', upgradeTo(`${n}`, n === 0 ? undefined : `${n - 1}`))
  await using follower = await aFollower(village)
  const { topic, first, held } = follower
  await tell(first, topic, wiped)
  await answer(first, topic, wiped)
  await quiet()
  expect(held()).toHaveLength(1)
  await using carol = await follower.meet()
  await tell(carol, topic, village.certificates)
  expect([await answer(carol, topic, village.certificates), await answer(carol, topic, village.certificates)]).toEqual([
    1, 0,
  ])
  await quiet()
  expect(held()).toEqual(village.certificates.map(({ id }) => toHex(id)))
})

test('certificates that nobody asked for are not looked at, be they right or wrong', async () => {
  const { village, theirs } = torn()
  await using follower = await aFollower(village)
  const { topic, first, held } = follower
  const right = theirs.slice(0, 1).map(({ sealed }) => sealed)
  const unasked = async (from: number, certificates: Uint8Array[]): Promise<void> => {
    await first.say({ type: 'certificates/1', topic, from, certificates })
    await first.settled()
  }
  await unasked(0, right)
  await unasked(0, [new Uint8Array(700)])
  expect(held()).toEqual([])
  await tell(first, topic, theirs)
  expect(await first.hear('want-certificates/1')).toMatchObject({ from: 0 })
  await unasked(1, right)
  expect(held()).toEqual([])
  await unasked(0, right)
  expect(held()).toHaveLength(1)
  expect(follower.broken).toEqual([])
})

test('a peer that sends a certificate nobody can hold is let go; what came before it in the message is kept', async () => {
  const { village, hers } = torn()
  await using follower = await aFollower(village)
  const { topic, first, held } = follower
  const proposal = village.proposal('bob', upgradeTo('trojan'))
  const here = { previous: hers[0]!.id, position: 1 }
  const decision = village.counted(proposal, village.ballots(proposal, { bob: 'yes' }), { lies: here })
  const forged = village.signed(decision, { by: ['bob'] })
  await tell(first, topic, [hers[0]!, forged])
  await answer(first, topic, [hers[0]!, forged])
  await first.closed
  await quiet()
  expect(held()).toEqual([toHex(hers[0]!.id)])
  expect(follower.broken).toHaveLength(1)
})
