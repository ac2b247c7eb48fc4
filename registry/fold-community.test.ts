import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareBytes, openManifest, sha256, toHex, utf8 } from '../protocol/index.ts'
import type { CommunityRole, OpenedGenesis, VerifiedRecord } from '../protocol/index.ts'
import { aGenesis, someTimeMs } from '../testing/objects.ts'
import { Communities, isKnown } from './communities.ts'
import { Database } from './database.ts'
import { foldAuthor, foldCommunity, resolveBareName } from './fold-community.ts'
import type { CommunityState } from './fold-community.ts'
import { channelKey, startOfChain } from './governance/chain-state.ts'
import { KnownLogs } from './known-logs.ts'
import { LogStore } from './log-store.ts'
import { viewLogs } from './record-effects.ts'
import {
  aLog,
  anAuthor,
  aRelease,
  baseA,
  baseB,
  continueLog,
  saysJob,
  saysRelease,
  saysUnknown,
  saysWithdrawal,
} from './testing/builders.ts'

const alice = anAuthor('alice')
const bob = anAuthor('bob')
const stranger = anAuthor('stranger')
const kitchen = aCommunity()
const scope = toHex(kitchen.id)

function aCommunity(): OpenedGenesis {
  const members: { identity: Uint8Array; role: CommunityRole }[] = [
    { identity: alice.identity, role: 'admin' },
    { identity: bob.identity, role: 'user' },
  ]
  return aGenesis({ members }, alice)
}

function fold(...logs: readonly (readonly VerifiedRecord[])[]): CommunityState {
  return foldCommunity(kitchen, viewLogs(logs.flat()))
}

function releaseNames(state: CommunityState): string[] {
  return state.parts
    .flatMap(({ releases }) => releases)
    .map(({ release: { manifest } }) => `${manifest.name}@${manifest.version}`)
    .toSorted()
}

const recipes = aRelease(alice, { name: 'recipes' })
const wines = aRelease(bob, { name: 'wines' })

describe('a community adds up', () => {
  test('the releases of its members, from their public logs and from those for the community', () => {
    const state = fold(aLog(alice, 'public', [saysRelease(recipes)]), aLog(bob, scope, [saysRelease(wines)]))
    expect(releaseNames(state)).toEqual(['recipes@1.0.0', 'wines@1.0.0'])
    expect(state.members.map(({ role }) => role).toSorted()).toEqual(['admin', 'user'])
  })

  test('nothing of strangers, of other communities, or of unknown and broken bodies', () => {
    const nothing = fold()
    const noise = [
      aLog(stranger, 'public', [saysRelease(aRelease(stranger))]),
      aLog(stranger, scope, [saysJob('wine')]),
      aLog(alice, 'cd'.repeat(32), [saysRelease(recipes), saysJob('wine')]),
      aLog(alice, 'public', [
        saysUnknown('hello'),
        { type: 'release/1', body: new Uint8Array([1, 2, 3]) },
        saysJob('public'),
      ]),
      // Announcing somebody else's release does not make it one's own.
      aLog(bob, 'public', [saysRelease(recipes)]),
    ]
    const state = fold(...noise)
    expect(state.parts).toEqual(nothing.parts)
    expect(toHex(state.stateHash)).toBe(toHex(nothing.stateHash))
  })

  test('a release whose manifest was tampered with has no effect', () => {
    const tampered = { ...recipes, sealed: recipes.sealed.with(200, recipes.sealed[200]! ^ 1) }
    expect(releaseNames(fold(aLog(alice, 'public', [saysRelease(tampered)])))).toEqual([])
  })

  test('the first release of a name, version and base; a second one is shown as a conflict', () => {
    const second = aRelease(alice, { name: 'recipes', summary: 'another one' })
    const elsewhere = aRelease(alice, { name: 'recipes', summary: 'another base', baseId: baseB })
    const state = fold(aLog(alice, 'public', [recipes, second, elsewhere, recipes].map(saysRelease)))
    const [part] = state.parts.filter(({ conflicts }) => conflicts.length > 0)
    expect(part?.releases.map(({ release }) => toHex(release.releaseId)).toSorted()).toEqual(
      [recipes, elsewhere].map(({ releaseId }) => toHex(releaseId)).toSorted(),
    )
    expect(part?.conflicts).toMatchObject([{ owner: recipes.releaseId, refused: second.releaseId }])
  })

  test("a withdrawal by the publisher, before or after, and nobody else's", () => {
    const withdrawn = (...logs: VerifiedRecord[][]): (string | undefined)[] =>
      fold(...logs).parts.flatMap(({ releases }) => releases.map((release) => release.withdrawn))
    expect(withdrawn(aLog(alice, 'public', [saysRelease(recipes), saysWithdrawal(recipes, 'typo')]))).toEqual(['typo'])
    expect(
      withdrawn(aLog(alice, 'public', [saysRelease(recipes)]), aLog(alice, scope, [saysWithdrawal(recipes)])),
    ).toEqual(['broken'])
    expect(
      withdrawn(aLog(alice, 'public', [saysRelease(recipes)]), aLog(bob, 'public', [saysWithdrawal(recipes)])),
    ).toEqual([undefined])
  })

  test("members' wanted jobs, and followers' stay outside the state", () => {
    const state = fold(aLog(bob, scope, [saysJob('wine')]), aLog(stranger, scope, [saysJob('cheese')]))
    expect(state.parts.flatMap(({ jobs }) => jobs.map(({ job }) => job.capability))).toEqual(['wine'])
  })

  test('what an author said before forking, and nothing from there on', () => {
    const log = aLog(alice, 'public', [saysRelease(recipes), saysRelease(aRelease(alice, { name: 'later' }))])
    const fork = continueLog(alice, 'public', log.slice(0, 2), [saysUnknown('another story')])
    expect(releaseNames(fold(log))).toEqual(['later@1.0.0', 'recipes@1.0.0'])
    const state = fold(log, fork)
    expect(releaseNames(state)).toEqual(['recipes@1.0.0'])
    expect(state.parts.flatMap(({ forks }) => forks)).toMatchObject([{ scope: 'public', index: 2 }])
    expect(releaseNames(fold(log, aLog(alice, 'public', [saysUnknown('from the start')])))).toEqual([])
  })
})

