// Happenings for one client of the stream of events, from where it left off.
import { once } from 'node:events'
import { toHex } from '../../protocol/index.ts'
import type { CallContext } from '../http/index.ts'
import type { NumberedHappening } from './happenings.ts'
import { oneCommunity } from './named-by-hand.ts'
import { happeningsOf } from './registry-happenings.ts'
import type { HappeningNode } from './registry-happenings.ts'

/**
 * Emits until the signal is aborted. The first event is `hello`; its `current` says that nothing was missed since `lastEventId`, otherwise
 * the state is to be read anew. `community`: only its events. Throws `not-found`.
 */
export async function streamHappenings(
  node: HappeningNode,
  { community }: { readonly community?: string | undefined },
  { signal, emit, lastEventId }: CallContext,
): Promise<object> {
  const happenings = happeningsOf(node)
  const only = community === undefined ? undefined : toHex(oneCommunity(node.registry, community).id)
  const pass = (event: NumberedHappening): void => {
    if (only === undefined || ('community' in event && event.community === only)) emit(event)
  }
  const missed = lastEventId === undefined ? undefined : happenings.since(lastEventId)
  emit({ type: 'hello', id: missed === undefined ? happenings.lastId : lastEventId, current: missed !== undefined })
  for (const event of missed ?? []) pass(event)
  const stop = happenings.listen(pass)
  if (!signal.aborted) await once(signal, 'abort')
  stop()
  return {}
}
