import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  communityIdOfLink,
  communityLink,
  communityTopic,
  encodeWireMessage,
  limits,
  sha256,
  toHex,
  utf8,
  verifyRecord,
} from '../protocol/index.ts'
import type { SignedRecord, VerifiedRecord, WireMessage, WireMessageOf } from '../protocol/index.ts'
import { aGenesis } from '../testing/objects.ts'
import { ManualClock } from './clock.ts'
import { logKeyOf, logKeyText } from './log-key.ts'
import { MemoryMesh } from './memory-exchange.ts'
import type { RegistryEvent } from './registry-types.ts'
import {
  aLog,
  anAuthor,
  aNode,
  aRelease,
  continueLog,
  infohashOf,
  saysJob,
  saysRelease,
  saysUnknown,
} from './testing/builders.ts'
import type { TestNode, TestNodeOptions } from './testing/builders.ts'
import { RawPeer } from './testing/raw-peer.ts'

const bob = anAuthor('bob')
const stranger = anAuthor('stranger')

/** Alice's node with a community of Alice and Bob. */
async function aliceInKitchen(
  mesh: MemoryMesh,
  options: TestNodeOptions = {},
): Promise<{ node: TestNode; topic: Uint8Array; scope: string; link: string; id: Uint8Array }> {
  const node = await aNode(mesh, 'alice', options)
  const { link, id } = node.registry.createCommunity({ name: 'kitchen', members: [{ identity: bob.identity }] })
  return { node, link, id, topic: communityTopic(communityIdOfLink(link)), scope: toHex(id) }
}

function watch<K extends RegistryEvent['kind']>(node: TestNode, kind: K): Extract<RegistryEvent, { kind: K }>[] {
  const events: Extract<RegistryEvent, { kind: K }>[] = []
  node.registry.onEvent((event) => {
    if (event.kind === kind) events.push(event as Extract<RegistryEvent, { kind: K }>)
  })
  return events
}

function stateHash(node: TestNode, id: Uint8Array): string {
  return toHex(node.registry.state(id).stateHash)
}

function names(node: TestNode): string[] {
  return node.registry
    .catalogue()
    .map(({ manifest }) => manifest.name)
    .toSorted()
}

function publish(node: TestNode, name: string): void {
  const release = aRelease(node.author, { name })
  node.registry.publishRelease(release, infohashOf(release))
}