describe('a bare name', () => {
  const aliceReleases = ['1.9.0', '1.10.0', '2.0.0-rc.1'].map((version) =>
    aRelease(alice, { name: 'recipes', version }),
  )

  test('means the highest release for the base, by version and not by text, without pre-releases', () => {
    const state = fold(
      aLog(alice, 'public', aliceReleases.map(saysRelease)),
      aLog(bob, 'public', [saysRelease(aRelease(bob, { name: 'recipes', version: '3.0.0', baseId: baseB }))]),
    )
    expect(resolveBareName(state, 'recipes', baseA)?.release.manifest.version).toBe('1.10.0')
    expect(resolveBareName(state, 'recipes', baseB)?.release.manifest.version).toBe('3.0.0')
    expect(resolveBareName(state, 'recipe', baseA)).toBeUndefined()
  })

  test('passes over what was withdrawn, and settles ties by release id', () => {
    const same = aRelease(bob, { name: 'recipes', version: '1.10.0' })
    const [oldest, tied] = [aliceReleases[0]!, aliceReleases[1]!]
    const bobs = aLog(bob, 'public', [saysRelease(same)])
    const alices = aLog(alice, 'public', [oldest, tied].map(saysRelease))
    const [winner, loser] = [same, tied].toSorted((a, b) => compareBytes(a.releaseId, b.releaseId))
    expect(resolveBareName(fold(alices, bobs), 'recipes', baseA)?.release.releaseId).toEqual(winner!.releaseId)
    const withdrawal =
      winner === same
        ? continueLog(bob, 'public', bobs, [saysWithdrawal(same)])
        : continueLog(alice, 'public', alices, [saysWithdrawal(tied)])
    expect(resolveBareName(fold(alices, bobs, withdrawal), 'recipes', baseA)?.release.releaseId).toEqual(
      loser!.releaseId,
    )
  })
})

describe('a bare name with a channel', () => {
  const [low, high] = ['1.0.0', '1.1.0'].map((version) => aRelease(alice, { name: 'recipes', version }))
  const said = aLog(alice, 'public', [low!, high!].map(saysRelease))

  function meant(release: Uint8Array, ...logs: readonly (readonly VerifiedRecord[])[]): string | undefined {
    const channel = { capability: 'recipes', base: baseA, release, certificate: kitchen.id, held: new Set<string>() }
    const chain = { ...startOfChain(kitchen), channels: new Map([[channelKey('recipes', baseA), channel]]) }
    const state = foldCommunity(kitchen, viewLogs(logs.flat()), chain)
    return resolveBareName(state, 'recipes', baseA)?.release.manifest.version
  }

  test('means what the channel holds, and nothing while that is not known here', () => {
    expect(meant(low!.releaseId, said)).toBe('1.0.0')
    expect(meant(wines.releaseId, said)).toBeUndefined()
  })

  test('means the highest other one once the publisher has withdrawn what the channel holds', () => {
    expect(meant(low!.releaseId, said, continueLog(alice, 'public', said, [saysWithdrawal(low!)]))).toBe('1.1.0')
    expect(meant(high!.releaseId, said, continueLog(alice, 'public', said, [saysWithdrawal(high!)]))).toBe('1.0.0')
  })
})

