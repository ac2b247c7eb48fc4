// Looks at every byte this node keeps again: bit rot and meddling are found before they are served or used, and repaired where that can be.
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256File } from '../model-files/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import type { MeshErrorCode } from '../protocol/index.ts'
import { checkReleaseFiles } from './check-release-files.ts'
import type { Node } from './create-node.ts'
import { errorBody } from './error-mapping.ts'
import type { CallContext } from './http/index.ts'
import type { HeldRelease } from './release-store.ts'
import { moveAside, recallRelease, repairRelease } from './repair-release.ts'
import type { BrokenRelease, RepairNode } from './repair-release.ts'

export interface VerifyWish {
  /** Also the base models, which may be many gigabytes. */
  readonly bases: boolean
  /** Get again from peers what can't be had otherwise. */
  readonly fetch: boolean
}

export interface BrokenThing {
  readonly kind: 'release' | 'object' | 'base' | 'persona'
  /** `name@version`, or what else people call it. */
  readonly release: string
  /** Release id, file digest, or persona id. */
  readonly releaseId: string
  readonly code: MeshErrorCode | 'internal'
  readonly message: string
  /** `rebuilt`: from what was still whole here. `set-aside`: nothing needs it. `none`: it is still broken. */
  readonly repair: 'rebuilt' | 'fetched' | 'set-aside' | 'none'
  /** What to do where it is still broken. */
  readonly advice?: string
}

export interface Verification {
  /** Releases. */
  readonly checked: number
  /** Of adapters. */
  readonly bytes: number
  readonly broken: readonly BrokenThing[]
  /** Whether everything that is needed is as it was signed, now. */
  readonly ok: boolean
}

export type VerifyNode = RepairNode & Pick<Node, 'personas' | 'bases'>

/** Emits {type: 'checked', release} and the progress of fetches. Throws `aborted`. */
export async function verifyReleases(node: VerifyNode, wish: VerifyWish, context: CallContext): Promise<Verification> {
  const held = node.releases.list()
  const patients = [...(await leftOut(node)), ...(await brokenAmong(node, held, context))]
  const broken: BrokenThing[] = []
  broken.push(...(await Promise.all(patients.map((patient) => cure(node, patient, wish, context)))))
  broken.push(...(await strayObjects(node, context)))
  broken.push(...(await damagedPersonas(node)))
  if (wish.bases) broken.push(...(await changedBases(node, context)))
  return {
    checked: new Set([...held.map(({ id }) => id), ...patients.map(({ id }) => id)]).size,
    bytes: held.reduce((sum, { signed }) => sum + signed.manifest.adapter.bytes, 0),
    broken,
    ok: broken.every(({ repair }) => repair !== 'none'),
  }
}

interface Patient extends BrokenRelease {
  readonly code: MeshErrorCode | 'internal'
  readonly message: string
}

function leftOut(node: VerifyNode): Promise<Patient[]> {
  const recalled = node.releases.leftOut().map(async ({ id, code, message }) => {
    return { ...(await recallRelease(node, id)), code, message }
  })
  return Promise.all(recalled)
}

/** They are used and served no more from here on. */
async function brokenAmong(
  node: VerifyNode,
  held: readonly HeldRelease[],
  { signal, emit }: CallContext,
): Promise<Patient[]> {
  const broken: Patient[] = []
  for (const release of held) {
    const { id, signed, infohash } = release
    const label = `${signed.manifest.name}@${signed.manifest.version}`
    const problem = await problemOf(release, signal)
    if (problem !== undefined) {
      broken.push({ id, label, signed, infohash, ...problem })
      node.releases.leaveOut(release, problem.code === 'internal' ? 'storage-failed' : problem.code, problem.message)
    }
    emit({ type: 'checked', release: label })
  }
  return broken
}

async function problemOf(
  { id, paths }: HeldRelease,
  signal: AbortSignal,
): Promise<Pick<Patient, 'code' | 'message'> | undefined> {
  try {
    await checkReleaseFiles(id, { ...paths, metainfo: join(dirname(paths.manifest), 'metainfo') }, signal)
    return undefined
  } catch (error) {
    if (signal.aborted) throw error
    const { code, message } = errorBody(error)
    return { code, message }
  }
}

async function cure(
  node: VerifyNode,
  { code, message, ...release }: Patient,
  { fetch: mayFetch }: VerifyWish,
  context: CallContext,
): Promise<BrokenThing> {
  const thing = { kind: 'release' as const, release: release.label, releaseId: release.id, code, message }
  try {
    const repair = await repairRelease(node, release, { mayFetch }, context)
    if (repair !== 'unfetched') return { ...thing, repair }
    return { ...thing, repair: 'none', advice: 'Run `lora-mesh verify` without --no-fetch to get it again.' }
  } catch (error) {
    if (context.signal.aborted) throw error
    return { ...thing, repair: 'none', advice: `It could not be had again: ${errorBody(error).message}` }
  }
}

/** Adapters that no release needs any more must at least be what their names say: a later release may have the same one. */
async function strayObjects(node: VerifyNode, { signal }: CallContext): Promise<BrokenThing[]> {
  const needed = new Set(node.releases.list().map(({ paths }) => paths.adapter))
  const broken: BrokenThing[] = []
  for (const name of await readdir(node.options.paths.objects)) {
    const path = join(node.options.paths.objects, name)
    const sha256 = /^([0-9a-f]{64})\.gguf$/.exec(name)?.[1]
    if (sha256 === undefined || needed.has(path) || toHex(await sha256File(path, { signal })) === sha256) continue
    await moveAside(node, path)
    const message = 'This adapter is not what its name says, and no release needs it.'
    broken.push({
      kind: 'object',
      release: name,
      releaseId: sha256,
      code: 'hash-mismatch',
      message,
      repair: 'set-aside',
    })
  }
  return broken
}

async function damagedPersonas({ personas }: VerifyNode): Promise<BrokenThing[]> {
  const { damaged } = await personas.survey()
  return damaged.map(({ id, message }) => ({
    kind: 'persona',
    release: `persona ${id}`,
    releaseId: id,
    code: 'bad-config',
    message,
    repair: 'none',
    advice: 'Make the request again: the same releases give the same persona.',
  }))
}

/** A base is the user's own file: it is never moved or fetched. */
async function changedBases({ bases }: VerifyNode, { signal, emit }: CallContext): Promise<BrokenThing[]> {
  const broken: BrokenThing[] = []
  for (const { label, path, file } of bases.list()) {
    const problem = await sha256File(path, { signal, onProgress: reading }).then(
      (digest) => (toHex(digest) === file ? undefined : changed(path)),
      (error: unknown) => error,
    )
    signal.throwIfAborted()
    emit({ type: 'checked', release: label })
    if (problem === undefined) continue
    const { code, message } = errorBody(problem)
    const advice = `Put the file back, or add it again with \`lora-mesh base add ${path}\`.`
    broken.push({ kind: 'base', release: label, releaseId: file, code, message, repair: 'none', advice })

    function reading({ bytesDone, bytesTotal }: { bytesDone: number; bytesTotal: number }): void {
      emit({ type: 'progress', label, doneBytes: bytesDone, totalBytes: bytesTotal })
    }
  }
  return broken
}

function changed(path: string): MeshError {
  return new MeshError('hash-mismatch', `${path} is no longer the file that was added as a base.`, { path })
}
