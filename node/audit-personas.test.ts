import { rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { fromHex, identityToText, signManifest, toHex } from '../protocol/index.ts'
import type { Author, Manifest, SignedManifest } from '../protocol/index.ts'
import { MemoryMesh } from '../registry/index.ts'
import { parseLockfile } from '../resolver/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import { aHash, aManifest, anAuthor } from '../testing/objects.ts'
import { auditPersonas } from './audit-personas.ts'
import type { AuditFinding, Refutation } from './audit-personas.ts'
import type { KnownBase } from './base-store.ts'
import type { PersonaOrigin } from './persona-store.ts'
import { openReleaseStore } from './release-store.ts'
import type { HeldRelease } from './release-store.ts'
import { keepRelease } from './testing/held-release.ts'
import { aRegistry, addBase, nodeParts } from './testing/node-parts.ts'
import type { NodeParts } from './testing/node-parts.ts'

const context = { signal: new AbortController().signal, emit() {} }
const made: PersonaOrigin = { follows: 'float', madeAt: 1, request: 'biology' }

test('where nothing is wrong nothing is found', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  await node.personas.save(lockfileOf(held, await addBase(node)), made)
  expect(await auditPersonas(node, context)).toEqual({ releases: 1, personas: 1, findings: [], ok: true })
})

test('a withdrawn release is named with the reason and the personas that have it', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  const { id } = await node.personas.save(lockfileOf(held, await addBase(node)), made)
  node.registry.withdrawRelease(fromHex(held.id), 'trained on the wrong data')
  expect(await found(node)).toMatchObject([
    {
      code: 'withdrawn',
      subject: 'biology@1.0.0',
      releaseId: held.id,
      personas: [id],
      sentence: expect.stringContaining('trained on the wrong data'),
    },
  ])
})

test('a withdrawn release that no persona has is told, and needs nothing', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  node.registry.withdrawRelease(fromHex(held.id), 'trained on the wrong data')
  expect(await auditPersonas(node, context)).toMatchObject({
    findings: [{ code: 'withdrawn', personas: [], needed: false }],
    ok: true,
  })
})

test('a publisher who was a member when the persona was made, and is none now, has left', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  const base = await addBase(node)
  const publisher = identityToText(held.signed.manifest.publisher)
  const { id } = await node.personas.save(lockfileOf(held, base), { ...made, memberPublishers: [publisher] })
  expect(await found(node)).toMatchObject([{ code: 'publisher-left', personas: [id] }])
  node.registry.createCommunity({ name: 'kitchen' })
  expect(await found(node)).toEqual([])
})

test('a member who signed two histories is found out', async () => {
  const mesh = new MemoryMesh()
  const thief = anAuthor(2)
  const networkOf = (id: string) => mesh.node({ id, transferKey: aHash(id.length) })
  await using node = await nodeParts({ network: networkOf('us') })
  const community = node.registry.createCommunity({ name: 'kitchen', members: [{ identity: thief.identity }] })
  await using one = aRegistry(thief, networkOf('one'))
  await using two = aRegistry(thief, networkOf('another'))
  for (const registry of [one, two]) registry.followCommunity(community.link)
  one.publishRelease(signed(thief, { version: '1.0.0' }), new Uint8Array(20))
  two.publishRelease(signed(thief, { version: '6.6.6' }), new Uint8Array(20))
  const held = await keepRelease(node.releases, node.options.paths, { author: thief })
  node.registry.noteRelease(held.signed, held.infohash, 'test')
  for (const registry of [node.registry, one, two]) await registry.start()
  const isForked = (): boolean => node.registry.state(community.id).parts.some(({ forks }) => forks.length > 0)
  await node.registry.until(isForked, context.signal)
  expect(await found(node)).toMatchObject([
    { code: 'publisher-forked', subject: 'biology@1.0.0', personas: [], sentence: expect.stringContaining('two') },
  ])
})