describe('a mesh', () => {
  test('five nodes in a star all get what each of them publishes', async () => {
    const mesh = new MemoryMesh({ shape: 'star' })
    const members = ['m1', 'm2', 'm3', 'm4'].map((name) => anAuthor(name))
    await using hub = await aNode(mesh, 'm0')
    const { link, id } = hub.registry.createCommunity({
      name: 'all',
      members: members.map(({ identity }) => ({ identity })),
    })
    await using m1 = await aNode(mesh, 'm1')
    await using m2 = await aNode(mesh, 'm2')
    await using m3 = await aNode(mesh, 'm3')
    await using m4 = await aNode(mesh, 'm4')
    const nodes = [hub, m1, m2, m3, m4]
    for (const node of nodes.slice(1)) node.registry.followCommunity(link)
    for (const [i, node] of nodes.entries()) publish(node, `skill-${i}`)
    for (const node of nodes) await node.registry.until(() => names(node).length === 5)
    expect(new Set(nodes.map((node) => stateHash(node, id))).size).toBe(1)
    expect(hub.registry.peers()).toHaveLength(4)
    expect(m1.registry.peers()).toHaveLength(1)
  })

  test('two halves that both went on agree again after the partition heals', async () => {
    const mesh = new MemoryMesh({ shape: 'full' })
    await using a = await aNode(mesh, 'alice')
    await using b = await aNode(mesh, 'bob')
    await using c = await aNode(mesh, 'carol')
    const { link, id } = a.registry.createCommunity({
      name: 'k',
      members: [b, c].map(({ author: { identity } }) => ({ identity })),
    })
    for (const node of [b, c]) node.registry.followCommunity(link)
    publish(a, 'before')
    for (const node of [b, c]) await node.registry.until(() => names(node).length === 1)
    mesh.cut(a.network, b.network)
    mesh.cut(a.network, c.network)
    await a.registry.until(() => a.registry.peers().length === 0)
    publish(a, 'alone')
    publish(b, 'together')
    publish(c, 'also')
    await c.registry.until(() => names(c).length === 3)
    expect(names(a)).toEqual(['alone', 'before'])
    expect(stateHash(a, id)).not.toBe(stateHash(b, id))
    mesh.heal()
    for (const node of [a, b, c]) await node.registry.until(() => names(node).length === 4)
    expect(new Set([a, b, c].map((node) => stateHash(node, id))).size).toBe(1)
  })

  test('a node that comes later than the publisher left gets everything from who stayed', async () => {
    const mesh = new MemoryMesh()
    await using b = await aNode(mesh, 'bob')
    const { node: a, link } = await aliceInKitchen(mesh)
    b.registry.followCommunity(link)
    publish(a, 'recipes')
    await b.registry.until(() => names(b).length === 1)
    await a[Symbol.asyncDispose]()
    await using d = await aNode(mesh, 'dora')
    expect(d.registry.followCommunity(link).state).toBe('waiting-for-genesis')
    await d.registry.until(() => names(d).length === 1)
    expect(d.registry.communities()).toMatchObject([{ state: 'following', name: 'kitchen', role: undefined }])
  })

  test('a follower whose only peer learns of the community later still gets its genesis, before anybody says anything', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-genesis-'))
    const path = join(folder, 'alice.sqlite')
    const { node: founder, link } = await aliceInKitchen(new MemoryMesh(), { path })
    await founder[Symbol.asyncDispose]()

    const mesh = new MemoryMesh({ shape: 'star' })
    await using hub = await aNode(mesh, 'bob')
    await using follower = await aNode(mesh, 'carol')
    for (const { registry } of [hub, follower]) registry.followCommunity(link)
    await follower.registry.until(() => follower.registry.peers()[0]?.sharedTopics.length === 1)
    await using alice = await aNode(mesh, 'alice', { path })
    await follower.registry.until(() => follower.registry.communities()[0]?.state === 'following')
    expect(alice.registry.peers()).toHaveLength(1)
    rmSync(folder, { recursive: true, force: true })
  })

  test('a log longer than one answer arrives whole', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    const long = aLog(
      bob,
      'public',
      Array.from({ length: 900 }, (_, i) => saysUnknown(`${i}${'x'.repeat(1_000)}`)),
    )
    await using peer = await RawPeer.greet(mesh, topic)
    void peer.serve(long)
    await peer.sayHeads(topic, long)
    let count = 0
    alice.registry.onEvent((event) => (count += event.kind === 'records' ? event.count : 0))
    await alice.registry.until(() => count === long.length)
    await using reader = await RawPeer.greet(mesh, topic)
    const got: number[] = []
    while (got.length < long.length) {
      const from = got.length
      await reader.say({ type: 'want-records/1', topic, ...logKeyOf(long[0]!.fields), from, to: long.length })
      const { records } = await reader.hear('records/1')
      expect(records.length).toBeGreaterThan(0)
      got.push(...records.map(({ body }) => body.length))
    }
    expect(got).toEqual(long.map(({ body }) => body.length))
  })

  test('records of types it does not know are passed on byte for byte', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    const log = aLog(bob, 'public', [saysUnknown('from the future')])
    await using giver = await RawPeer.greet(mesh, topic)
    const received = watch(alice, 'records')
    void giver.serve(log)
    await giver.sayHeads(topic, log)
    await alice.registry.until(() => received.length > 0)
    await using taker = await RawPeer.greet(mesh, topic)
    await taker.say({ type: 'want-records/1', topic, ...logKeyOf(log[0]!.fields), from: 1, to: 2 })
    const { records } = await taker.hear('records/1')
    expect(records).toEqual([{ envelope: log[1]!.envelope, body: log[1]!.body }])
  })
})

