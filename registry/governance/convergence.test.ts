// Whatever the network does, all nodes end up with one chain and one state.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../protocol/index.ts'
import type { OpenedCertificate, VerifiedRecord } from '../../protocol/index.ts'
import { Communities, isKnown } from '../communities.ts'
import { Database } from '../database.ts'
import { foldCommunity } from '../fold-community.ts'
import { KnownLogs } from '../known-logs.ts'
import { LogStore } from '../log-store.ts'
import { MemoryMesh } from '../memory-exchange.ts'
import { viewLogs } from '../record-effects.ts'
import { aHash } from '../../testing/objects.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'
import { hourMs, Village } from './testing/village.ts'

const day = 24 * hourMs
const people = { alice: 'admin', bob: 'admin', carol: 'admin', dave: 'admin', erin: 'user', frank: 'user' } as const

/** All nodes hold the same chain and the same state; returns that chain. */
function expectOneState(village: Village): string[] {
  const [first] = village.names
  const chain = village.decided(first!)
  for (const name of village.names) {
    expect(village.decided(name)).toEqual(chain)
    expect(village.stateHash(name)).toBe(village.stateHash(first!))
  }
  return chain
}

describe('a village that is torn in two while it votes', () => {
  test('decides nothing in halves, and one thing when it is whole again', async () => {
    await using village = await Village.found(new MemoryMesh({ shape: 'full' }), people)
    const proposal = await village.propose('erin', upgradeTo('one'))
    await village.part(['alice', 'bob'])
    await village.vote(proposal, 'yes', 'alice', 'bob')
    await village.vote(proposal, 'no', 'carol', 'dave', 'erin')
    await village.pass(2 * day)
    expect(village.names.flatMap((name) => village.decided(name))).toEqual([])
    expect(village.stateHash('alice')).not.toBe(village.stateHash('carol'))
    await village.heal()
    await village.pass(day)
    expect(expectOneState(village)).toHaveLength(1)
  })

  test('goes on in the part that holds more than two thirds of the delegates; the other takes that over', async () => {
    await using village = await Village.found(new MemoryMesh({ shape: 'full' }), people)
    const proposal = await village.propose('erin', upgradeTo('one'))
    await village.part(['alice', 'erin'])
    await village.vote(proposal, 'no', 'alice', 'erin')
    await village.vote(proposal, 'yes', 'bob', 'carol', 'dave')
    await village.pass(2 * day)
    const decided = village.decided('bob')
    expect(decided).toHaveLength(1)
    expect(village.decided('alice')).toEqual([])
    await village.heal()
    await village.pass(day)
    expect(expectOneState(village)).toEqual(decided)
    expect(village.registry('alice').governance.tally(village.id, proposal).leftOut).toHaveLength(2)
  })
})

