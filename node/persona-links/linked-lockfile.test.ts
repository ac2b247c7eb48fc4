import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { encodeCanonical, personaLink, taggedId, utf8 } from '../../protocol/index.ts'
import type { Canonical } from '../../protocol/index.ts'
import { MemoryMesh } from '../../registry/index.ts'
import { encodeLockfile, lockfileDigest, personaIdOf } from '../../resolver/index.ts'
import { anAuthor } from '../../testing/objects.ts'
import { openBaseStore } from '../base-store.ts'
import { nodeParts } from '../testing/node-parts.ts'
import type { NodeParts } from '../testing/node-parts.ts'
import { aContext } from '../testing/publishing-node.ts'
import { linkedLockfile } from './linked-lockfile.ts'
import type { LinkNode, LinkWish } from './linked-lockfile.ts'
import { lookIntoLink } from './look-into-link.ts'
import { aLockedRelease, aLockfile, linkTo } from './testing/a-lockfile.ts'

const lockfile = aLockfile()
const wish: LinkWish = { link: linkTo(lockfile), waitMs: 60_000 }

describe('the lockfile of a link', () => {
  let parts: AsyncDisposableStack
  let holder: NodeParts
  let opener: NodeParts & LinkNode

  beforeEach(async () => {
    parts = new AsyncDisposableStack()
    const mesh = new MemoryMesh()
    const online = async (author: number): Promise<NodeParts> => {
      const network = parts.use(mesh.node({ id: `node ${author}` }))
      return parts.use(await nodeParts({ author: anAuthor(author), network }))
    }
    holder = await online(1)
    opener = { ...(await online(2)), network: { start: async () => {} } }
  })
  afterEach(() => parts[Symbol.asyncDispose]())

  const open = (other: Partial<LinkWish> = {}, node: LinkNode = opener, signal?: AbortSignal) =>
    linkedLockfile(node, { ...wish, ...other }, { ...aContext(), ...(signal && { signal }) })

  /** A holder that says of any bytes that they are the lockfile. */
  const shares = (bytes: Uint8Array): string => {
    const digest = taggedId('lockfile', bytes)
    holder.registry.shareLockfile(digest, bytes)
    return personaLink(digest, [anAuthor(1).identity])
  }

  it('comes from who shares it', async () => {
    holder.registry.shareLockfile(lockfileDigest(lockfile), encodeLockfile(lockfile))
    expect(await open()).toEqual({ digest: lockfileDigest(lockfile), lockfile, persona: undefined })
  })

  it('comes from this node when it has the persona, without asking anybody', async () => {
    const persona = await opener.personas.save(lockfile, { follows: 'float', madeAt: 1 })
    expect(await open({ waitMs: 0 })).toEqual({ digest: lockfileDigest(lockfile), lockfile, persona })
  })

  it('is looked for as long as one waits, and how long that has been is told', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const stop = new AbortController()
    const notes: unknown[] = []
    const emit = (event: object): void => {
      notes.push(event)
      if (notes.length === 1) queueMicrotask(() => vi.advanceTimersByTime(10_000))
      if (notes.length === 3) stop.abort()
    }
    try {
      await expect(linkedLockfile(opener, wish, { signal: stop.signal, emit })).rejects.toMatchObject({
        code: 'aborted',
      })
      expect(notes.slice(1)).toMatchObject([
        { text: 'Still looking: 5 s of 60 s ...' },
        { text: 'Still looking: 10 s of 60 s ...' },
      ])
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('is looked for also without a base, which is told before', async () => {
    const notes: unknown[] = []
    const looking = lookIntoLink(
      { ...opener, bases: await openBaseStore(`${opener.options.paths.root}/none.json`) },
      { ...wish, waitMs: 0 },
      { ...aContext(), emit: (event) => notes.push(event) },
    )
    await expect(looking).rejects.toMatchObject({ code: 'no-seeder' })
    expect(notes[0]).toMatchObject({ text: expect.stringContaining('lora-mesh base add FILE') })
  })

  it('is refused when its releases are signed by others than the link says', async () => {
    const link = personaLink(lockfileDigest(lockfile), [anAuthor(1).identity, anAuthor(2).identity])
    holder.registry.shareLockfile(lockfileDigest(lockfile), encodeLockfile(lockfile))
    await expect(open({ link })).rejects.toMatchObject({ code: 'bad-signature' })
    const nobodys = personaLink(lockfileDigest(lockfile), [])
    await expect(open({ link: nobodys })).rejects.toMatchObject({ code: 'bad-signature' })
  })

  it('is refused when it has the digest of the link, and is not written in the one way', async () => {
    const releases = [aLockedRelease({ name: 'b' }), aLockedRelease({ name: 'a' })]
    const bytes = encodeCanonical(aLockfile({ releases }) as unknown as Canonical)
    await expect(open({ link: shares(bytes) })).rejects.toMatchObject({ code: 'not-canonical' })
  })

  it.each([
    ['no canonical bytes', utf8('{"format": "lora-mesh-lockfile/1"}'), /malformed|not-canonical/],
    ['something else', encodeCanonical({ format: 'something-else' }), /bad-input/],
    [
      'a strength beyond all bounds',
      encodeCanonical(aLockfile({ releases: [aLockedRelease({ scale: 17_000_000 })] }) as unknown as Canonical),
      /bad-input/,
    ],
  ])('is refused when it has the digest of the link, and is %s', async (_what, bytes, code) => {
    await expect(open({ link: shares(bytes) })).rejects.toMatchObject({ code: expect.stringMatching(code) as string })
  })

  it('as it was shown is taken back only if the link names it', async () => {
    expect(await open({ lockfile, waitMs: 0 })).toMatchObject({ lockfile })
    const other = aLockfile({ gaps: [{ facet: 'wine', capability: 'wine' }] })
    await expect(open({ lockfile: other, waitMs: 0 })).rejects.toMatchObject({ code: 'bad-input' })
  })

  it('never takes the place of another persona with its id', async () => {
    const other = await opener.personas.save(aLockfile({ mode: 'route' }), { follows: 'stay', madeAt: 1 })
    const forged = { ...other, id: personaIdOf(lockfile) }
    const personas = { ...opener.personas, survey: async () => ({ personas: [forged], damaged: [] }) }
    const crowded = { ...opener, personas }
    await expect(open({ lockfile }, crowded)).rejects.toMatchObject({ code: 'already-exists' })
  })

  it('that nobody shares is looked for as long as one waits', async () => {
    await expect(open({ waitMs: 1 })).rejects.toMatchObject({
      code: 'no-seeder',
      message: expect.stringContaining('lora-mesh up') as string,
    })
  })

  it('is looked for no longer once the caller has gone', async () => {
    await expect(open({}, opener, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' })
  })
})
