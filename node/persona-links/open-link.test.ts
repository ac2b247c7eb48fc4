import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { identityToText, toHex } from '../../protocol/index.ts'
import type { LockedRelease, Lockfile } from '../../resolver/index.ts'
import { aHash } from '../../testing/objects.ts'
import type { Node } from '../create-node.ts'
import { aContext, anAdapterFile, aPublisher, publish } from '../testing/publishing-node.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { aLockedRelease, aLockfile, linkTo } from './testing/a-lockfile.ts'
import { openLink } from './open-link.ts'

describe('opening a link to a release that is here', () => {
  let stack: AsyncDisposableStack
  let node: Node
  let locked: LockedRelease

  beforeAll(async () => {
    stack = new AsyncDisposableStack()
    const { path } = stack.use(await temporaryFolder())
    node = stack.use(await aPublisher(path))
    await publish(node, { path: await anAdapterFile(node, path), name: 'biology' })
    const [{ id, signed, infohash }] = node.releases.list() as [ReturnType<Node['releases']['list']>[number]]
    const { adapter, publisher, use } = signed.manifest
    locked = aLockedRelease({
      releaseId: id,
      publisher: identityToText(publisher),
      sha256: toHex(adapter.sha256),
      bytes: adapter.bytes,
      infohash: toHex(infohash),
      scale: use.scale,
    })
  }, 120_000)
  afterAll(() => stack[Symbol.asyncDispose](), 60_000)

  const lockfileWith = (facts: Partial<LockedRelease>): Lockfile =>
    aLockfile({
      base: { id: node.bases.current()!.id, label: 'tiny llama' },
      releases: [{ ...locked, ...facts }],
    })
  const open = (lockfile: Lockfile) => openLink(node, { link: linkTo(lockfile), waitMs: 0, lockfile }, aContext())

  it.each<[string, Partial<LockedRelease>]>([
    ['publisher', { publisher: identityToText(aHash(3)) }],
    ['name', { name: 'chemistry' }],
    ['version', { version: '9.9.9' }],
    ['adapter', { bytes: 7 }],
    ['strength', { scale: 15_999_999 }],
  ])(
    'is refused when the lockfile says another %s than the signed manifest, and keeps nothing',
    async (field, facts) => {
      await expect(open(lockfileWith(facts))).rejects.toMatchObject({ code: 'manifest-mismatch', details: { field } })
      expect(await node.personas.list()).toEqual([])
    },
  )

  it('says which base is missing and how to add it', async () => {
    const elsewhere = { ...lockfileWith({}), base: { id: toHex(aHash(99)), label: 'large llama' } }
    await expect(open(elsewhere)).rejects.toMatchObject({
      code: 'base-missing',
      message: expect.stringMatching(/large llama.*lora-mesh base add/) as string,
    })
  })

  it('makes a persona that stays, with one stack however often it is opened', async () => {
    const first = await open(lockfileWith({}))
    expect(first).toMatchObject({ already: false, follows: 'stay', fetch: { bytes: 0 } })
    expect(await open(lockfileWith({}))).toMatchObject({ already: true, stackHash: first.stackHash })
    expect((await node.personas.get(first.persona)).note).toMatchObject({ follows: 'stay' })
  }, 60_000)

  it('leaves a persona that was here before as it was', async () => {
    const lockfile = { ...lockfileWith({}), gaps: [{ facet: 'wine', capability: 'wine' }] }
    const mine = await node.personas.save(lockfile, { follows: 'float', madeAt: 5, request: 'biology and wine' })
    expect(await open(lockfile)).toMatchObject({ persona: mine.id, already: true, follows: 'float' })
    expect((await node.personas.get(mine.id)).note).toEqual(mine.note)
  }, 60_000)
})
