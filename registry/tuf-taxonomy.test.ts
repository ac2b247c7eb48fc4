// The attacks that The Update Framework names (theupdateframework.io/security), as far as a registry without a server can meet them. Each
// test first does the honest thing, so that what it shows is not that nothing works.
import { describe, expect, test } from 'vitest'
import {
  communityTopic,
  decodeWireMessage,
  encodeWireMessage,
  isMeshError,
  limits,
  openDecision,
  readReleaseItem,
  sha256,
  signReleaseItem,
  toHex,
  utf8,
} from '../protocol/index.ts'
import type { CommunityRules, SignedRecord, WireMessage } from '../protocol/index.ts'
import { someTimeMs } from '../testing/objects.ts'
import { PaperVillage, upgradeTo } from './governance/testing/paper-village.ts'
import { hourMs, quiet, Village } from './governance/testing/village.ts'
import { MemoryMesh } from './memory-exchange.ts'
import { openRegistry } from './open-registry.ts'
import type { Registry } from './open-registry.ts'
import {
  aLog,
  anAuthor,
  aRelease,
  baseA,
  countedRandom,
  infohashOf,
  saysJob,
  saysRelease,
  saysUnknown,
} from './testing/builders.ts'
import { RawPeer } from './testing/raw-peer.ts'
import { ManualClock } from './clock.ts'

const roles = { alice: 'admin', bob: 'admin', carol: 'user' } as const
const votingMs = 24 * hourMs
const alice = anAuthor('alice')
const mallory = anAuthor('mallory')

async function aVillage(rules: Partial<CommunityRules> = {}): Promise<Village> {
  return await Village.found(new MemoryMesh({ shape: 'full' }), roles, { rules })
}

async function decide(village: Village, release: string, current?: string): Promise<void> {
  const proposal = await village.propose('alice', upgradeTo(release, current))
  const heard = village.names.filter((name) => village.openProposals(name).length > 0)
  await village.vote(proposal, 'yes', ...heard)
  await village.pass(hourMs)
}

async function aMirror(village: Village): Promise<RawPeer> {
  const peer = await RawPeer.greet(village.mesh, communityTopic(village.id))
  await quiet()
  return peer
}

function offered(registry: Registry): string[] {
  return registry
    .catalogue({ anyPublisher: true })
    .map(({ manifest }) => `${manifest.name}@${manifest.version}`)
    .toSorted()
}

function blamed(village: Village): string[] {
  return village.events.flatMap(({ event }) => (event.kind === 'peer-broke-rules' ? [event.error.code] : []))
}

/** Answers the next request for records with these, whatever was asked for. */
async function answer(peer: RawPeer, records: readonly SignedRecord[]): Promise<void> {
  await peer.sayRecords(await peer.hear('want-records/1'), records)
  await quiet()
}

describe('arbitrary software installation: a release that its publisher never signed is offered to nobody', () => {
  test('neither under the publisher’s name nor in the publisher’s log', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const real = aRelease(mallory, { name: 'trojan' })
    const forged = { ...real, sealed: real.sealed.with(300, real.sealed[300]! ^ 1) }
    const log = aLog(alice, 'public', [saysRelease(real), saysRelease(forged), saysRelease(aRelease(alice))])
    void mirror.serve(log)
    await mirror.sayHeads(communityTopic(village.id), log)
    await village.pass(1_000)
    expect(offered(village.registry('carol'))).toEqual(['recipes@1.0.0'])
  })
})

describe('wrong keys: what is signed with others than those in force counts nothing', () => {
  test('a record that is signed by another device than the log is certified for ends the conversation', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const forged = aLog({ ...mallory, identity: alice.identity }, 'public', [saysRelease(aRelease(alice))])
    await mirror.sayHeads(communityTopic(village.id), forged)
    await answer(mirror, forged)
    expect(blamed(village)).toEqual(['bad-certificate'])
    expect(offered(village.registry('alice'))).toEqual([])
  })

  test('a pointer of another key than the one it is looked up under is no pointer', () => {
    const item = signReleaseItem('recipes', baseA, aPointer(), alice.device)
    expect(readReleaseItem(item).length).toBe(3)
    expect(() => readReleaseItem({ ...item, publicKey: mallory.device.publicKey })).toThrow(
      expect.objectContaining({ code: 'bad-signature' }),
    )
  })

  test('a certificate under which strangers signed moves no channel', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const paper = new PaperVillage({ mallory: 'admin' })
    const proposal = paper.proposal('mallory', upgradeTo('trojan'))
    const decision = paper.counted(proposal, paper.ballots(proposal, { mallory: 'yes' }))
    await tellChain(mirror, village, paper.signed(decision).sealed, 1)
    expect(village.names.flatMap((name) => village.decided(name))).toEqual([])
    expect(blamed(village)).not.toEqual([])
  })
})

