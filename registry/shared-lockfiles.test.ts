import { describe, expect, test } from 'vitest'
import { coverLockfile, limits, personaTopic, taggedId, utf8 } from '../protocol/index.ts'
import { MemoryMesh } from './memory-exchange.ts'
import type { RegistryEvent } from './registry-types.ts'
import { aNode } from './testing/builders.ts'
import type { TestNode } from './testing/builders.ts'
import { RawPeer } from './testing/raw-peer.ts'

const lockfile = utf8('the canonical bytes of a lockfile')
const digest = taggedId('lockfile', lockfile)
const topic = personaTopic(digest)
const { signal } = new AbortController()

async function brokenRule(node: TestNode): Promise<RegistryEvent> {
  return new Promise((resolve) => {
    const stop = node.registry.onEvent((event) => {
      if (event.kind !== 'peer-broke-rules') return
      stop()
      resolve(event)
    })
  })
}

describe('a shared lockfile', () => {
  test('reaches who has its link, whoever came first', async () => {
    const mesh = new MemoryMesh()
    await using early = await aNode(mesh, 'early')
    await using holder = await aNode(mesh, 'holder')
    await using late = await aNode(mesh, 'late')
    using first = early.registry.meetHolders(digest)
    const waiting = first.lockfile(signal)
    holder.registry.shareLockfile(digest, lockfile)
    expect(await waiting).toEqual(lockfile)
    using second = late.registry.meetHolders(digest)
    expect(await second.lockfile(signal)).toEqual(lockfile)
  })

  test('as large as it may be fits its frame', async () => {
    const large = new Uint8Array(limits.sharedLockfileMaxBytes).fill(97)
    const ofLarge = taggedId('lockfile', large)
    const mesh = new MemoryMesh()
    await using holder = await aNode(mesh, 'holder')
    await using asker = await aNode(mesh, 'asker')
    holder.registry.shareLockfile(ofLarge, large)
    using meeting = asker.registry.meetHolders(ofLarge)
    expect(await meeting.lockfile(signal)).toEqual(large)
  })

  test('is shown to nobody who knows the topic only', async () => {
    const mesh = new MemoryMesh()
    await using holder = await aNode(mesh, 'holder')
    holder.registry.shareLockfile(digest, lockfile)
    await using peer = await RawPeer.greet(mesh, topic)
    await peer.hear('topics/1')
    await peer.say({ type: 'want-lockfile/1', topic })
    const { covered } = await peer.hear('lockfile/1')
    expect(covered).toEqual(coverLockfile(digest, lockfile))
    expect(Buffer.from(covered).includes('canonical')).toBe(false)
  })

  test('is handed to nobody after it was withdrawn', async () => {
    const mesh = new MemoryMesh()
    await using holder = await aNode(mesh, 'holder')
    holder.registry.shareLockfile(digest, lockfile)
    await using peer = await RawPeer.greet(mesh, topic)
    await peer.hear('topics/1')
    holder.registry.unshareLockfile(digest)
    expect((await peer.hear('topics/1')).topics).toEqual([])
    await peer.say({ type: 'want-lockfile/1', topic })
    await peer.settled()
    expect(peer.heard('lockfile/1')).toBe(0)
  })
})

describe('who asks for a lockfile', () => {
  test('lets go of a peer that answers with another one, and still takes the true one from the next', async () => {
    const mesh = new MemoryMesh()
    await using asker = await aNode(mesh, 'asker')
    using meeting = asker.registry.meetHolders(digest)
    const waiting = meeting.lockfile(signal)
    await using liar = await RawPeer.greet(mesh, topic)
    await liar.hear('want-lockfile/1')
    const broken = brokenRule(asker)
    await liar.say({ type: 'lockfile/1', topic, covered: coverLockfile(digest, utf8('another lockfile')) })
    expect(await broken).toMatchObject({ peer: liar.id, error: { code: 'hash-mismatch' } })
    await liar.closed
    await using holder = await aNode(mesh, 'holder')
    holder.registry.shareLockfile(digest, lockfile)
    expect(await waiting).toEqual(lockfile)
  })

  test('lets go of a peer that sends more than a lockfile may be', async () => {
    const mesh = new MemoryMesh()
    await using asker = await aNode(mesh, 'asker')
    asker.registry.meetHolders(digest)
    await using peer = await RawPeer.greet(mesh, topic)
    await peer.hear('want-lockfile/1')
    const broken = brokenRule(asker)
    // Still within a frame.
    const covered = new Uint8Array(limits.sharedLockfileMaxBytes + 17)
    await peer.say({ type: 'lockfile/1', topic, covered })
    expect(await broken).toMatchObject({ peer: peer.id, error: { code: 'malformed' } })
  })

  test('passes it on to who asked before it came', async () => {
    const mesh = new MemoryMesh()
    await using asker = await aNode(mesh, 'asker')
    asker.registry.meetHolders(digest)
    await using peer = await RawPeer.greet(mesh, topic)
    await peer.hear('topics/1')
    await peer.say({ type: 'want-lockfile/1', topic })
    await peer.settled()
    expect(peer.heard('lockfile/1')).toBe(0)
    await using holder = await aNode(mesh, 'holder')
    holder.registry.shareLockfile(digest, lockfile)
    expect((await peer.hear('lockfile/1')).covered).toEqual(coverLockfile(digest, lockfile))
  })

  test('stops when told to, and is not found on the topic once nobody here asks any more', async () => {
    const mesh = new MemoryMesh()
    await using asker = await aNode(mesh, 'asker')
    const [first, second] = [asker.registry.meetHolders(digest), asker.registry.meetHolders(digest)]
    const stop = new AbortController()
    const waiting = first.lockfile(stop.signal)
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
    await using peer = await RawPeer.greet(mesh, topic)
    expect((await peer.hear('topics/1')).topics).toEqual([topic])
    first[Symbol.dispose]()
    await peer.settled()
    expect(peer.heard('topics/1')).toBe(0)
    second[Symbol.dispose]()
    expect((await peer.hear('topics/1')).topics).toEqual([])
  })

  test('does not mind an answer that comes unasked', async () => {
    const mesh = new MemoryMesh()
    await using holder = await aNode(mesh, 'holder')
    holder.registry.shareLockfile(digest, lockfile)
    await using peer = await RawPeer.greet(mesh, topic)
    await peer.hear('topics/1')
    await peer.say({ type: 'lockfile/1', topic, covered: Uint8Array.of(1) })
    await peer.settled()
    expect(holder.registry.peers()).toHaveLength(1)
  })
})
