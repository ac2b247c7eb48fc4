// A node's own view, over real registries that exchange in this process.
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { identityToText, MeshError, signManifest } from '../../protocol/index.ts'
import type { Manifest, SignedManifest } from '../../protocol/index.ts'
import { halfLifeMs } from '../../registry/index.ts'
import type { Registry } from '../../registry/index.ts'
import { aHash, aManifest } from '../../testing/objects.ts'
import { aVillage, within } from '../govern/testing/village.ts'
import type { Village, Villager } from '../govern/testing/village.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { openReputation } from './reputation.ts'
import type { Reputation } from './reputation.ts'
import { identitySubject } from './subjects.ts'

let stack: AsyncDisposableStack
let village: Village
let path: string
let now: number
const lines: string[] = []
let me: Villager
let publisher: Villager
let neighbour: Villager

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  path = join(stack.use(await temporaryFolder()).path, 'reputation.json')
  village = stack.use(await aVillage('admin', 'user', 'user'))
  ;[me, publisher, neighbour] = village.members as [Villager, Villager, Villager]
  now = 0
  lines.length = 0
})
afterEach(() => stack[Symbol.asyncDispose]())

const open = (registry: Registry = me.registry): Promise<Reputation> =>
  openReputation({
    path,
    registry,
    self: me.author.identity,
    clock: () => now,
    log: (line) => lines.push(line),
  })
const subjectOf = ({ author }: Villager) => identitySubject(author.identity)

type Evaluation = Manifest['evaluations'][number]

const suite = aHash(50)
const file = aHash(13)

async function announce(version: string, evaluations: readonly Evaluation[] = []): Promise<SignedManifest> {
  const manifest = aManifest({ version, evaluations: [...evaluations] }, publisher.author)
  const release = signManifest(manifest, publisher.author)
  publisher.registry.publishRelease(release, release.releaseId.slice(0, 20))
  await me.registry.until(() => me.registry.release(release.releaseId) !== undefined, within())
  return release
}

/** In per cent, against 50 %. */
async function measure({ registry, author }: Villager, { releaseId }: SignedManifest, percent: number): Promise<void> {
  const before = me.registry.governance.evaluations(village.id, releaseId).length
  const said = registry.governance.reportEvaluation(village.id, {
    release: releaseId,
    suite,
    file,
    metric: 'exact-match',
    value: percent * 10_000,
    againstValue: 500_000,
    n: 100,
    valueError: 20_000,
    standardError: 20_000,
  })
  if (said.kind !== 'appended') throw new Error(`${identityToText(author.identity)}: ${said.message}`)
  const arrived = (): boolean => me.registry.governance.evaluations(village.id, releaseId).length > before
  await me.registry.until(arrived, within())
}

const claim = (percent: number): Evaluation => ({
  suite,
  metric: 'exact-match',
  value: percent * 10_000,
  baseValue: 0,
  n: 100,
  standardError: 20_000,
})

describe('what is kept', () => {
  test('survives a restart, is for its owner only, and fades', async () => {
    {
      await using reputation = await open()
      const transfer = reputation.watchTransfer(() => 0)
      transfer.served([{ kind: 'noise', id: 'ab', client: 'c', receivedBytes: 64 * 2 ** 20, sentBytes: 0 }])
      await reputation.trust(neighbour.author.identity)
      expect(reputation.scoreOf('noise:ab')).toBe(0.25)
    }
    expect((await stat(path)).mode & 0o077).toBe(0)
    now = halfLifeMs
    await using again = await open()
    expect(again.scoreOf('noise:ab')).toBeCloseTo((0.5 * 32) / 96, 12)
    expect(again.standingOf(subjectOf(neighbour))).toMatchObject({ chosen: true, score: 0.5 })
  })

  test('says of no transfer what it was', async () => {
    const { releaseId } = await announce('1.0.0')
    await using reputation = await open()
    const transfer = reputation.watchTransfer(() => 0)
    transfer.served([{ kind: 'noise', id: 'ab', client: 'c', receivedBytes: 1_000, sentBytes: 0 }])
    await reputation.trust(neighbour.author.identity)
    expect(await readFile(path, 'utf8')).not.toContain(Buffer.from(releaseId).toString('hex').slice(0, 8))
    expect(Object.keys(JSON.parse(await readFile(path, 'utf8')))).toEqual(['format', 'chosen', 'observed'])
  })

  test('is refused with a reason when it is damaged', async () => {
    await writeFile(path, '{"format": 1, "chosen": ["nobody"], "observed": []}')
    await expect(open()).rejects.toThrow(/is damaged: delete it/)
  })

  test('stops no transfer when it cannot be written, but a choice is not called made', async () => {
    path = join(path, 'no', 'folder', 'here')
    await using reputation = await open()
    const transfer = reputation.watchTransfer(() => 0)
    transfer.served([{ kind: 'noise', id: 'ab', client: 'c', receivedBytes: 2 ** 20, sentBytes: 0 }])
    await expect(reputation.trust(neighbour.author.identity)).rejects.toThrow(MeshError)
    expect(reputation.scoreOf('noise:ab')).toBeGreaterThan(0)
    expect(reputation.standingOf(subjectOf(neighbour)).chosen).toBe(false)
    expect(lines).toEqual([expect.stringContaining('What was seen of peers is not kept')])
  })
})

