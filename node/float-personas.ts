// Personas that float follow what their names mean: when that changes the releases are fetched and checked first, then a new lockfile is
// written beside the old one, which stays and works. A persona whose releases can't be had stays where it is and is looked at again.
import { isMeshError, toHex } from '../protocol/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import type { Node } from './create-node.ts'
import type { CurrentRelease } from './current-release.ts'
import { fetchReleases } from './fetch-releases.ts'
import { governedReleases } from './governed-releases.ts'
import type { CallContext } from './http/index.ts'
import { knownEntries } from './known-entries.ts'
import { courseOf } from './persona-course.ts'
import type { Course } from './persona-course.ts'
import type { Persona } from './persona-store.ts'

/** `from` is absent for what came in, `to` for what went. */
export interface PersonaChange {
  readonly name: string
  readonly from?: string
  readonly to?: string
}

export interface PersonaMoved {
  readonly kind: 'persona-moved'
  readonly from: string
  readonly to: string
  readonly changes: readonly PersonaChange[]
}

export interface PersonaWaits {
  readonly kind: 'persona-waits'
  readonly persona: string
  readonly message: string
}

/** The parts of a node that a persona's course depends on. */
export type CourseNode = Pick<Node, 'registry' | 'releases' | 'options' | 'embedder'>

/**
 * Where personas would go; reads what is known once for all of them. `currentRelease`: what names mean; absent, what the communities' channels
 * hold, and the highest version of others.
 */
export function courses(
  node: CourseNode,
  signal: AbortSignal,
  currentRelease?: CurrentRelease,
): (persona: Pick<Persona, 'lockfile' | 'note'>) => Promise<Course> {
  const entries = knownEntries(node)
  const input = {
    entries,
    currentRelease: currentRelease ?? governedReleases(node.registry, entries),
    embedder: node.embedder,
    signal,
  }
  return (persona) => courseOf(persona, input)
}

/** Moves every floating persona, or only `ids`, as far as it goes. Throws `aborted`; what one persona fails of is told and keeps no other. */
export async function floatPersonas(
  node: Node,
  context: CallContext,
  { ids, currentRelease }: { readonly ids?: readonly string[]; readonly currentRelease?: CurrentRelease } = {},
): Promise<readonly (PersonaMoved | PersonaWaits)[]> {
  const course = courses(node, context.signal, currentRelease)
  const events: (PersonaMoved | PersonaWaits)[] = []
  for (const persona of await node.personas.list()) {
    if (persona.note.follows !== 'float' || (ids !== undefined && !ids.includes(persona.id))) continue
    const event = await floatOne(node, persona, course, context).catch((error: unknown) => {
      if (!isMeshError(error) || context.signal.aborted) throw error
      return { kind: 'persona-waits' as const, persona: persona.id, message: error.message }
    })
    if (event !== undefined) events.push(event)
  }
  return events
}

async function floatOne(
  node: Node,
  persona: Persona,
  course: ReturnType<typeof courses>,
  context: CallContext,
): Promise<PersonaMoved | undefined> {
  const latest = await node.personas.latestOf(persona)
  const { lockfile, entries } = await course({ lockfile: latest.lockfile, note: persona.note })
  if (lockfile === latest.lockfile) return undefined
  await fetchReleases(
    node,
    entries,
    node.bases.list().find(({ id }) => id === lockfile.base.id),
    context,
  )
  for (const { releaseId } of entries) {
    const held = node.releases.get(toHex(releaseId))
    if (held !== undefined) await node.releases.requireIntact(held, context.signal)
  }
  const moved = await node.personas.move(persona, lockfile)
  return { kind: 'persona-moved', from: latest.id, to: moved.id, changes: changesBetween(latest.lockfile, lockfile) }
}

/** The persona a chat goes on with: where a floating one has got to by now, and what changed on the way. */
export async function latestOf(
  node: Pick<Node, 'personas'>,
  name: string | undefined,
): Promise<{ readonly persona: Persona; readonly moved: PersonaMoved | undefined }> {
  const named = await node.personas.get(name)
  const persona = await node.personas.latestOf(named)
  if (persona.id === named.id) return { persona, moved: undefined }
  const changes = changesBetween(named.lockfile, persona.lockfile)
  return { persona, moved: { kind: 'persona-moved', from: named.id, to: persona.id, changes } }
}

/** By name, sorted; a release in place of one of the same name is one change. */
export function changesBetween(before: Lockfile, after: Lockfile): PersonaChange[] {
  const names = [...new Set([...before.releases, ...after.releases].map(({ name }) => name))].toSorted()
  return names.flatMap((name) => {
    const from = versionsOf(before, name)
    const to = versionsOf(after, name)
    const same = before.releases.filter((one) => one.name === name).every(({ releaseId }) => holds(after, releaseId))
    if (from === to && same) return []
    return [{ name, ...(from === '' ? {} : { from }), ...(to === '' ? {} : { to }) }]
  })
}

/** "1.8.0"; "" when there is none; all of them where several publishers' releases have one name. */
function versionsOf({ releases }: Lockfile, name: string): string {
  return releases
    .filter((release) => release.name === name)
    .map(({ version }) => version)
    .join(' + ')
}

function holds({ releases }: Lockfile, id: string): boolean {
  return releases.some(({ releaseId }) => releaseId === id)
}

/** "biology 1.7.0 -> 1.8.0, physics 1.0.0 added". */
export function changesText(changes: readonly PersonaChange[]): string {
  return changes
    .map(({ name, from, to }) => {
      if (from === undefined) return `${name} ${to} added`
      return to === undefined ? `${name} ${from} removed` : `${name} ${from} -> ${to}`
    })
    .join(', ')
}

export function eventText(event: PersonaMoved | PersonaWaits): string {
  return event.kind === 'persona-moved'
    ? `Persona ${event.from} is now ${event.to}: ${changesText(event.changes)}.`
    : `Persona ${event.persona} stays as it is for now: ${event.message}`
}