test('an evaluation that members could not repeat is named with both values', async () => {
  await using node = await nodeParts()
  const { id } = await aHeld(node)
  const refutation: Refutation = { suite: 'ab'.repeat(32), claimed: 900_000, measured: 400_000, receipts: 3 }
  const { findings, ok } = await auditPersonas(node, context, (release) => (release === id ? [refutation] : []))
  expect(ok).toBe(false)
  expect(findings).toMatchObject([{ code: 'evaluation-refuted', releaseId: id }])
  for (const words of ['0.9', '0.4', '3 members', 'abababababab']) expect(findings[0]!.sentence).toContain(words)
})

test('a damaged adapter is found, also one that was left out when the node started', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  await writeFile(held.paths.adapter, 'garbage')
  expect(await found(node)).toMatchObject([{ code: 'damaged', subject: 'biology@1.0.0' }])
  const again = { ...node, releases: await openReleaseStore(node.options.paths, () => {}) }
  expect(await found(again)).toMatchObject([{ code: 'damaged', subject: 'biology@1.0.0', releaseId: held.id }])
})

test('a release that a persona names and the node does not have is missing, and one that no log tells of unlisted', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  await node.personas.save(lockfileOf(held, await addBase(node)), made)
  await node.releases.remove(held)
  expect(await found(node)).toMatchObject([{ code: 'missing', advice: expect.stringContaining('seed biology') }])
  await using other = await nodeParts()
  await keepRelease(other.releases, other.options.paths)
  expect(await found(other)).toMatchObject([{ code: 'unlisted' }])
})

test('a base that is unknown, gone or changed is named once per persona', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  const base = await addBase(node)
  const { id } = await node.personas.save(lockfileOf(held, base), made)
  await writeFile(base.path, 'another model')
  expect(await found(node)).toMatchObject([{ code: 'base-changed', subject: base.label, personas: [id] }])
  await rm(base.path)
  expect(await found(node)).toMatchObject([{ code: 'base-changed', sentence: expect.stringContaining('no longer') }])
  await node.bases.remove(base.label)
  expect(await found(node)).toMatchObject([{ code: 'base-unknown', advice: expect.stringContaining('base add') }])
})

test('a persona that has moved on is no longer audited; a damaged lockfile is', async () => {
  await using node = await nodeParts()
  const held = await aHeld(node)
  const base = await addBase(node)
  const old = await node.personas.save(
    { ...lockfileOf(held, base), base: { id: '00'.repeat(32), label: 'gone' } },
    made,
  )
  expect(await found(node)).toMatchObject([{ code: 'base-unknown' }])
  const moved = await node.personas.move(old, lockfileOf(held, base))
  expect(await found(node)).toEqual([])
  await writeFile(`${node.options.paths.personas}/${moved.id}.lock.json`, '{')
  expect(await found(node)).toMatchObject([{ code: 'persona-damaged', subject: moved.id }])
})

async function found(node: Parameters<typeof auditPersonas>[0]): Promise<readonly AuditFinding[]> {
  const { findings, ok } = await auditPersonas(node, context)
  expect(ok).toBe(findings.length === 0)
  return findings
}

/** Published by the node itself. */
async function aHeld({ releases, options, registry }: NodeParts): Promise<HeldRelease> {
  const held = await keepRelease(releases, options.paths, { author: options.keys.author })
  registry.publishRelease(held.signed, held.infohash)
  return held
}

function signed(author: Author, facts: Partial<Manifest>): SignedManifest {
  return signManifest(aManifest(facts, author), author)
}

function lockfileOf({ id, signed: { manifest }, infohash }: HeldRelease, base: KnownBase): Lockfile {
  const { name, version, publisher, adapter } = manifest
  const release = {
    name,
    version,
    publisher: identityToText(publisher),
    releaseId: id,
    sha256: toHex(adapter.sha256),
    bytes: adapter.bytes,
    infohash: toHex(infohash),
    scale: 1_000_000,
    capability: name,
    facets: [name],
    requiredBy: [],
  }
  return parseLockfile(
    JSON.stringify({
      format: 'lora-mesh-lockfile/1',
      base: { id: base.id, label: base.label },
      releases: [release],
      mode: 'stack',
      gaps: [],
    }),
  )
}
