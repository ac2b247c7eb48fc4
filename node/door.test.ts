// Whatever is wrong with a release shows at the door, under a code of its own, and leaves nothing behind. Two nodes in this process, each
// with its real network and engine children: one serves what its publisher should not have made, the other fetches it.
import { copyFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFileSource, readGguf, sha256File } from '../model-files/index.ts'
import { MeshError, signManifest, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { LocalMesh } from '../testing/local-mesh.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { publishRelease } from './publish-release.ts'
import { torrentOfRelease } from './release-pieces.ts'
import type { HeldRelease } from './release-store.ts'
import { aNodeIn } from './testing/node-in-folder.ts'

const storyBase = kit.path('models/stories260K.gguf')
const patience = AbortSignal.timeout(240_000)

let mesh: LocalMesh
let publisher: Node
let seeker: Node
let base: KnownBase
let honest: HeldRelease
/** Of an adapter that was made for a base of the same shape and other weights. */
let foreign: HeldRelease
let foreignBase: KnownBase
const stack = new AsyncDisposableStack()
let made = 0

beforeAll(async () => {
  if (!kit.present) return
  mesh = stack.use(await LocalMesh.start())
  publisher = stack.use(await aNodeIn(join(mesh.folder, 'publisher'), mesh.bootstraps))
  seeker = stack.use(await aNodeIn(join(mesh.folder, 'seeker'), mesh.bootstraps))
  const otherWeights = join(mesh.folder, 'other-weights.gguf')
  await perturb(storyBase, otherWeights)
  await publisher.bases.add(storyBase, {})
  foreignBase = await publisher.bases.add(otherWeights, {})
  base = await seeker.bases.add(storyBase, {})
  await publisher.network.start()
  honest = await publish('recipes', base)
  foreign = await publish('foreign', foreignBase)
}, 120_000)

afterAll(async () => {
  await stack[Symbol.asyncDispose]()
}, 60_000)

async function publish(name: string, forBase: KnownBase): Promise<HeldRelease> {
  const path = kit.path('adapters/peft-recipes')
  const wish = { path, name, version: '1.0.0', summary: 'cooking', licence: 'CC0-1.0', capabilities: [], tags: [] }
  const context = { signal: patience, emit() {} }
  const { releaseId } = await publishRelease(publisher, { ...wish, scale: 1, base: forBase.file }, context)
  return publisher.releases.get(releaseId)!
}

/** Every weight a little different, norms included: the same shapes and metadata, another model. */
async function perturb(path: string, out: string): Promise<void> {
  await copyFile(path, out)
  using source = openFileSource(path)
  const { tensors, dataOffset } = readGguf(source, 'base')
  const bytes = new Uint8Array(source.read(0, source.size))
  for (const { offset, bytes: length } of tensors) {
    const numbers = new DataView(bytes.buffer, bytes.byteOffset + dataOffset + offset, length)
    for (let at = 0; at < length; at += 4) {
      numbers.setFloat32(at, numbers.getFloat32(at, true) * (1 + ((at % 28) - 12) / 200), true)
    }
  }
  await writeFile(out, bytes)
}

/** Serves `sealed` and the adapter of `release` as one release, whatever it is worth, and fetches it. */
async function offered(release: HeldRelease, sealed: Uint8Array, releaseId: Uint8Array): Promise<unknown> {
  const folder = join(mesh.folder, `offered-${made++}`)
  const manifest = `${folder}.manifest`
  await writeFile(manifest, sealed)
  const { infohash, metainfo } = await torrentOfRelease(sealed, release.paths.adapter, patience)
  await publisher.network.swarm!.seed(infohash, { metainfo, paths: { manifest, adapter: release.paths.adapter } })
  return seeker.fetcher
    .fetch({ releaseId, infohash, label: 'offered' }, base, { signal: patience, emit: () => {} })
    .catch((error: unknown) => error)
}

/** The same publisher signs other claims about the same file. */
function claiming({ signed }: HeldRelease, claims: Partial<Manifest>): { sealed: Uint8Array; releaseId: Uint8Array } {
  return signManifest({ ...signed.manifest, ...claims }, publisher.options.keys.author)
}

async function expectNothingKept(): Promise<void> {
  const { objects, releases, staging } = seeker.options.paths
  for (const folder of [objects, releases, staging]) expect(await readdir(folder), folder).toEqual([])
  expect(seeker.releases.list()).toEqual([])
}

async function expectRefused(outcome: unknown, code: string, blame: string): Promise<void> {
  expect(outcome).toBeInstanceOf(MeshError)
  expect(outcome).toMatchObject({ code, blame })
  await expectNothingKept()
}

describe.skipIf(!kit.present)('at the door (needs the kit)', () => {
  it('an adapter for another base of the same shape is refused by its base id', async () => {
    expect(foreignBase.id).not.toBe(base.id)
    const { sealed, releaseId } = foreign.signed
    await expectRefused(await offered(foreign, sealed, releaseId), 'base-mismatch', 'publisher')
  }, 60_000)

  it('an adapter that was measured on another base than the one its manifest names is refused by the probe', async () => {
    const lie = claiming(foreign, { base: honest.signed.manifest.base })
    await expectRefused(await offered(foreign, lie.sealed, lie.releaseId), 'probe-failed', 'publisher')
  }, 60_000)

  it('a manifest for other token ids is refused', async () => {
    const { base: named } = honest.signed.manifest
    const lie = claiming(honest, { base: { ...named, tokenizer: new Uint8Array(32) } })
    await expectRefused(await offered(honest, lie.sealed, lie.releaseId), 'tokenizer-mismatch', 'publisher')
  }, 60_000)

  it.each([
    ['rank', { rank: 4 }],
    ['alpha', { alpha: 1_000_000 }],
    ['targets', { targets: ['attn_q'] }],
    ['dtype', { dtype: 'F16' as const }],
  ])(
    'a release that claims another %s than its file has is refused',
    async (_what, claim) => {
      const lie = claiming(honest, { adapter: { ...honest.signed.manifest.adapter, ...claim } })
      await expectRefused(await offered(honest, lie.sealed, lie.releaseId), 'manifest-mismatch', 'publisher')
    },
    60_000,
  )

  it('a manifest that was tampered with is refused before its signature is asked for', async () => {
    const { sealed, releaseId } = honest.signed
    const text = Buffer.from(sealed)
    text.write('baking ', text.indexOf('cooking'))
    await expectRefused(await offered(honest, new Uint8Array(text), releaseId), 'hash-mismatch', 'peer')
  }, 60_000)

  it('the right manifest under a wrong signature is refused', async () => {
    const { sealed, releaseId } = honest.signed
    const forged = sealed.slice()
    forged[forged.length - 1]! ^= 1
    await expectRefused(await offered(honest, forged, releaseId), 'bad-signature', 'peer')
  }, 60_000)

  it('an adapter file with hostile numbers is refused by the validator, though its publisher signed it', async () => {
    const hostile = kit.path('hostile/gguf/weights_one_nan.gguf')
    const folder = join(mesh.folder, 'hostile')
    await copyFile(hostile, `${folder}.gguf`)
    using source = openFileSource(`${folder}.gguf`)
    const adapter = {
      ...honest.signed.manifest.adapter,
      bytes: source.size,
      sha256: await sha256File(`${folder}.gguf`, { signal: patience }),
    }
    const lie = claiming(honest, { adapter })
    const paths = { manifest: `${folder}.manifest`, adapter: `${folder}.gguf` }
    const outcome = await offered({ ...honest, paths }, lie.sealed, lie.releaseId)
    await expectRefused(outcome, 'not-finite', 'publisher')
  }, 60_000)

  it('the honest release passes, and is put where its digest says', async () => {
    const { sealed, releaseId } = honest.signed
    expect(await offered(honest, sealed, releaseId)).toMatchObject({ release: { id: honest.id } })
    const { sha256 } = honest.signed.manifest.adapter
    expect(await readdir(seeker.options.paths.objects)).toEqual([`${toHex(sha256)}.gguf`])
    expect(await readdir(seeker.options.paths.staging)).toEqual([])
  }, 60_000)
})
