// The delegates' agreement over real logs and a real exchange: who restarts, is silent, signs twice, forks its log, or is gone for good.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { bodyOf, communityTopic, encodeBody, toHex, utf8 } from '../../protocol/index.ts'
import type { ProposedAction, RecordBody } from '../../protocol/index.ts'
import { MemoryMesh } from '../memory-exchange.ts'
import { aLog, anAuthor, identityOf } from '../testing/builders.ts'
import type { Said } from '../testing/builders.ts'
import { RawPeer } from '../testing/raw-peer.ts'
import { aHash } from '../../testing/objects.ts'
import { upgradeTo } from './testing/paper-village.ts'
import { hourMs, quiet, Village } from './testing/village.ts'

const day = 24 * hourMs
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function aFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-settling-'))
  folders.push(folder)
  return join(folder, 'registry.sqlite')
}

function fullMesh(): MemoryMesh {
  return new MemoryMesh({ shape: 'full' })
}

function admission(name: string, role: 'admin' | 'user' = 'user'): ProposedAction {
  return { kind: 'admit', identity: identityOf(name), role }
}

function misbehaved(village: Village): string[] {
  const names = village.events.flatMap(({ event }) => (event.kind === 'delegate-misbehaved' ? [event.delegate] : []))
  return [...new Set(names)]
}

/** How many statements a delegate made for one round and step, at most. */
function mostPerStep(village: Village, on: string, author: string): number {
  const statements = village
    .statements(on, author)
    .flatMap(({ statement }) =>
      statement.type === 'round/1' || statement.type === 'prevote/1' || statement.type === 'precommit/1'
        ? [`${statement.type} ${toHex(statement.body.previous)} ${statement.body.electorate} ${statement.body.round}`]
        : [],
    )
  return Math.max(
    0,
    ...Map.groupBy(statements, (name) => name)
      .values()
      .map((same) => same.length),
  )
}

describe('delegates', () => {
  const four = { alice: 'admin', bob: 'admin', carol: 'admin', dave: 'admin' } as const

  test('sign nothing on a node that was not allowed to; the others decide', async () => {
    await using village = await Village.found(fullMesh(), four)
    village.registry('dave').governance.allowSettling(village.id, false)
    const proposal = await village.propose('alice', upgradeTo('one'))
    await village.vote(proposal, 'yes', 'alice', 'bob', 'carol', 'dave')
    await village.pass(hourMs)
    expect(village.decided('dave')).toHaveLength(1)
    expect(village.statements('alice', 'dave').map(({ statement }) => statement.type)).toEqual(['ballot/1'])
  })

  test('three of four decide without the one that is away; it takes that over', async () => {
    await using village = await Village.found(fullMesh(), four)
    await village.part(['dave'])
    const proposal = await village.propose('alice', upgradeTo('one'))
    await village.vote(proposal, 'yes', 'alice', 'bob', 'carol')
    await village.pass(2 * day)
    expect(village.decided('alice')).toHaveLength(1)
    expect(village.decided('dave')).toEqual([])
    await village.heal()
    expect(village.decided('dave')).toEqual(village.decided('alice'))
  })

  test('two of three decide nothing until the third is back', async () => {
    await using village = await Village.found(fullMesh(), { alice: 'admin', bob: 'admin', carol: 'admin' })
    await village.part(['carol'])
    const proposal = await village.propose('alice', upgradeTo('one'))
    await village.vote(proposal, 'yes', 'alice', 'bob')
    await village.pass(3 * day)
    expect(village.names.flatMap((name) => village.decided(name))).toEqual([])
    await village.heal()
    await village.pass(day)
    expect(village.decided('carol')).toHaveLength(1)
    expect(village.decided('alice')).toEqual(village.decided('carol'))
  })

  test('that are switched off between their words go on where they were, and never say two things', async () => {
    const paths = Object.fromEntries(Object.keys(four).map((name) => [name, aFile()]))
    await using village = await Village.found(fullMesh(), four, { paths })
    const proposal = await village.propose('alice', upgradeTo('one'))
    await village.vote(proposal, 'yes', 'alice', 'bob')
    await village.part(['dave'])
    await village.pass(day - hourMs)
    // At the deadline the three talk; each is switched off in turn, and nothing is decided while two are there.
    for (const name of ['alice', 'bob', 'carol', 'alice', 'bob']) {
      await village.stop(name)
      await village.pass(hourMs)
      await village.open(name)
      await village.pass(100)
    }
    await village.heal()
    await village.pass(day)
    for (const name of village.names) {
      expect(village.decided(name)).toEqual(village.decided('alice'))
      expect(mostPerStep(village, 'dave', name)).toBeLessThanOrEqual(1)
    }
    expect(village.decided('alice')).toHaveLength(1)
    expect(misbehaved(village)).toEqual([])
    expect(village.events.filter(({ event }) => event.kind === 'fork' || event.kind === 'failed')).toEqual([])
  })
})