describe('an author that forked', () => {
  const start = aLog(bob, 'public', [
    saysRelease(aRelease(bob, { name: 'honest' })),
    saysUnknown('a'),
    saysUnknown('b'),
  ])
  const one = [...start, ...continueLog(bob, 'public', start, ['x', 'y', 'z'].map(saysUnknown))]
  const two = [...start, ...continueLog(bob, 'public', start, [saysRelease(aRelease(bob, { name: 'forked' }))])]

  test.each([
    ['the longer history first', one, two],
    ['the shorter history first', two, one],
  ])('is found out by halving, wherever the histories part: %s', async (_, seenFirst, seenLater) => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    const forks = watch(alice, 'fork')
    for (const log of [seenFirst, seenLater]) {
      await using peer = await RawPeer.greet(mesh, topic)
      void peer.serve(log)
      const done = alice.registry.until(
        () => names(alice).includes('honest') && (log === seenFirst || forks.length > 0),
      )
      await peer.sayHeads(topic, log)
      await done
    }
    expect(forks).toMatchObject([{ index: 4, own: false }])
    expect(names(alice)).toEqual(['honest'])
    expect(alice.registry.peers().every(({ agent }) => agent === 'raw')).toBe(true)
  })

  test('is void from the same record on at every node, whichever history each saw; the proof is passed on', async () => {
    const mesh = new MemoryMesh({ shape: 'star' })
    const { node: a, topic, link, id } = await aliceInKitchen(mesh)
    await using alice = a
    await using carol = await aNode(mesh, 'carol')
    await using dora = await aNode(mesh, 'dora')
    for (const node of [carol, dora]) node.registry.followCommunity(link)
    const nodes = [alice, carol, dora]
    const forks = nodes.map((node) => watch(node, 'fork'))
    await using first = await RawPeer.greet(mesh, topic)
    void first.serve(one)
    await first.sayHeads(topic, one)
    for (const node of nodes) await node.registry.until(() => names(node).length === 1)
    await using second = await RawPeer.greet(mesh, topic)
    void second.serve(two)
    await second.sayHeads(topic, two)
    for (const [i, node] of nodes.entries()) await node.registry.until(() => forks[i]!.length > 0)
    expect(forks.map((events) => events.map(({ index }) => index))).toEqual([[4], [4], [4]])
    expect(new Set(nodes.map((node) => stateHash(node, id))).size).toBe(1)

    await using late = await aNode(mesh, 'late')
    late.registry.followCommunity(link)
    await late.registry.until(() => names(late).length === 1)
    await late.registry.until(() => stateHash(late, id) === stateHash(alice, id))
  })

  test('has the same state everywhere, also where two nodes had proof of different forks', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-forks-'))
    const path = join(folder, 'carol.sqlite')
    const mesh = new MemoryMesh()
    const { node, topic, link, id } = await aliceInKitchen(mesh)
    await using alice = node
    const meet = async (): Promise<TestNode> => {
      const carol = await aNode(mesh, 'carol', { path })
      carol.registry.followCommunity(link)
      await carol.registry.until(() => carol.registry.communities()[0]?.state === 'following')
      return carol
    }
    await (await meet())[Symbol.asyncDispose]()

    const showTo = async (node: TestNode, room: MemoryMesh, ...logs: readonly (readonly VerifiedRecord[])[]) => {
      const forks = watch(node, 'fork')
      for (const log of logs) {
        await using raw = await RawPeer.greet(room, topic)
        void raw.serve(log)
        const seen = node.registry.until(() => names(node).length > 0 && (log === logs[0] || forks.length > 0))
        await raw.sayHeads(topic, log)
        await seen
      }
      return forks.map(({ index }) => index)
    }
    const three = [
      ...one.slice(0, 5),
      ...continueLog(bob, 'public', one.slice(0, 5), ['other', 'end'].map(saysUnknown)),
    ]
    const elsewhere = new MemoryMesh()
    const carolAlone = await aNode(elsewhere, 'carol', { path })
    expect(await showTo(carolAlone, elsewhere, one, two)).toEqual([4])
    await carolAlone[Symbol.asyncDispose]()
    expect(await showTo(alice, mesh, one, three)).toEqual([5])

    await using carol = await meet()
    await alice.registry.until(() => stateHash(alice, id) === stateHash(carol, id))
    const forks = alice.registry.state(id).parts.flatMap(({ forks }) => forks)
    expect(forks).toMatchObject([{ scope: 'public', index: 4 }])
    await carol[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
})

describe('a hostile peer', () => {
  const log = aLog(bob, 'public', [saysRelease(aRelease(bob)), saysUnknown('a'), saysUnknown('b')])

  /** Alice's node, and a raw peer that was asked for Bob's log. */
  async function asked(): Promise<{
    node: TestNode
    peer: RawPeer
    wanted: WireMessageOf<'want-records/1'>
    broken: RegistryEvent[]
    scope: string
  }> {
    const mesh = new MemoryMesh()
    const { node, topic, scope } = await aliceInKitchen(mesh)
    const peer = await RawPeer.greet(mesh, topic)
    const broken = watch(node, 'peer-broke-rules')
    await peer.sayHeads(topic, log)
    return { node, peer, wanted: await peer.hear('want-records/1'), broken, scope }
  }

  const kitchenOfOthers = 'cd'.repeat(32)
  const answers: readonly [string, string, (wanted: WireMessageOf<'want-records/1'>) => readonly SignedRecord[]][] = [
    ['a changed body', 'hash-mismatch', () => [log[0]!, { envelope: log[1]!.envelope, body: saysUnknown('no').body }]],
    ['a changed signature', 'bad-signature', () => [withWrongSignature(log[0]!), ...log.slice(1)]],
    ['bytes that are no record', 'malformed', () => [{ envelope: utf8('hello'), body: utf8('world') }]],
    ['a log of another author', 'malformed', () => aLog(stranger, 'public', [saysUnknown('spam')])],
    ['a log of another community', 'malformed', () => aLog(bob, kitchenOfOthers, [saysJob('spam')])],
    ['a gap', 'malformed', () => [log[0]!, log[2]!]],
    ['a start beyond what was asked for', 'malformed', () => log.slice(1)],
    ['the same record twice, and then more than was asked for', 'malformed', () => [log[0]!, log[0]!, log[3]!]],
    [
      'a log without a certificate',
      'bad-certificate',
      () => continueLog(bob, 'public', [], [saysUnknown('no opening')]),
    ],
    ["a log whose device is not its author's", 'bad-certificate', () => forgedLog()],
  ]

  test.each(answers)(
    'that answers with %s is let go with the reason, and nothing of it is kept',
    async (_, code, answer) => {
      const { node, peer, wanted, broken } = await asked()
      await using alice = node
      const forged = answer(wanted)
      await (code === 'bad-certificate' ? sayForged(peer, wanted, forged) : peer.sayRecords(wanted, forged))
      await peer.closed
      await alice.registry.until(() => broken.length > 0)
      expect(broken).toMatchObject([{ peer: peer.id, error: { code } }])
      expect((await peer.hear('goodbye/1')).reason.length).toBeGreaterThan(0)
      expect(alice.registry.catalogue()).toEqual([])
      expect(alice.registry.peers()).toEqual([])
    },
  )

  test('that hides a wrong signature among many records is let go, and nothing of that answer is kept', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    const many = aLog(bob, 'public', [
      saysRelease(aRelease(bob)),
      ...Array.from({ length: 200 }, () => saysUnknown('x')),
    ])
    await using liar = await RawPeer.greet(mesh, topic)
    const broken = watch(alice, 'peer-broke-rules')
    await liar.sayHeads(topic, many)
    await liar.sayRecords(
      await liar.hear('want-records/1'),
      many.map((record, i) => (i === 150 ? withWrongSignature(record) : record)),
    )
    await alice.registry.until(() => broken.length > 0)
    expect(broken).toMatchObject([{ peer: liar.id, error: { code: 'bad-signature' } }])
    expect(alice.registry.catalogue()).toEqual([])
  })

  test('does not keep an honest one from bringing the same log', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    await using liar = await RawPeer.greet(mesh, topic)
    await liar.sayHeads(topic, log)
    const wanted = await liar.hear('want-records/1')
    await using honest = await RawPeer.greet(mesh, topic)
    void honest.serve(log)
    await honest.sayHeads(topic, log)
    await honest.settled()
    await liar.sayRecords(wanted, [withWrongSignature(log[0]!)])
    await alice.registry.until(() => names(alice).length === 1)
  })

  test('that never answers is passed over for one that does, and let go in the end', async () => {
    const clock = new ManualClock()
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh, { clock })
    await using alice = node
    await using silent = await RawPeer.greet(mesh, topic)
    const broken = watch(alice, 'peer-broke-rules')
    for (let i = 0; i < 3; i++) {
      await silent.sayHeads(topic, log)
      await silent.hear('want-records/1')
      if (i === 0) {
        await using honest = await RawPeer.greet(mesh, topic)
        void honest.serve(log.slice(0, 2))
        await honest.sayHeads(topic, log.slice(0, 2))
        await honest.settled()
        clock.advance(20_000)
        await alice.registry.until(() => names(alice).length === 1)
      } else clock.advance(20_000)
    }
    await silent.closed
    await alice.registry.until(() => broken.length > 0)
    expect(broken).toMatchObject([{ error: { code: 'timeout' } }])
  })

  test('that announces a head its records contradict is let go', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    await using honest = await RawPeer.greet(mesh, topic)
    void honest.serve(log)
    await honest.sayHeads(topic, log)
    await alice.registry.until(() => names(alice).length === 1)
    await using liar = await RawPeer.greet(mesh, topic)
    void liar.serve(log)
    const broken = watch(alice, 'peer-broke-rules')
    await liar.say({
      type: 'heads/1',
      topic,
      logs: [{ ...logKeyOf(log[0]!.fields), length: 3, head: sha256(utf8('made up')) }],
    })
    await liar.closed
    await alice.registry.until(() => broken.length > 0)
    expect(broken).toMatchObject([{ error: { code: 'chain-broken' } }])
  })

  test.each([
    ['bytes that are no message', utf8('hello')],
    ['an empty frame', new Uint8Array()],
    ['a second greeting', encodeWireMessage({ type: 'hello/1', versions: [1], agent: 'again' })],
    ['a message with a field too many', encodeTopicsWithExtra()],
  ])('that says %s is let go', async (_, frame) => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    await using peer = await RawPeer.greet(mesh, topic)
    const broken = watch(alice, 'peer-broke-rules')
    await peer.settled()
    await peer.sayBytes(frame)
    await peer.closed
    await alice.registry.until(() => broken.length > 0)
    expect(broken).toMatchObject([{ error: { code: 'malformed' } }])
  })

  test('that speaks before greeting, or in no common version, is let go', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    const broken = watch(alice, 'peer-broke-rules')
    await using rude = await RawPeer.meet(mesh, topic)
    await rude.say({ type: 'topics/1', topics: [topic] })
    await rude.closed
    await using future = await RawPeer.meet(mesh, topic)
    await future.say({ type: 'hello/1', versions: [7, 8], agent: 'from the future' })
    await future.closed
    await alice.registry.until(() => broken.length === 2)
    expect(broken).toMatchObject([{ error: { code: 'malformed' } }, { error: { code: 'version-mismatch' } }])
  })

  test('that says nothing is let go after a while', async () => {
    const clock = new ManualClock()
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh, { clock })
    await using alice = node
    await using silent = await RawPeer.meet(mesh, topic)
    await silent.hear('hello/1')
    clock.advance(20_000)
    await silent.closed
    expect(alice.registry.peers()).toEqual([])
  })

  test('with three strikes is not let in for an hour', async () => {
    const clock = new ManualClock()
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh, { clock })
    await using alice = node
    const broken = watch(alice, 'peer-broke-rules')
    for (let i = 0; i < 3; i++) {
      const peer = await RawPeer.greet(mesh, topic, 'mallory')
      await peer.sayBytes(utf8('hello'))
      await peer.closed
      await alice.registry.until(() => broken.length === i + 1)
      await peer[Symbol.asyncDispose]()
    }
    const refused = await RawPeer.greet(mesh, topic, 'mallory')
    await refused.closed
    await expect(refused.hear('hello/1')).rejects.toThrow('the connection ended')
    await refused[Symbol.asyncDispose]()
    clock.advance(3_600_000)
    await using back = await RawPeer.greet(mesh, topic, 'mallory')
    await back.settled()
  })

  test('that floods is let go', async () => {
    const mesh = new MemoryMesh()
    const { node, topic } = await aliceInKitchen(mesh)
    await using alice = node
    await using peer = await RawPeer.greet(mesh, topic)
    const broken = watch(alice, 'peer-broke-rules')
    const flood = (async () => {
      for (let i = 0; i < 7_000 && broken.length === 0; i++) {
        await peer.say({ type: 'topics/1', topics: [topic] })
      }
    })()
    await peer.closed
    await flood
    await alice.registry.until(() => broken.length > 0)
    await alice.registry.until(() => broken.length > 0)
    expect(broken).toMatchObject([{ error: { code: 'quota-exceeded' } }])
  })

  test('that hands over another genesis than the link names is let go, and the true one is taken', async () => {
    const genuine = aGenesis()
    const topic = communityTopic(genuine.id)
    const mesh = new MemoryMesh()
    await using carol = await aNode(mesh, 'carol')
    carol.registry.followCommunity(communityLink(genuine.id))
    const broken = watch(carol, 'peer-broke-rules')
    await using liar = await RawPeer.greet(mesh, topic)
    await liar.hear('want-genesis/1')
    await liar.say({ type: 'genesis/1', topic, sealed: aGenesis({ name: 'another' }).sealed })
    await liar.closed
    await carol.registry.until(() => broken.length > 0)
    expect(broken).toMatchObject([{ error: { code: 'bad-signature' } }])
    expect(carol.registry.communities()).toMatchObject([{ state: 'waiting-for-genesis' }])
    await using honest = await RawPeer.greet(mesh, topic)
    await honest.hear('want-genesis/1')
    await honest.say({ type: 'genesis/1', topic, sealed: genuine.sealed })
    await carol.registry.until(() => carol.registry.communities()[0]?.state === 'following')
  })
})

