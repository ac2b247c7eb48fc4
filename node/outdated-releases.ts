// What of the personas is behind: what each release is, what it may become, what its name means now, and why the two differ.
import { toHex } from '../protocol/index.ts'
import { courses } from './float-personas.ts'
import type { CourseNode } from './float-personas.ts'
import type { Course, Leg } from './persona-course.ts'
import type { Node } from './create-node.ts'
import type { CurrentRelease } from './current-release.ts'
import { lostChannels } from './governed-releases.ts'
import type { LostChannel } from './governed-releases.ts'
import type { Persona } from './persona-store.ts'

export interface OutdatedRelease {
  readonly persona: string
  readonly name: string
  readonly current: string
  /** What the persona gets when it is next moved; absent where the release would go. */
  readonly wanted?: string
  /** What the name means now; absent where nothing has that name any more. */
  readonly latest?: string
  /** Why the wanted one is not the latest, or why the persona isn't moved. */
  readonly why?: string
}

/** Of one persona, or of all that no other has taken the place of. Sorted by name within a persona. Throws `not-found`, `aborted`. */
export async function outdatedReleases(
  node: CourseNode & Pick<Node, 'personas'>,
  name: string | undefined,
  signal: AbortSignal,
  currentRelease?: CurrentRelease,
): Promise<readonly OutdatedRelease[]> {
  const course = courses(node, signal, currentRelease)
  const personas = name === undefined ? await newestPersonas(node) : [await node.personas.get(name)]
  const found: OutdatedRelease[] = []
  const lost = lostChannels(node.registry)
  for (const persona of personas) found.push(...rowsOf(persona, await course(persona), lost))
  return found
}

async function newestPersonas({ personas }: Pick<Node, 'personas'>): Promise<Persona[]> {
  return (await personas.list()).filter(({ note }) => note.follows === 'stay' || note.successor === undefined)
}

function rowsOf(
  persona: Persona,
  { lockfile, entries, legs }: Course,
  lost: readonly LostChannel[],
): OutdatedRelease[] {
  const answering = legs.flatMap((leg) => rowOfLeg(persona, leg, lost))
  const required = persona.lockfile.releases.filter((locked) => !legs.some((leg) => leg.locked === locked))
  const others = required.flatMap((locked): OutdatedRelease[] => {
    if (lockfile.releases.some(({ releaseId }) => releaseId === locked.releaseId)) return []
    const wanted = entries.find(({ manifest }) => manifest.name === locked.name)?.manifest.version
    const versions = wanted === undefined ? {} : { wanted, latest: wanted }
    return [
      withReason({ persona: persona.id, name: locked.name, current: locked.version, ...versions }, persona, undefined),
    ]
  })
  return [...answering, ...others].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function rowOfLeg(
  persona: Persona,
  { locked, wanted, latest, why }: Leg,
  lost: readonly LostChannel[],
): OutdatedRelease[] {
  const isNewest = latest === undefined || toHex(latest.releaseId) === locked.releaseId
  const isThere = wanted !== undefined && toHex(wanted.releaseId) === locked.releaseId
  if (isNewest && isThere) return []
  const row = {
    persona: persona.id,
    name: locked.name,
    current: locked.version,
    ...(wanted === undefined ? {} : { wanted: wanted.manifest.version }),
    ...(latest === undefined ? {} : { latest: latest.manifest.version }),
  }
  const channel = lost.find(({ releaseId }) => releaseId === locked.releaseId)
  return [withReason(row, persona, why ?? channel?.sentence)]
}

function withReason(row: OutdatedRelease, { note }: Persona, why: string | undefined): OutdatedRelease {
  if (note.follows === 'stay') return { ...row, wanted: row.current, why: 'this persona stays as it was made' }
  return why === undefined ? row : { ...row, why }
}
