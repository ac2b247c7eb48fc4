// Which community a command is about: the one that is named, or the only one there is.
import { z } from 'zod'
import { MeshError } from '../../protocol/index.ts'
import type { HttpClient } from '../http/index.ts'

export const rulesAnswer = z.object({
  decision: z.enum(['majority', 'supermajority', 'consensus']),
  quorum: z.number(),
  votingPeriodMs: z.number(),
  inviterCap: z.number(),
})

export const communityAnswer = z.looseObject({
  id: z.string(),
  link: z.string(),
  state: z.enum(['following', 'waiting-for-genesis']),
  name: z.string().optional(),
  role: z.string().optional(),
  settles: z.boolean().optional(),
  rules: rulesAnswer.optional(),
  members: z.array(z.object({ identity: z.string(), role: z.string() })).optional(),
  message: z.string().optional(),
})
export type Community = z.infer<typeof communityAnswer>

/** What every command on a community takes. */
export const communityOption = {
  community: { type: 'string', value: 'NAME', summary: 'Community, by name or link; left out: the only one there is' },
} as const

export async function followedCommunities(client: HttpClient, signal: AbortSignal): Promise<Community[]> {
  const answer = await client.call('GET', '/v1/communities', {}, { signal })
  return z.object({ communities: z.array(communityAnswer) }).parse(answer).communities
}

/** How it is named in a route. Without a name: the only one followed, or else the only one this node is a member of. Throws `usage`. */
export async function chooseCommunity(
  client: HttpClient,
  named: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  return named === undefined ? onlyCommunity(await followedCommunities(client, signal)).id : encodeURIComponent(named)
}

export function onlyCommunity(followed: readonly Community[]): Community {
  const own = followed.filter(({ role }) => role !== undefined)
  const [only, ...others] = followed.length === 1 ? followed : own
  if (only !== undefined && others.length === 0) return only
  if (followed.length === 0) {
    throw new MeshError(
      'usage',
      'You follow no community yet: lora-mesh community follow LINK, or lora-mesh community create NAME.',
    )
  }
  const communities = followed.map(({ name, link }) => name ?? link)
  throw new MeshError('usage', `Say which community you mean, by its name: ${communities.join(', ')}.`, { communities })
}