describe('by whatever schedule of partitions, votes and pauses', () => {
  const names = Object.keys(people)
  const step = fc.oneof(
    fc.record({ kind: fc.constant('part' as const), some: fc.subarray(names, { minLength: 1, maxLength: 5 }) }),
    fc.record({ kind: fc.constant('heal' as const) }),
    fc.record({ kind: fc.constant('pass' as const), hours: fc.integer({ min: 1, max: 20 }) }),
    fc.record({
      kind: fc.constant('vote' as const),
      who: fc.constantFrom(...names),
      choice: fc.constantFrom('yes' as const, 'yes' as const, 'no' as const, 'abstain' as const),
    }),
    fc.record({
      kind: fc.constant('propose' as const),
      who: fc.constantFrom(...names),
      n: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({
      kind: fc.constant('admit' as const),
      who: fc.constantFrom(...names),
      n: fc.integer({ min: 1, max: 3 }),
    }),
  )
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

  async function take(village: Village, step: Step): Promise<void> {
    switch (step.kind) {
      case 'part':
        return await village.part(step.some)
      case 'heal':
        return await village.heal()
      case 'pass':
        return await village.pass(step.hours * hourMs)
      case 'vote':
        for (const id of village.openProposals(step.who)) await village.vote(id, step.choice, step.who)
        return
      case 'propose': {
        const held = village.registry(step.who).governance.channels(village.id)[0]?.release
        const action = { ...upgradeTo('any'), release: aHash(step.n), ...(held === undefined ? {} : { current: held }) }
        return await village.tryToPropose(step.who, action)
      }
      case 'admit':
        return await village.tryToPropose(step.who, { kind: 'admit', identity: aHash(100 + step.n), role: 'user' })
    }
  }

  test('no certificate is ever taken back, and in the end all nodes have the same chain and state', async () => {
    let decisions = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 16 }), async (steps) => {
        await using village = await Village.found(new MemoryMesh({ shape: 'full' }), people)
        const longest = new Map<string, string[]>()
        for (const one of steps) {
          await take(village, one)
          for (const name of village.names) {
            const chain = village.decided(name)
            expect(chain.slice(0, longest.get(name)?.length ?? 0)).toEqual(longest.get(name) ?? [])
            longest.set(name, chain)
          }
        }
        await village.heal()
        await village.pass(2 * day)
        const chain = expectOneState(village)
        for (const before of longest.values()) expect(chain.slice(0, before.length)).toEqual(before)
        for (const name of village.names) expect(village.openProposals(name)).toEqual([])
        decisions += chain.length
      }),
      { numRuns: 6 },
    )
    expect(decisions).toBeGreaterThan(6)
  })
})

describe('records and certificates in any order, each as often as one likes', () => {
  const village = new PaperVillage({ alice: 'admin', bob: 'admin', carol: 'user', dave: 'user' })
  village.join('bob', 'erin')
  village.accept('erin', upgradeTo('one'))
  village.accept('carol', upgradeTo('two', 'one'))
  village.accept('alice', { kind: 'remove', identity: village.member('dave').identity, reason: 'gone' })
  village.says('dave', 'comment/1', { proposal: aHash(1), text: 'as a guest now' })
  const everything: (VerifiedRecord | OpenedCertificate)[] = [...village.records, ...village.certificates]
  const expected = toHex(foldCommunity(village.genesis, viewLogs(village.records), village.state).stateHash)

  /** Hands everything in, again and again, until nothing new comes of it. */
  function stateAfter(order: typeof everything): string {
    using database = new Database({ path: ':memory:' })
    const store = new LogStore(database)
    const logs = new KnownLogs(store)
    const community = new Communities(database).learnGenesis(village.genesis)
    if (!isKnown(community)) throw new Error('its genesis was given')
    const take = (one: (typeof everything)[number]): boolean => {
      if ('decision' in one) return community.chain.offerOpened(one).kind === 'appended'
      const [outcome] = store.offerVerified([one])
      if (outcome?.kind === 'appended') logs.appended(outcome.record)
      return outcome?.kind === 'appended'
    }
    while (order.map(take).includes(true));
    const fresh = new Communities(database).byScope(village.scope)
    if (!isKnown(fresh)) throw new Error('it was followed')
    expect(toHex(new KnownLogs(store).state(fresh).stateHash)).toBe(toHex(logs.state(community).stateHash))
    return toHex(logs.state(community).stateHash)
  }

  test('come to the state that the pure fold gives', () => {
    const twice = [...everything, ...everything]
    fc.assert(
      fc.property(fc.shuffledSubarray(twice, { minLength: twice.length }), (order) => {
        expect(stateAfter(order)).toBe(expected)
      }),
      { numRuns: 10 },
    )
  })

  test('and one record or certificate less is another state', () => {
    const alice = toHex(village.author('alice').identity)
    const said = village.records.findLast(({ fields }) => toHex(fields.author) === alice)
    for (const left of [said, village.certificates.at(-1)]) {
      expect(stateAfter(everything.filter((one) => one !== left))).not.toBe(expected)
    }
  })
})
