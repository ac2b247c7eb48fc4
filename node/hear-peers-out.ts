// A node that has just come online knows what was known last: before it decides anything it hears out the peers it is meeting.
import { communityTopic, toHex } from '../protocol/index.ts'
import type { Registry } from '../registry/index.ts'
import type { Node } from './create-node.ts'

export const hearingPatienceMs = 8_000
export const hearingQuietMs = 1_000

/** Until each followed community has been met and nothing new has come for a moment, or patience ends. The network must run. */
export async function hearPeersOut(
  { news, registry }: Pick<Node, 'news' | 'registry'>,
  signal: AbortSignal,
): Promise<void> {
  // Waiting goes by the stopwatch: the clock of the day may be set meanwhile.
  const deadline = performance.now() + hearingPatienceMs
  for (;;) {
    const [quiet, now] = [news.quietMs(), performance.now()]
    const met = unmetCommunities(registry).length === 0
    if ((met && quiet >= hearingQuietMs) || now >= deadline) return
    await news.next(met ? hearingQuietMs - quiet : deadline - now, signal)
  }
}

/** Names, or links where not even that is known, of followed communities of which no member or follower is connected, or whose genesis has not come. */
export function unmetCommunities(registry: Registry): string[] {
  const shared = new Set(registry.peers().flatMap(({ sharedTopics }) => sharedTopics))
  return registry
    .communities()
    .filter(({ id, state }) => state !== 'following' || !shared.has(toHex(communityTopic(id))))
    .map((view) => (view.state === 'following' ? view.name : view.link))
}