describe('what is kept for others', () => {
  test("a follower's wishes within the quota, and nothing else of a follower", async () => {
    const mesh = new MemoryMesh()
    const { node, topic, scope } = await aliceInKitchen(mesh)
    await using alice = node
    await using peer = await RawPeer.greet(mesh, topic)
    const wishes = aLog(
      stranger,
      scope,
      Array.from({ length: 40 }, (_, i) => saysJob(`wish-${i}`)),
    )
    const chatty = aLog(anAuthor('chatty'), scope, [saysJob('one'), saysUnknown('a long story'), saysJob('two')])
    const publicLog = aLog(stranger, 'public', [saysRelease(aRelease(stranger))])
    void serveAll(peer, [wishes, chatty, publicLog])
    await peer.sayHeads(topic, wishes, chatty, publicLog)
    await alice.registry.until(() => alice.registry.jobs().length === limits.followerLogMaxRecords)
    await peer.settled()
    const kept = Map.groupBy(alice.registry.jobs(), ({ author }) => toHex(author))
    expect(kept.get(toHex(stranger.identity))).toHaveLength(limits.followerLogMaxRecords - 1)
    expect(kept.get(toHex(anAuthor('chatty').identity))).toHaveLength(1)
    expect(alice.registry.catalogue({ anyPublisher: true })).toEqual([])
    // What was over the quota is not asked for again and again.
    await peer.sayHeads(topic, wishes, chatty, publicLog)
    await peer.settled()
    expect(peer.heard('want-records/1')).toBe(0)
  })

  test('of at most so many followers', async () => {
    const mesh = new MemoryMesh()
    const { node, topic, scope } = await aliceInKitchen(mesh)
    await using alice = node
    await using peer = await RawPeer.greet(mesh, topic)
    const crowd = Array.from({ length: limits.followersPerCommunityMax + 20 }, (_, i) =>
      aLog(anAuthor(`sybil ${i}`), scope, [saysJob(`wish-${i}`)]),
    )
    void serveAll(peer, crowd)
    await peer.sayHeads(topic, ...crowd)
    await alice.registry.until(() => alice.registry.jobs().length === limits.followersPerCommunityMax)
    await peer.settled()
    expect(alice.registry.jobs()).toHaveLength(limits.followersPerCommunityMax)
  })

  test("an outsider's public log only when the user asked for any publisher, and marked as such", async () => {
    const mesh = new MemoryMesh()
    await using outsider = await aNode(mesh, 'outsider')
    const release = aRelease(outsider.author, { name: 'wine-pairing' })
    outsider.registry.publishRelease(release, infohashOf(release))
    await using c = await aNode(mesh, 'carol')
    expect(c.registry.catalogue({ anyPublisher: true })).toEqual([])
    c.registry.seekCapability('wine-pairing', release.manifest.base.id)
    await c.registry.until(() => c.registry.catalogue({ anyPublisher: true }).length === 1)
    expect(c.registry.catalogue({ anyPublisher: true })[0]).toMatchObject({ outsider: true, member: false, own: false })
    expect(c.registry.catalogue()).toEqual([])
  })

  test('nothing is handed out under a topic that it does not belong to', async () => {
    const mesh = new MemoryMesh()
    const { node, scope } = await aliceInKitchen(mesh)
    await using alice = node
    const second = alice.registry.createCommunity({ name: 'cellar' })
    const secret = aRelease(alice.author, { name: 'secret' })
    alice.registry.publishRelease(secret, infohashOf(secret), scope)
    const cellar = communityTopic(second.id)
    await using peer = await RawPeer.greet(mesh, cellar)
    const key = { scope, author: alice.author.identity, device: alice.author.device.publicKey }
    await peer.say({ type: 'want-records/1', topic: cellar, ...key, from: 0, to: 10 })
    expect((await peer.hear('records/1')).records).toEqual([])
    await peer.say({ type: 'want-records/1', topic: communityTopic(second.id).toReversed(), ...key, from: 0, to: 10 })
    await peer.settled()
    expect(peer.heard('records/1')).toBe(0)
  })
})