async function tellChain(mirror: RawPeer, village: Village, sealed: Uint8Array, length: number): Promise<void> {
  const topic = communityTopic(village.id)
  await mirror.say({ type: 'chain/1', topic, length, head: sha256(sealed) })
  const { from } = await mirror.hear('want-certificates/1')
  await mirror.say({ type: 'certificates/1', topic, from, certificates: [sealed] })
  await quiet()
}

function aPointer(facts: Partial<Parameters<typeof signReleaseItem>[2]> = {}): Parameters<typeof signReleaseItem>[2] {
  const release = aRelease(alice)
  const dates = { signedAt: someTimeMs, expiresAt: someTimeMs + hourMs }
  return { release: release.releaseId, infohash: infohashOf(release), length: 3, ...dates, ...facts }
}

describe('rollback: nobody is taken back to what was before', () => {
  test('by an older pointer', () => {
    const registry = aLoneRegistry()
    const key = { publisher: alice.identity, name: 'recipes', baseId: baseA }
    const [old, newer] = [3, 5].map((length) => signReleaseItem('recipes', baseA, aPointer({ length }), alice.device))
    registry.rememberPointer(key, old!)
    registry.rememberPointer(key, newer!)
    expect(() => registry.rememberPointer(key, old!)).toThrow(expect.objectContaining({ code: 'stale' }))
    expect(registry.pointer(key)?.seq).toBe(5)
  })

  test('by a shorter chain or an older release in it', async () => {
    await using village = await aVillage()
    await decide(village, 'one')
    const [first] = village.registry('alice').governance.certificates(village.id)
    await decide(village, 'two', 'one')
    const before = village.decided('carol')
    expect(before).toHaveLength(2)
    await using mirror = await aMirror(village)
    const topic = communityTopic(village.id)
    await mirror.say({ type: 'chain/1', topic, length: 1, head: first!.id })
    await mirror.say({ type: 'certificates/1', topic, from: 0, certificates: [first!.sealed] })
    await mirror.say({ type: 'certificates/1', topic, from: 1, certificates: [first!.sealed] })
    await quiet()
    expect(village.names.map((name) => village.decided(name))).toEqual(village.names.map(() => before))
  })

  test('by a shorter log', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const log = aLog(alice, 'public', [
      saysRelease(aRelease(alice)),
      saysRelease(aRelease(alice, { version: '1.1.0' })),
    ])
    const topic = communityTopic(village.id)
    await mirror.sayHeads(topic, log)
    await answer(mirror, log)
    await mirror.sayHeads(topic, log.slice(0, 2))
    await village.pass(1_000)
    expect(offered(village.registry('carol'))).toEqual(['recipes@1.0.0', 'recipes@1.1.0'])
  })
})

describe('indefinite freeze: old word does not pass for new without end', () => {
  test('a pointer says until when it holds, and none holds longer than a month', () => {
    const item = signReleaseItem(
      'recipes',
      baseA,
      aPointer({ expiresAt: someTimeMs + limits.pointerLifetimeMs }),
      alice.device,
    )
    expect(readReleaseItem(item).expiresAt).toBe(someTimeMs + limits.pointerLifetimeMs)
    for (const expiresAt of [someTimeMs + limits.pointerLifetimeMs + 1, someTimeMs - 1]) {
      const endless = signReleaseItem('recipes', baseA, aPointer({ expiresAt }), alice.device)
      expect(() => readReleaseItem(endless)).toThrow('impossible lifetime')
    }
  })

  test('a peer that goes on telling the old chain keeps nobody from the new one', async () => {
    // Whoever is there first is whom the mirror meets.
    const four = { carol: 'admin', alice: 'admin', bob: 'admin', dave: 'admin' } as const
    await using village = await Village.found(new MemoryMesh({ shape: 'full' }), four)
    await decide(village, 'one')
    await village.pass(2 * votingMs)
    const [first] = village.registry('alice').governance.certificates(village.id)
    await village.part(['carol'])
    await decide(village, 'two', 'one')
    await using mirror = await aMirror(village)
    await mirror.say({ type: 'chain/1', topic: communityTopic(village.id), length: 1, head: first!.id })
    await village.pass(2 * votingMs)
    expect(village.decided('carol')).toHaveLength(1)
    await village.heal()
    expect(village.decided('carol')).toEqual(village.decided('alice'))
    expect(village.decided('carol')).toHaveLength(2)
  })
})

