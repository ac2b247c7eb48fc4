// Why a release is part of a persona, and what has become of it since.
import { fromHex } from '../protocol/index.ts'
import { whyRelease } from '../resolver/index.ts'
import type { Node } from './create-node.ts'
import { outdatedReleases } from './outdated-releases.ts'
import type { CourseNode } from './float-personas.ts'

export interface WhyAnswer {
  readonly persona: string
  readonly name: string
  readonly why: string
  /** The reason its publisher gave. */
  readonly withdrawn?: string
  /** What its name means now, where that is another version. */
  readonly latest?: string
}

/** `name`: bare, or a release id. Throws `not-found`. */
export async function whyInPersona(
  node: CourseNode & Pick<Node, 'personas'>,
  name: string,
  persona: string | undefined,
  signal: AbortSignal,
): Promise<WhyAnswer> {
  const { id, lockfile } = await node.personas.get(persona)
  const why = whyRelease(lockfile, name)
  const locked = lockfile.releases.find((release) => release.name === name || release.releaseId === name)!
  const withdrawn = node.registry.release(fromHex(locked.releaseId))?.withdrawn
  const newer = (await outdatedReleases(node, id, signal)).find((row) => row.name === locked.name)
  return {
    persona: id,
    name,
    why,
    ...(withdrawn === undefined ? {} : { withdrawn }),
    ...(newer?.latest === undefined ? {} : { latest: newer.latest }),
  }
}