describe('whatever the order of arrival', () => {
  const alices = aLog(alice, 'public', [
    saysRelease(recipes),
    saysRelease(aRelease(alice, { name: 'recipes', summary: 'a second one' })),
    saysUnknown('future'),
    saysRelease(aRelease(alice, { name: 'recipes', version: '1.1.0' })),
    saysWithdrawal(recipes),
  ])
  const phone = aLog(anAuthor('alice', 'phone'), 'public', [
    saysRelease(aRelease(alice, { name: 'recipes', summary: 'a third' })),
  ])
  const bobs = aLog(bob, scope, [saysRelease(wines), saysJob('cheese'), saysJob('bread')])
  const bobsFork = continueLog(bob, scope, bobs.slice(0, 3), [saysJob('beer'), saysJob('cider')])
  const strangers = aLog(stranger, scope, [saysJob('spam')])
  const everything = [...alices, ...phone, ...bobs, ...bobsFork, ...strangers]
  const expected = toHex(fold(everything).stateHash)

  test('shuffled, repeated and late records fold into the same state', () => {
    const order = fc.shuffledSubarray([...everything, ...everything, ...everything], {
      minLength: everything.length * 2,
    })
    fc.assert(
      fc.property(order, (records) => {
        const missing = everything.filter((record) => !records.includes(record))
        expect(toHex(fold(records, missing).stateHash)).toBe(expected)
      }),
      { numRuns: 60 },
    )
  })

  test('records that pass through the store one by one end in the very state that the pure fold gives', () => {
    const order = fc.shuffledSubarray([...everything, ...everything], { minLength: everything.length * 2 })
    fc.assert(
      fc.property(order, (records) => {
        using database = new Database({ path: ':memory:' })
        const store = new LogStore(database)
        const live = new KnownLogs(store)
        for (let round = 0; round < alices.length; round++) {
          for (const record of records) {
            const [outcome] = store.offerVerified([record])
            if (outcome?.kind === 'appended') live.appended(outcome.record)
            if (outcome?.kind === 'fork') live.forked(record.fields, outcome.index)
          }
        }
        const followed = new Communities(database).learnGenesis(kitchen)
        if (!isKnown(followed)) throw new Error('its genesis was given')
        expect(toHex(live.state(followed).stateHash)).toBe(expected)
        expect(toHex(new KnownLogs(store).state(followed).stateHash)).toBe(expected)
      }),
      { numRuns: 20 },
    )
  })

  test('fewer records give another state, so that the hash says something', () => {
    const hashes = everything
      .slice(0, -strangers.length)
      .map((left) => toHex(fold(everything.filter((record) => record !== left)).stateHash))
    expect(hashes.filter((hash) => hash === expected)).toHaveLength(1)
  })
})

test('the sealed manifest comes out as it went in', () => {
  const [part] = fold(aLog(alice, 'public', [saysRelease(recipes)])).parts.filter(({ releases }) => releases.length > 0)
  expect(openManifest(part!.releases[0]!.release.sealed).releaseId).toEqual(recipes.releaseId)
})

test('a member may say more than an encoded object can list: the fold has no bound that its log has not', () => {
  const nonce = new Uint8Array(16)
  const job = { capability: 'cheese', description: '', base: { id: baseA, label: 'tiny base' }, nonce }
  const entries = Array.from({ length: 100_000 }, (_, index) => ({
    id: sha256(utf8(`job ${index}`)),
    index,
    time: someTimeMs,
    effect: { kind: 'job' as const, job },
  }))
  const key = { scope: toHex(kitchen.id), author: alice.identity, device: alice.device.publicKey }
  expect(foldAuthor(alice.identity, [{ key, entries, forkedAt: undefined }]).jobs).toHaveLength(100_000)
})
