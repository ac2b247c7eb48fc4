// A node that has just come online, or just followed a community, knows little yet. Before it calls a facet a gap it hears out the peers
// it is meeting: until each followed community has been met and nothing new has come for a moment, or patience ends.
import type { Node } from './create-node.ts'
import { hearingPatienceMs, hearingQuietMs, unmetCommunities } from './hear-peers-out.ts'
import { planOnOwnBases } from './plan-request.ts'
import type { PlanOnBase, PlanWish } from './plan-request.ts'

export async function settledPlan(node: Node, wish: PlanWish, say: (line: string) => void): Promise<PlanOnBase> {
  // Waiting goes by the stopwatch: the clock of the day may be set meanwhile.
  const deadline = performance.now() + hearingPatienceMs
  let told = false
  for (;;) {
    const planned = await planOnOwnBases(node, wish)
    if (!hasUnfoundGap(planned)) return planned
    const quiet = node.news.quietMs()
    const unmet = unmetCommunities(node.registry)
    const met = unmet.length === 0
    if (met && quiet >= hearingQuietMs) return planned
    if (performance.now() >= deadline) {
      if (!met) say(`Nobody of ${unmet.join(', ')} could be reached: what is offered there now may be missing here.`)
      return planned
    }
    if (!told) say('Meeting peers of the communities you follow ...')
    told = true
    await node.news.next(met ? hearingQuietMs - quiet : deadline - performance.now(), wish.signal)
  }
}

function hasUnfoundGap({ plan }: PlanOnBase): boolean {
  return plan.gaps.some(({ reason }) => reason === 'not-found')
}