/** What Dave, whose machine is somebody else's now, signs towards the first decision. */
function precommit(village: Village, decision: Uint8Array, round = 0): Said {
  const body: RecordBody<'precommit/1'> = { previous: village.id, electorate: 'admins', round, decision }
  return { type: 'precommit/1', body: encodeBody('precommit/1', body) }
}

/** Somebody who holds Dave's keys shows this log of his, while his node is off. */
async function asDave(village: Village, said: readonly Said[]): Promise<RawPeer> {
  const peer = await RawPeer.greet(village.mesh, communityTopic(village.id))
  const log = aLog(anAuthor('dave'), toHex(village.id), said)
  void peer.serve(log)
  await peer.sayHeads(communityTopic(village.id), log)
  await quiet()
  return peer
}

describe('a delegate that misbehaves', () => {
  const roles = { alice: 'admin', bob: 'admin', carol: 'admin', dave: 'admin', erin: 'user' } as const

  test('by signing two precommits is shown, everywhere, and the others decide without it', async () => {
    await using village = await Village.found(fullMesh(), roles)
    await village.stop('dave')
    await using _ = await asDave(village, [precommit(village, aHash(1)), precommit(village, aHash(2))])
    const proposal = await village.propose('erin', upgradeTo('one'))
    await village.vote(proposal, 'yes', 'alice', 'bob', 'carol', 'erin')
    await village.pass(2 * day)
    expect(village.decided('erin')).toHaveLength(1)
    expect(misbehaved(village)).toEqual([toHex(identityOf('dave'))])
    const told = village.events.filter(({ event }) => event.kind === 'delegate-misbehaved').map(({ on }) => on)
    expect([...new Set(told)].toSorted()).toEqual(['alice', 'bob', 'carol', 'erin'])
  })

  test('by forking its log where it had signed in advance what was decided holds nobody up', async () => {
    const course = async (beforeTheDeadline: (village: Village) => Promise<void>): Promise<Village> => {
      const village = await Village.found(fullMesh(), roles)
      await village.stop('dave')
      const proposal = await village.propose('erin', upgradeTo('one'))
      await village.vote(proposal, 'yes', 'alice', 'bob', 'carol', 'erin')
      await beforeTheDeadline(village)
      await village.pass(2 * day)
      return village
    }
    // Everything is the same whenever it is played, so what will be decided can be known beforehand.
    await using rehearsal = await course(async () => {})
    const [certificate] = rehearsal.registry('alice').governance.certificates(rehearsal.id)
    const { round } = bodyOf(certificate!.precommits[0]!, 'precommit/1')
    let heard = 0
    await using village = await course(async (village) => {
      const forked: Said = { type: 'poem/1', body: utf8('another first word') }
      for (const log of [[precommit(village, certificate!.id, round)], [forked, forked]]) {
        await using _ = await asDave(village, log)
        heard += village.statements('carol', 'dave').length
      }
    })
    expect(heard).toBe(1)
    expect(village.events.filter(({ event }) => event.kind === 'fork')).toHaveLength(4)
    expect(village.decided('erin')).toEqual(rehearsal.decided('erin'))
    // And it hurried nobody: the others said no word more.
    expect(village.statements('erin', 'alice')).toHaveLength(rehearsal.statements('erin', 'alice').length)
  })
})