function aLoneRegistry(): Registry {
  return openRegistry({ path: ':memory:', author: alice, clock: new ManualClock(), random: countedRandom('a') })
}

describe('fast-forward: absurdly high numbers lock nobody out', () => {
  test('a log can’t be begun in the middle, nor made longer than a log may be', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const log = aLog(alice, 'public', [saysUnknown('one'), saysUnknown('two'), saysUnknown('three')])
    await mirror.sayHeads(communityTopic(village.id), log)
    await answer(mirror, log.slice(2))
    expect(blamed(village)).toEqual(['malformed'])
    expect(village.registry('alice').publicLogLength()).toBe(0)
    const far = [{ scope: 'public', author: alice.identity, device: alice.device.publicKey }].map((key) => ({
      ...key,
      length: limits.logMaxRecords + 1,
      head: sha256(utf8('far')),
    }))
    expect(decodes({ type: 'heads/1', topic: village.id, logs: far })).toBe('malformed')
  })

  test('a chain that is said to be as long as a chain may be, and is not there, changes nothing', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const topic = communityTopic(village.id)
    await mirror.say({ type: 'chain/1', topic, length: limits.certificatesMax, head: sha256(utf8('far')) })
    await mirror.hear('want-certificates/1')
    await mirror.say({ type: 'certificates/1', topic, from: 0, certificates: [] })
    await decide(village, 'one')
    expect(village.decided('carol')).toHaveLength(1)
    expect(decodes({ type: 'chain/1', topic, length: limits.certificatesMax + 1, head: topic })).toBe('malformed')
  })

  test('a decision far ahead in the chain is not believed before those between', () => {
    const village = new PaperVillage({ alice: 'admin' })
    const proposal = village.proposal('alice', upgradeTo('one'))
    const ballots = village.ballots(proposal, { alice: 'yes' })
    const far = village.counted(proposal, ballots, { lies: { position: limits.certificatesMax } })
    expect(village.tried(far)).toMatchObject({ kind: 'refused', why: 'It does not follow the last certificate.' })
    expect(village.tried(village.counted(proposal, ballots)).kind).toBe('applied')
  })

  test('a version of 999999.0.0 moves no channel that the community decided on', async () => {
    await using village = await aVillage()
    const wanted = aRelease(alice, { name: 'biology', version: '1.0.0' })
    const registry = village.registry('alice')
    registry.publishRelease(wanted, infohashOf(wanted))
    const action = { kind: 'upgrade', capability: 'biology', base: baseA, release: wanted.releaseId } as const
    const proposal = await village.propose('alice', action)
    await village.vote(proposal, 'yes', 'alice', 'bob', 'carol')
    const absurd = aRelease(anAuthor('carol'), { name: 'biology', version: '999999.0.0' })
    village.registry('carol').publishRelease(absurd, infohashOf(absurd))
    await village.pass(hourMs)
    const found = village.registry('bob').resolveBareName(village.id, 'biology', baseA)
    expect(found?.release.manifest.version).toBe('1.0.0')
  })
})

describe('mix-and-match: parts of different wholes make no new whole', () => {
  test('a certificate of another community of the same people is refused', async () => {
    await using here = await aVillage()
    await using there = await aVillage({ inviterCap: 4 })
    await decide(there, 'one')
    const [certificate] = there.registry('alice').governance.certificates(there.id)
    await using mirror = await aMirror(here)
    await tellChain(mirror, here, certificate!.sealed, 1)
    expect(toHex(here.id)).not.toBe(toHex(there.id))
    expect(here.names.flatMap((name) => here.decided(name))).toEqual([])
  })

  test('records of one log don’t continue another, of another scope or an earlier time', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const [one, other] = ['public', toHex(village.id)].map((scope) => aLog(alice, scope, [saysUnknown('one')]))
    await mirror.sayHeads(communityTopic(village.id), one!)
    await answer(mirror, [one![0]!, other![1]!])
    expect(blamed(village)).toEqual(['malformed'])
  })

  test('a body is not exchanged for that of another record', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const log = aLog(alice, 'public', [
      saysRelease(aRelease(alice)),
      saysRelease(aRelease(alice, { version: '2.0.0' })),
    ])
    await mirror.sayHeads(communityTopic(village.id), log)
    await answer(mirror, [log[0]!, { envelope: log[1]!.envelope, body: log[2]!.body }])
    expect(blamed(village)).toEqual(['hash-mismatch'])
    expect(offered(village.registry('alice'))).toEqual([])
  })
})