describe('choosing', () => {
  test('can be taken back once, and is not for oneself', async () => {
    await using reputation = await open()
    await reputation.trust(neighbour.author.identity)
    await reputation.distrust(neighbour.author.identity)
    expect(reputation.scoreOf(subjectOf(neighbour))).toBe(0)
    await expect(reputation.distrust(neighbour.author.identity)).rejects.toThrow('You did not choose')
    await expect(reputation.trust(me.author.identity)).rejects.toThrow('your own identity')
  })
})

describe('measuring', () => {
  test('confirms and refutes those who had said something before, and nobody who comes after', async () => {
    await using reputation = await open()
    const release = await announce('1.0.0', [claim(91)])
    await measure(neighbour, release, 60)
    await measure(me, release, 90)
    expect(reputation.standingOf(subjectOf(publisher)).seen).toMatchObject({ confirmed: 1, refuted: 0 })
    expect(reputation.standingOf(subjectOf(neighbour)).seen).toMatchObject({ confirmed: 0, refuted: 1 })
    // The publisher measures what this node has told: that could be copied.
    await measure(publisher, release, 90)
    expect(reputation.standingOf(subjectOf(publisher)).seen.confirmed).toBe(1)
  })

  test('counts once, also after a restart', async () => {
    const release = await announce('1.0.0', [claim(91)])
    {
      await using reputation = await open()
      await measure(me, release, 90)
      await measure(me, await announce('1.0.1'), 90)
      expect(reputation.standingOf(subjectOf(publisher)).seen.confirmed).toBe(1)
    }
    await using again = await open()
    const other = await announce('1.1.0', [claim(60)])
    await measure(me, other, 90)
    expect(again.standingOf(subjectOf(publisher)).seen).toMatchObject({ confirmed: 1, refuted: 1 })
  })
})

describe('what others measured', () => {
  test('weighs as much as they are trusted: nothing at first', async () => {
    await using reputation = await open()
    const better = await announce('1.0.0')
    const worse = await announce('1.1.0')
    await measure(neighbour, better, 90)
    await measure(neighbour, worse, 10)
    expect(reputation.scoreOfRelease(better.releaseId)).toBe(0)
    await reputation.trust(neighbour.author.identity)
    // Half of the neighbour's half, and a quarter of that because nobody else says so.
    expect(reputation.scoreOf(subjectOf(publisher))).toBe(0.0625)
    expect(reputation.scoreOfRelease(better.releaseId)).toBe(0.5625)
    expect(reputation.scoreOfRelease(worse.releaseId)).toBe(-0.4375)
    expect(reputation.scoreOfRelease(aHash(99))).toBeUndefined()
  })

  test('does not count within the error of the measurement', async () => {
    await using reputation = await open()
    await measure(neighbour, await announce('1.0.0'), 53)
    await reputation.trust(neighbour.author.identity)
    expect(reputation.scoreOf(subjectOf(publisher))).toBe(0)
  })

  test('does not count any more once its author is no member', async () => {
    await using reputation = await open()
    await measure(neighbour, await announce('1.0.0'), 90)
    await reputation.trust(neighbour.author.identity)
    expect(reputation.scoreOf(subjectOf(publisher))).toBeGreaterThan(0)
    neighbour.registry.governance.leave(village.id)
    const hasLeft = (): boolean => me.registry.governance.members(village.id).length === 2
    await me.registry.until(hasLeft, within())
    expect(reputation.scoreOf(subjectOf(publisher))).toBe(0)
  })
})
