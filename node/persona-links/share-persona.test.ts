import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { identityToText, toHex } from '../../protocol/index.ts'
import { MemoryMesh } from '../../registry/index.ts'
import type { MemoryNode } from '../../registry/index.ts'
import { lockfileDigest } from '../../resolver/index.ts'
import type { Lockfile } from '../../resolver/index.ts'
import { anAuthor } from '../../testing/objects.ts'
import { keepRelease } from '../testing/held-release.ts'
import { aRegistry, nodeParts } from '../testing/node-parts.ts'
import type { NodeParts } from '../testing/node-parts.ts'
import { aLockedRelease, aLockfile, linkTo } from './testing/a-lockfile.ts'
import { keepSharing, listShared, sharePersona, sharedPersonasMax, stopSharing } from './share-persona.ts'

const { signal } = new AbortController()
const origin = { follows: 'float', madeAt: 1 } as const

describe('sharing a persona', () => {
  let stack: AsyncDisposableStack
  let mesh: MemoryMesh
  let node: NodeParts
  let lockfile: Lockfile

  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    mesh = new MemoryMesh()
    node = stack.use(await nodeParts({ network: aNetwork() }))
    const { id, signed } = await keepRelease(node.releases, node.options.paths)
    const publisher = identityToText(signed.manifest.publisher)
    lockfile = aLockfile({ releases: [aLockedRelease({ releaseId: id, publisher, facets: ['moss'] })] })
    await node.personas.save(lockfile, origin)
  })
  afterEach(() => stack[Symbol.asyncDispose]())

  let nodes = 0
  const aNetwork = (): MemoryNode => stack.use(mesh.node({ id: `node ${nodes++}` }))
  /** What somebody else gets by the link. */
  const handedOver = async (within = signal): Promise<Uint8Array> => {
    const other = stack.use(aRegistry(anAuthor(2), aNetwork()))
    return other.meetHolders(lockfileDigest(lockfile)).lockfile(within)
  }

  it('prints a link that follows from the lockfile alone, and hands the lockfile over', async () => {
    const shared = await sharePersona(node, undefined)
    expect(shared).toMatchObject({ link: linkTo(lockfile), releases: ['biology@1.0.0'], words: ['moss'] })
    expect(await sharePersona(node, shared.persona)).toEqual(shared)
    expect(await listShared(node)).toEqual([shared])
    expect((await handedOver()).length).toBeGreaterThan(200)
  })

  it('goes on after a restart, until it is stopped', async () => {
    const { persona } = await sharePersona(node, undefined)
    const restarted = { ...node, registry: stack.use(aRegistry(anAuthor(), aNetwork())) }
    await node.registry[Symbol.asyncDispose]()
    await keepSharing(restarted)
    expect((await handedOver()).length).toBeGreaterThan(200)
    expect(await stopSharing(restarted, persona)).toEqual({ persona })
    expect(await listShared(restarted)).toEqual([])
    await expect(stopSharing(restarted, persona)).rejects.toMatchObject({ code: 'not-found' })
  })

  it('is refused for a persona whose releases are not here: nobody could get them', async () => {
    const other = aLockfile({ releases: [aLockedRelease({ releaseId: toHex(lockfileDigest(lockfile)) })] })
    const { id } = await node.personas.save(other, origin)
    await expect(sharePersona(node, id)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('lora-mesh seed biology') as string,
    })
    expect(await listShared(node)).toEqual([])
  })

  it('is bounded, but for one that is shared already', async () => {
    for (let i = 0; i < sharedPersonasMax; i++) {
      const gaps = [{ facet: `gap ${i}`, capability: `gap-${i}` }]
      await sharePersona(node, (await node.personas.save(aLockfile({ releases: [], gaps }), origin)).id)
    }
    const [first] = await listShared(node)
    await expect(sharePersona(node, (await node.personas.save(lockfile, origin)).id)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('--stop') as string,
    })
    expect(await sharePersona(node, first!.persona)).toEqual(first)
  })
})