/** The code with which the bytes of a message are refused, or that it is one. */
function decodes(message: WireMessage): string {
  try {
    decodeWireMessage(encodeWireMessage(message))
    return 'a message'
  } catch (error) {
    return isMeshError(error) ? error.code : String(error)
  }
}

describe('endless data: what comes without end is not kept without end', () => {
  test('more than a frame, a page of records or a page of certificates is refused as it comes', () => {
    expect(() => decodeWireMessage(new Uint8Array(limits.frameMaxBytes + 1))).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    )
    const topic = new Uint8Array(32)
    const certificates = Array.from({ length: limits.certificatesPerMessageMax + 1 }, () => new Uint8Array(1))
    expect(decodes({ type: 'certificates/1', topic, from: 0, certificates: certificates.slice(1) })).toBe('a message')
    expect(decodes({ type: 'certificates/1', topic, from: 0, certificates })).toBe('malformed')
    expect(() => openDecision(new Uint8Array(limits.decisionMaxBytes + 1))).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    )
  })

  test('of a stranger’s log in a community sixteen records are kept, of kinds that strangers may say', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const log = aLog(
      mallory,
      toHex(village.id),
      Array.from({ length: 400 }, (_, i) => saysJob(`wish-${i}`)),
    )
    void mirror.serve(log)
    await mirror.sayHeads(communityTopic(village.id), log)
    await village.pass(hourMs)
    for (const name of village.names) expect(village.registry(name).jobs()).toHaveLength(15)
    await using other = await aMirror(village)
    const chatter = [saysJob('one'), saysUnknown('not for members to keep'), saysJob('two')]
    const talkative = aLog(anAuthor('trudy'), toHex(village.id), chatter)
    void other.serve(talkative)
    await other.sayHeads(communityTopic(village.id), talkative)
    await village.pass(hourMs)
    for (const name of village.names) expect(village.registry(name).jobs()).toHaveLength(16)
  })
})

describe('slow retrieval: whoever does not answer holds nobody up', () => {
  test('a peer that announces and never answers is let go, and another brings the same log', async () => {
    await using village = await aVillage()
    await using slow = await aMirror(village)
    await using quick = await aMirror(village)
    const log = aLog(alice, 'public', [saysRelease(aRelease(alice))])
    const topic = communityTopic(village.id)
    await slow.sayHeads(topic, log)
    await slow.hear('want-records/1')
    void quick.serve(log)
    await quick.sayHeads(topic, log)
    await quiet()
    expect(offered(village.registry('alice'))).toEqual([])
    await village.pass(60_000)
    expect(offered(village.registry('carol'))).toEqual(['recipes@1.0.0'])
  })

  test('nor does one that never sends the certificates it speaks of', async () => {
    await using village = await aVillage()
    await using slow = await aMirror(village)
    const head = sha256(utf8('never'))
    await slow.say({ type: 'chain/1', topic: communityTopic(village.id), length: 9, head })
    await slow.hear('want-certificates/1')
    await decide(village, 'one')
    expect(village.decided('alice')).toHaveLength(1)
  })
})

describe('malicious mirrors: the truth comes from any one that tells it', () => {
  test('a changed record ends the conversation with who sent it; another peer’s are taken', async () => {
    await using village = await aVillage()
    const log = aLog(alice, 'public', [saysRelease(aRelease(alice))])
    const topic = communityTopic(village.id)
    const changed = { envelope: log[1]!.envelope.with(200, log[1]!.envelope[200]! ^ 1), body: log[1]!.body }
    await using bad = await aMirror(village)
    await bad.sayHeads(topic, log)
    await answer(bad, [log[0]!, changed])
    await bad.closed
    expect(blamed(village)).toHaveLength(1)
    await using good = await aMirror(village)
    void good.serve(log)
    await good.sayHeads(topic, log)
    await quiet()
    expect(offered(village.registry('carol'))).toEqual(['recipes@1.0.0'])
  })

  test('one that keeps things back is made up for by one that doesn’t', async () => {
    await using village = await aVillage()
    await using mirror = await aMirror(village)
    const log = aLog(alice, 'public', [
      saysRelease(aRelease(alice)),
      saysRelease(aRelease(alice, { version: '1.1.0' })),
    ])
    void mirror.serve(log.slice(0, 2))
    await mirror.sayHeads(communityTopic(village.id), log.slice(0, 2))
    await using whole = await aMirror(village)
    void whole.serve(log)
    await whole.sayHeads(communityTopic(village.id), log)
    await village.pass(60_000)
    expect(offered(village.registry('carol'))).toEqual(['recipes@1.0.0', 'recipes@1.1.0'])
  })
})