describe('asking for seeders', () => {
  const torrent = new Uint8Array(20).fill(7)

  test('finds those that serve a torrent, also one that comes later, and ends when told', async () => {
    const mesh = new MemoryMesh({ shape: 'full' })
    const { node, link } = await aliceInKitchen(mesh)
    await using asker = node
    const servesTorrent = (infohash: Uint8Array): boolean => infohash[0] === 7
    await using b = await aNode(mesh, 'bob', { servesTorrent })
    await using c = await aNode(mesh, 'carol')
    for (const other of [b, c]) other.registry.followCommunity(link)
    await asker.registry.until(() => asker.registry.peers().length === 2)
    const stop = new AbortController()
    const found: string[] = []
    for await (const { infohash, transferKey } of asker.registry.askSeeds([torrent], stop.signal)) {
      expect(infohash).toEqual(torrent)
      found.push(toHex(transferKey))
      if (found.length === 2) stop.abort()
      else if (found.length === 1) {
        const late = await aNode(mesh, 'late', { servesTorrent })
        late.registry.followCommunity(link)
      }
    }
    expect(found).toEqual(['bob', 'late'].map((name) => toHex(sha256(utf8(`transfer key of ${name}`)))))
  })

  test('asks again after a while, for a peer may have fetched it by then', async () => {
    const clock = new ManualClock()
    const mesh = new MemoryMesh()
    const { node, link } = await aliceInKitchen(mesh, { clock })
    await using asker = node
    let has = false
    await using b = await aNode(mesh, 'bob', { servesTorrent: () => has })
    b.registry.followCommunity(link)
    await asker.registry.until(() => asker.registry.peers().length === 1)
    const stop = new AbortController()
    const answers = asker.registry.askSeeds([torrent], stop.signal)[Symbol.asyncIterator]()
    const next = answers.next()
    has = true
    clock.advance(5_000)
    expect((await next).value).toMatchObject({ infohash: torrent })
    stop.abort()
    expect((await answers.next()).done).toBe(true)
  })
})

