// Where a persona would go now: each release that answers something is replaced by what its name means today, as far as the versions its
// request asked for and what the releases require of each other allow. What the others require follows. Nothing is fetched or written.
import { identityToText, isMeshError, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import { extractFacets, planRequest } from '../resolver/index.ts'
import type { Embedder, LockedRelease, Lockfile, Plan, Reference } from '../resolver/index.ts'
import { highestOf, isWithin } from './current-release.ts'
import type { CurrentRelease } from './current-release.ts'
import { lockPlan } from './lock-plan.ts'
import type { Persona } from './persona-store.ts'
import { stackable } from './plan-request.ts'
import { cardsOf } from './release-cards.ts'

export interface CourseInput {
  /** Everything known, outsiders' releases and those on the disk included. */
  readonly entries: readonly CatalogueEntry[]
  readonly currentRelease: CurrentRelease
  readonly embedder: Embedder
  readonly signal: AbortSignal
}

/** One release of the persona that answers something of its request. */
export interface Leg {
  readonly locked: LockedRelease
  /** What the persona would have in its place; the locked one itself where it stays. */
  readonly wanted: CatalogueEntry | undefined
  /** What the name means now, whether the persona may have it or not. */
  readonly latest: CatalogueEntry | undefined
  /** Why the latest is not the wanted one. */
  readonly why: string | undefined
}

export interface Course {
  /** The same lockfile where nothing changes. */
  readonly lockfile: Lockfile
  /** Of everything in `lockfile`. */
  readonly entries: readonly CatalogueEntry[]
  readonly legs: readonly Leg[]
}

/** Whether the persona may follow is not asked here. Throws `aborted`. */
export async function courseOf(
  { lockfile, note }: Pick<Persona, 'lockfile' | 'note'>,
  input: CourseInput,
): Promise<Course> {
  const asked = note.request === undefined ? [] : referencesIn(note.request)
  const byId = new Map(input.entries.map((entry) => [toHex(entry.releaseId), entry]))
  const aims = lockfile.releases
    .filter(({ facets, requiredBy }) => facets.length > 0 || requiredBy.length === 0)
    .map((locked) => aimOf(locked, lockfile, asked, byId, input))
  const settled = await settle(lockfile, aims, input)
  return {
    lockfile: settled.lockfile,
    entries: settled.lockfile.releases.flatMap(({ releaseId }) => byId.get(releaseId) ?? []),
    legs: settled.aims.map(({ locked, to, latest, why }) => ({ locked, wanted: to, latest, why })),
  }
}

/** Where one release would go by itself. */
interface Aim {
  readonly locked: LockedRelease
  readonly from: CatalogueEntry | undefined
  readonly to: CatalogueEntry | undefined
  readonly latest: CatalogueEntry | undefined
  readonly why: string | undefined
}

function aimOf(
  locked: LockedRelease,
  { base }: Lockfile,
  asked: readonly Reference[],
  byId: ReadonlyMap<string, CatalogueEntry>,
  { entries, currentRelease }: CourseInput,
): Aim {
  const from = byId.get(locked.releaseId)
  const latest = byId.get(currentRelease(locked.name, locked.publisher, base.id) ?? '')
  const stays = { locked, from, latest }
  if (from === undefined) return { ...stays, to: from, why: `${locked.name}@${locked.version} is no longer known here` }
  if (latest === undefined || latest === from) return { ...stays, to: from, why: undefined }
  const reference = asked.find(({ name }) => name === locked.name)
  if (isAllowed(latest, reference)) return { ...stays, to: latest, why: undefined }
  const rivals = entries.filter(
    (entry) =>
      entry.manifest.name === locked.name &&
      toHex(entry.manifest.base.id) === base.id &&
      entry.outsider === from.outsider &&
      isAllowed(entry, reference),
  )
  return { ...stays, to: highestOf(rivals, reference?.range) ?? from, why: `the request asks for ${reference!.text}` }
}

function isAllowed({ manifest, publisher }: CatalogueEntry, reference: Reference | undefined): boolean {
  if (reference === undefined) return true
  const named = reference.publisher === undefined || reference.publisher === identityToText(publisher)
  // A community may mean a prerelease; a range must name it.
  return named && (reference.range === undefined || isWithin(manifest.version, reference.range))
}

function referencesIn(request: string): Reference[] {
  const facets = extractFacets(request, { names: new Set(), qualifiedNames: new Set() })
  return facets.flatMap(({ exact }) => exact ?? [])
}

interface Settled {
  readonly lockfile: Lockfile
  readonly aims: readonly Aim[]
}

/**
 * All moves at once if they go together; else one after the other, each that goes with those before it. Where none is to move, what they
 * require may still have become newer.
 */
async function settle(lockfile: Lockfile, aims: readonly Aim[], input: CourseInput): Promise<Settled> {
  const together = await lockTogether(lockfile, aims, input)
  if (together.kind === 'locked') return { lockfile: together.lockfile, aims }
  let settled: Settled = { lockfile, aims: aims.map((aim) => still(aim, aim.why)) }
  for (const [i, aim] of aims.entries()) {
    if (isStill(aim)) continue
    const tried = settled.aims.map((other, at) => (at === i ? aim : other))
    const found = await lockTogether(lockfile, tried, input)
    settled =
      found.kind === 'locked'
        ? { lockfile: found.lockfile, aims: tried }
        : { ...settled, aims: settled.aims.map((other, at) => (at === i ? still(aim, found.reason) : other)) }
  }
  return settled
}

function isStill({ from, to }: Aim): boolean {
  return from === to
}

function still(aim: Aim, why: string | undefined): Aim {
  return { ...aim, to: aim.from, why }
}

type Together =
  | { readonly kind: 'locked'; readonly lockfile: Lockfile }
  | { readonly kind: 'apart'; readonly reason: string }

/** Asks the resolver for exactly these releases; it adds what they require, or says why they don't go together. */
async function lockTogether(lockfile: Lockfile, aims: readonly Aim[], input: CourseInput): Promise<Together> {
  const unknown = aims.find(({ to }) => to === undefined)
  if (unknown !== undefined) return { kind: 'apart', reason: unknown.why! }
  const targets = aims.map(({ locked, to }) => ({ locked, entry: to! }))
  const reachable = reachableEntries(lockfile, targets, input.entries)
  const plan = await planExactly(lockfile, targets, reachable, input)
  if (plan.kind === 'apart') return plan
  const gap = plan.plan.gaps[0]
  if (gap !== undefined) return { kind: 'apart', reason: trimmed(gap.detail ?? `${gap.facet} is not to be had`) }
  const chosen = new Map(reachable.map((entry) => [toHex(entry.releaseId), entry]))
  const entries = plan.plan.releases.map(({ release }) => chosen.get(release)!)
  const next = relocked(lockfile, plan.plan, targets, entries)
  // What is made of the same releases is the same persona, however it was asked for.
  return { kind: 'locked', lockfile: isOfSame(lockfile, next) ? lockfile : next }
}

function isOfSame(a: Lockfile, b: Lockfile): boolean {
  const ids = ({ releases }: Lockfile): string =>
    releases
      .map(({ releaseId }) => releaseId)
      .toSorted()
      .join()
  return ids(a) === ids(b)
}

interface Target {
  readonly locked: LockedRelease
  readonly entry: CatalogueEntry
}

async function planExactly(
  { base }: Lockfile,
  targets: readonly Target[],
  reachable: readonly CatalogueEntry[],
  { embedder, signal }: CourseInput,
): Promise<{ readonly kind: 'planned'; readonly plan: Plan } | { readonly kind: 'apart'; readonly reason: string }> {
  try {
    const plan = await planRequest({
      text: targets.map(({ entry }) => referenceTo(entry)).join(', '),
      cards: cardsOf(reachable),
      embedder,
      baseId: base.id,
      options: { maxStack: stackable, signal },
    })
    return { kind: 'planned', plan }
  } catch (error) {
    if (!isMeshError(error) || error.code === 'aborted') throw error
    return { kind: 'apart', reason: trimmed(error.message) }
  }
}

/** As a request would name it: members' and own releases by their bare name, which is also what others require. */
function referenceTo({ manifest, publisher, outsider }: CatalogueEntry): string {
  const exact = `${manifest.name}@${manifest.version}`
  return outsider ? `${identityToText(publisher)}/${exact}` : exact
}

/**
 * What the resolver may choose from: the targets, and whatever their requirements may lead to. A withdrawn release that the lockfile names
 * may be kept; another one of a target's name and version may not take its place.
 */
function reachableEntries(
  lockfile: Lockfile,
  targets: readonly Target[],
  entries: readonly CatalogueEntry[],
): CatalogueEntry[] {
  const locked = new Set(lockfile.releases.map(({ releaseId }) => releaseId))
  const byName = Map.groupBy(entries, ({ manifest }) => manifest.name)
  const names = new Set(targets.map(({ entry }) => entry.manifest.name))
  // A set that grows while it is walked ends when nothing new is named.
  for (const name of names)
    for (const { manifest } of byName.get(name) ?? [])
      for (const required of manifest.requires) names.add(required.name)
  return [...names]
    .flatMap((name) => byName.get(name) ?? [])
    .filter((entry) => !targets.some(({ entry: target }) => target !== entry && isDouble(target, entry)))
    .map((entry) => (locked.has(toHex(entry.releaseId)) ? { ...entry, withdrawn: undefined } : entry))
}

function isDouble(a: CatalogueEntry, b: CatalogueEntry): boolean {
  return a.manifest.name === b.manifest.name && a.manifest.version === b.manifest.version && a.outsider === b.outsider
}

/** The new releases under the facets of the old ones; gaps, mode and instructions as they were. */
function relocked(
  before: Lockfile,
  plan: Plan,
  targets: readonly Target[],
  entries: readonly CatalogueEntry[],
): Lockfile {
  const matches = targets.flatMap(({ locked, entry: { releaseId, manifest } }) => {
    const kept = manifest.capabilities.find(({ name }) => name === locked.capability) ?? manifest.capabilities[0]
    return locked.facets.map((facet) => ({
      facet,
      capability: kept?.name ?? manifest.name,
      release: toHex(releaseId),
      name: manifest.name,
      version: manifest.version,
      score: 1,
    }))
  })
  const gaps = before.gaps.map((gap): Plan['gaps'][number] => ({
    ...gap,
    reason: 'not-found',
    nearest: [],
    strategy: 'train',
  }))
  const next = lockPlan({ ...plan, matches, gaps, mode: before.mode }, before.base, entries)
  const { file } = before.base
  return {
    ...next,
    base: { ...next.base, ...(file === undefined ? {} : { file }) },
    ...(before.systemPrompt === undefined ? {} : { systemPrompt: before.systemPrompt }),
  }
}

function trimmed(sentence: string): string {
  return sentence.replace(/\.$/, '')
}
