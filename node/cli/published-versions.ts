// What of a name is published already for the base that a new release is for.
import { z } from 'zod'
import type { HttpClient } from '../http/index.ts'

const releasesAnswer = z.object({
  releases: z.array(
    z.looseObject({ name: z.string(), version: z.string(), own: z.boolean(), base: z.looseObject({ id: z.string() }) }),
  ),
})
const basesAnswer = z.object({
  bases: z.array(z.looseObject({ id: z.string(), file: z.string(), label: z.string(), inUse: z.boolean() })),
})

export interface NamedForBase {
  readonly name: string
  /** As `--base` names it. Undefined: the one in use. */
  readonly base: string | undefined
}

/** Versions that this node's identity published. */
export async function publishedVersions(
  client: HttpClient,
  { name, base }: NamedForBase,
  signal: AbortSignal,
): Promise<string[]> {
  const { bases } = basesAnswer.parse(await client.call('GET', '/v1/bases', {}, { signal }))
  const { releases } = releasesAnswer.parse(await client.call('GET', '/v1/releases', {}, { signal }))
  const meant = bases.filter(({ id, file, label, inUse }) =>
    base === undefined ? inUse : label === base || id.startsWith(base) || file.startsWith(base),
  )
  const ids = new Set(meant.map(({ id }) => id))
  return releases
    .filter((release) => release.own && release.name === name && ids.has(release.base.id))
    .map(({ version }) => version)
}