function withWrongSignature(record: SignedRecord): SignedRecord {
  const envelope = record.envelope.slice()
  const at = Buffer.from(envelope).indexOf('signature') + 'signature'.length + 10
  envelope[at] = envelope[at]! ^ 1
  return { envelope, body: record.body }
}

/** Signed by a device of the stranger's, in Bob's name. */
function forgedLog(): VerifiedRecord[] {
  return aLog({ ...stranger, identity: bob.identity }, 'public', [saysUnknown('in the name of bob')])
}

async function sayForged(
  peer: RawPeer,
  wanted: WireMessageOf<'want-records/1'>,
  records: readonly SignedRecord[],
): Promise<void> {
  const device = verifyRecord(records[0]!).fields.device
  if (toHex(device) === toHex(wanted.device)) {
    await peer.sayRecords(wanted, records)
    return
  }
  // A forged log has a name of its own: it must be announced before anybody asks for it.
  await peer.sayRecords(wanted, [])
  await peer.sayHeads(wanted.topic, records.map(verifyRecord))
  await peer.sayRecords(await peer.hear('want-records/1'), records)
}

async function serveAll(peer: RawPeer, logs: readonly (readonly VerifiedRecord[])[]): Promise<void> {
  for (;;) {
    const wanted = await peer.hear('want-records/1').catch(() => undefined)
    if (wanted === undefined) return
    const log = logs.find(([first]) => logKeyText(first!.fields) === logKeyText(wanted)) ?? []
    await peer.sayRecords(wanted, log.slice(wanted.from, wanted.to))
  }
}

function encodeTopicsWithExtra(): Uint8Array {
  const message: WireMessage & { extra: number } = { type: 'topics/1', topics: [], extra: 1 }
  return encodeWireMessage(message)
}
