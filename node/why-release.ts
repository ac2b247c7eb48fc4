// Why a release is part of a persona, and what has become of it since.
import { fromHex } from '../protocol/index.ts'
import { confirmedEvaluations, evaluationText } from './evidence/confirmations.ts'
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
  /** How far its publisher's measurements are confirmed by members, a sentence each. */
  readonly evaluations: readonly string[]
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
  const known = node.registry.release(fromHex(locked.releaseId))
  const withdrawn = known?.withdrawn
  const evaluations = known === undefined ? [] : confirmedEvaluations(node.registry, known.releaseId, known.manifest)
  const newer = (await outdatedReleases(node, id, signal)).find((row) => row.name === locked.name)
  return {
    persona: id,
    name,
    why,
    evaluations: evaluations.map(evaluationText),
    ...(withdrawn === undefined ? {} : { withdrawn }),
    ...(newer?.latest === undefined ? {} : { latest: newer.latest }),
  }
}
