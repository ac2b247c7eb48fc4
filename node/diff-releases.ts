// What differs between two releases, two adapter files, or two personas.
import { readFile } from 'node:fs/promises'
import { openFileSource } from '../model-files/index.ts'
import { MeshError, identityToText, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import { parseLockfile, personaIdOf } from '../resolver/index.ts'
import type { LockedRelease, Lockfile } from '../resolver/index.ts'
import { compareAdapters } from './compare-adapters.ts'
import type { AdapterDifference } from './compare-adapters.ts'
import type { Node } from './create-node.ts'
import { oneRelease } from './find-release.ts'
import type { CallContext } from './http/index.ts'
import { knownEntries } from './known-entries.ts'

/** A name as people write it, or a file by its path. */
export type DiffSide = { readonly name: string } | { readonly path: string }

export interface FieldChange {
  /** Such as `adapter.rank`. */
  readonly field: string
  readonly a?: unknown
  readonly b?: unknown
}

export interface EvaluationChange {
  /** Hex of the suite's SHA-256. */
  readonly suite: string
  readonly metric: string
  /** Millionths; absent where a side was not measured. */
  readonly a?: { readonly value: number; readonly standardError: number; readonly n: number }
  readonly b?: { readonly value: number; readonly standardError: number; readonly n: number }
}

export interface ReleaseDifference {
  readonly kind: 'releases'
  readonly a: string
  readonly b: string
  /** Empty for files, which say nothing of themselves. */
  readonly fields: readonly FieldChange[]
  readonly evaluations: readonly EvaluationChange[]
  readonly bytes: { readonly a: number; readonly b: number }
  /** Absent where a side's adapter is not on this machine, or is for another base; `why` says which. */
  readonly adapter?: AdapterDifference
  readonly why?: string
  readonly same: boolean
}

export interface PersonaDifference {
  readonly kind: 'personas'
  readonly a: string
  readonly b: string
  /** All but the releases. */
  readonly fields: readonly FieldChange[]
  /** In place of each other, come or gone; scales in millionths. */
  readonly releases: readonly {
    readonly name: string
    readonly a?: { readonly version: string; readonly publisher: string; readonly scale: number }
    readonly b?: { readonly version: string; readonly publisher: string; readonly scale: number }
  }[]
  readonly same: boolean
}

export type Difference = ReleaseDifference | PersonaDifference

interface PersonaSide {
  readonly kind: 'persona'
  readonly label: string
  readonly lockfile: Lockfile
}

interface ReleaseSide {
  readonly kind: 'release'
  readonly label: string
  readonly bytes: number
  /** A file has none. */
  readonly manifest: Manifest | undefined
  /** Where its adapter lies on this machine. */
  readonly path: string | undefined
}

type Side = PersonaSide | ReleaseSide

/** What names are looked up in; files need none of it. */
export type DiffNode = Pick<Node, 'registry' | 'releases' | 'personas' | 'options'>

/** Emits the progress of comparing adapters. Throws `not-found`, `bad-input` for sides that can't be compared, and what reading adapters throws. */
export async function diffReleases(
  node: DiffNode | undefined,
  a: DiffSide,
  b: DiffSide,
  context: CallContext,
): Promise<Difference> {
  const [one, other] = [await sideOf(node, a), await sideOf(node, b)]
  if (one.kind === 'persona' && other.kind === 'persona') return diffPersonas(one, other)
  if (one.kind === 'release' && other.kind === 'release') return diffPair(one, other, context)
  const persona = one.kind === 'persona' ? one : other
  throw new MeshError(
    'bad-input',
    `${persona.label} is a persona and the other one is not: compare two releases, two files or two personas.`,
  )
}

async function sideOf(node: DiffNode | undefined, side: DiffSide): Promise<Side> {
  if ('path' in side) return fileSide(side.path)
  if (node === undefined) throw new Error('a name needs a node that knows it')
  const lockfile = await personaNamed(node, side.name)
  if (lockfile !== undefined) return { kind: 'persona', label: personaIdOf(lockfile), lockfile }
  return releaseSide(node, oneRelease(knownEntries(node), side.name))
}

async function personaNamed({ personas }: DiffNode, name: string): Promise<Lockfile | undefined> {
  if (!/^[0-9a-f]{1,12}$/.test(name)) return undefined
  const found = (await personas.list()).filter(({ id }) => id.startsWith(name))
  // Digits that begin several are refused with their names.
  return found.length === 0 ? undefined : (await personas.get(name)).lockfile
}

function releaseSide({ releases }: DiffNode, { releaseId, manifest, publisher }: CatalogueEntry): Side {
  const label = `${identityToText(publisher).slice(0, 8)}/${manifest.name}@${manifest.version}`
  const path = releases.get(toHex(releaseId))?.paths.adapter
  return { kind: 'release', label, bytes: manifest.adapter.bytes, manifest, path }
}

const lockfileMaxBytes = 1024 * 1024

/** By content: a lockfile is JSON, everything else must be an adapter. */
async function fileSide(path: string): Promise<Side> {
  using source = openFileSource(path)
  const isJson = source.size > 0 && source.size <= lockfileMaxBytes && source.read(0, 1)[0] === 0x7b
  if (!isJson) return { kind: 'release', label: path, bytes: source.size, manifest: undefined, path }
  const lockfile = parseLockfile(await readFile(path, 'utf8'))
  return { kind: 'persona', label: personaIdOf(lockfile), lockfile }
}

async function diffPair(a: ReleaseSide, b: ReleaseSide, context: CallContext): Promise<ReleaseDifference> {
  const { manifest: before } = a
  const { manifest: after } = b
  const both = before !== undefined && after !== undefined
  const fields = both ? changedFields(plainOf(before), plainOf(after)) : []
  const evaluations = both ? changedEvaluations(before, after) : []
  const compared = await adapterDifference(a, b, context)
  return {
    kind: 'releases',
    a: a.label,
    b: b.label,
    fields,
    evaluations,
    bytes: { a: a.bytes, b: b.bytes },
    ...compared,
    same: fields.length === 0 && evaluations.length === 0 && compared.adapter?.all.relativeChange === 0,
  }
}

async function adapterDifference(
  a: ReleaseSide,
  b: ReleaseSide,
  { signal, emit }: CallContext,
): Promise<Pick<ReleaseDifference, 'adapter' | 'why'>> {
  const absent = [a, b].find(({ path }) => path === undefined)
  if (absent !== undefined) {
    const name = absent.label.split('/').at(-1)!
    return { why: `${absent.label} is not on this node: get it with \`lora-mesh seed ${name}\`.` }
  }
  if (a.manifest && b.manifest && toHex(a.manifest.base.id) !== toHex(b.manifest.base.id))
    return { why: 'They are for different bases: their updates have nothing in common.' }
  const onProgress = (done: { readonly doneBytes: number; readonly totalBytes: number }): void =>
    emit({ type: 'progress', label: 'comparing', ...done })
  return { adapter: await compareAdapters(a.path!, b.path!, { signal, onProgress }) }
}

/** What people compare: the probe and the digest follow from the adapter, the evaluations have a list of their own. */
function plainOf({ probe: _probe, evaluations: _evaluations, adapter, ...manifest }: Manifest): object {
  const { sha256: _sha256, ...facts } = adapter
  return plain({ ...manifest, publisher: identityToText(manifest.publisher), adapter: facts }) as object
}

/** Bytes as hex. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
}

/** Leaves that differ; lists are leaves. */
export function changedFields(a: object, b: object, within = ''): FieldChange[] {
  const [before, after] = [a, b] as Record<string, unknown>[]
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted()
  return names.flatMap((name): FieldChange[] => {
    const [one, other] = [before![name], after![name]]
    if (isMap(one) && isMap(other)) return changedFields(one, other, `${within}${name}.`)
    if (JSON.stringify(one) === JSON.stringify(other)) return []
    const sides = { ...(one === undefined ? {} : { a: one }), ...(other === undefined ? {} : { b: other }) }
    return [{ field: within + name, ...sides }]
  })
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function changedEvaluations(a: Manifest, b: Manifest): EvaluationChange[] {
  const [before, after] = [byMeasure(a), byMeasure(b)]
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((key): EvaluationChange[] => {
    const [one, other] = [before.get(key), after.get(key)]
    if (JSON.stringify(one) === JSON.stringify(other)) return []
    const [suite, metric] = key.split(' ') as [string, string]
    return [{ suite, metric, ...(one === undefined ? {} : { a: one }), ...(other === undefined ? {} : { b: other }) }]
  })
}

function byMeasure({ evaluations }: Manifest) {
  const rows = evaluations.map(({ suite, metric, value, standardError, n }) => {
    return [`${toHex(suite)} ${metric}`, { value, standardError, n }] as const
  })
  return new Map(rows)
}

function diffPersonas(a: PersonaSide, b: PersonaSide): PersonaDifference {
  const { releases: before, ...restA } = a.lockfile
  const { releases: after, ...restB } = b.lockfile
  const names = [...new Set([...before, ...after].map(({ name }) => name))].toSorted()
  const releases = names.flatMap((name) => changedReleases(name, before, after))
  const fields = changedFields(restA, restB)
  return {
    kind: 'personas',
    a: a.label,
    b: b.label,
    fields,
    releases,
    same: a.label === b.label,
  }
}

/** Releases of one name stand beside each other in their order; what both sides have with the same scale is left out. */
function changedReleases(
  name: string,
  before: readonly LockedRelease[],
  after: readonly LockedRelease[],
): PersonaDifference['releases'] {
  const key = ({ releaseId, scale }: LockedRelease): string => `${releaseId} ${scale}`
  const [keysA, keysB] = [new Set(before.map(key)), new Set(after.map(key))]
  const gone = before.filter((release) => release.name === name && !keysB.has(key(release)))
  const come = after.filter((release) => release.name === name && !keysA.has(key(release)))
  return Array.from({ length: Math.max(gone.length, come.length) }, (_, i) => {
    const [one, other] = [gone[i], come[i]]
    return {
      name,
      ...(one === undefined ? {} : { a: shown(one) }),
      ...(other === undefined ? {} : { b: shown(other) }),
    }
  })
}

function shown({ version, publisher, scale }: LockedRelease) {
  return { version, publisher, scale }
}