describe('a member that forks its log', () => {
  test('from its first record on, a year after a vote, changes nothing that was decided; it is shown and set aside', async () => {
    const roles = { alice: 'admin', bob: 'admin', carol: 'user', dave: 'user' } as const
    await using village = await Village.found(fullMesh(), roles)
    const proposal = await village.propose('carol', upgradeTo('one'))
    await village.vote(proposal, 'yes', ...Object.keys(roles))
    await village.pass(365 * day)
    const before = village.registry('carol').governance.channels(village.id)
    const tally = village.registry('carol').governance.tally(village.id, proposal)
    expect(before).toHaveLength(1)
    const open = await village.propose('alice', upgradeTo('two', 'one'))
    await village.vote(open, 'yes', 'bob', 'dave')
    expect(village.registry('carol').governance.tally(village.id, open).count.yes).toBe(2)
    await village.stop('dave')
    // With the same keys at another time: the very first record is another one.
    const no = { type: 'ballot/1', body: encodeBody('ballot/1', { proposal, choice: 'no' }) }
    await using _ = await asDave(village, [no])
    await village.pass(hourMs)
    for (const name of village.names) {
      expect(village.registry(name).governance.tally(village.id, open).count).toEqual({ yes: 1, no: 0, abstain: 0 })
      expect(village.registry(name).governance.channels(village.id)).toEqual(before)
      const after = village.registry(name).governance.tally(village.id, proposal)
      expect([after.standing, after.count, after.ballots]).toEqual([tally.standing, tally.count, tally.ballots])
      const parts = village.registry(name).state(village.id).parts
      expect(parts.flatMap(({ forks }) => forks).map(({ index }) => index)).toEqual([0])
      expect(village.statements(name, 'dave')).toEqual([])
    }
  })
})

describe('an admin that vanished', () => {
  const roles = { alice: 'admin', bob: 'user', carol: 'user', dave: 'user' } as const

  /** Alice is gone; the others want Bob as an admin. */
  async function orphaned(village: Village): Promise<Uint8Array> {
    await village.part(['alice'])
    const proposal = await village.propose('bob', admission('bob', 'admin'))
    await village.vote(proposal, 'yes', 'bob', 'carol', 'dave')
    for (const name of ['bob', 'carol', 'dave']) village.registry(name).governance.allowSettling(village.id, true)
    return proposal
  }

  test('is replaced by all members together, not before four voting periods after the deadline', async () => {
    await using village = await Village.found(fullMesh(), roles)
    const proposal = await orphaned(village)
    await village.pass(5 * day - 2 * hourMs)
    expect(village.decided('bob')).toEqual([])
    await village.pass(day)
    expect(village.standing('bob', proposal)).toMatchObject({ kind: 'settled', outcome: 'accepted' })
    const admins = village
      .registry('carol')
      .governance.members(village.id)
      .filter(({ role }) => role === 'admin')
    expect(admins.map(({ identity }) => toHex(identity)).toSorted()).toEqual(
      ['alice', 'bob'].map((name) => toHex(identityOf(name))).toSorted(),
    )
  })

  test.each([0, 2])(
    'and decided by itself meanwhile, %i more after that, is overruled when it is met again, on both sides',
    async (more) => {
      await using village = await Village.found(fullMesh(), roles, { rules: { quorum: 0 } })
      await orphaned(village)
      const own = await village.propose('alice', upgradeTo('mine'))
      await village.vote(own, 'yes', 'alice')
      await village.pass(2 * day)
      for (let i = 0; i < more; i++) {
        const next = await village.propose('alice', { ...upgradeTo(`mine ${i}`), capability: `skill-${i}` })
        await village.vote(next, 'yes', 'alice')
        await village.pass(2 * day)
      }
      await village.pass(6 * day)
      expect(village.decided('alice')).toHaveLength(1 + more)
      expect(village.decided('bob')).toHaveLength(1)
      const theirs = village.decided('bob')
      await village.heal()
      await village.pass(hourMs)
      for (const name of village.names) expect(village.decided(name).slice(0, 1)).toEqual(theirs)
      await village.pass(2 * day)
      for (const name of village.names) expect(village.stateHash(name)).toBe(village.stateHash('bob'))
      expect(village.events.filter(({ event }) => event.kind === 'peer-broke-rules')).toEqual([])
    },
  )
})
