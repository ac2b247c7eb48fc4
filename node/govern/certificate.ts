// What the certificates of a community say of its past.
import { bodyOf, bytesEqual, openEnclosed, toHex } from '../../protocol/index.ts'
import type { ProposedAction } from '../../protocol/index.ts'
import type { ChannelView, Governance } from '../../registry/index.ts'

export type Certificate = ReturnType<Governance['certificates']>[number]

/** Releases in hex that a channel was moved to, in that order; one may be there more than once. */
export function channelCourse(
  certificates: readonly Certificate[],
  { capability, base }: Pick<ChannelView, 'capability' | 'base'>,
): string[] {
  return certificates.flatMap((certificate) => {
    const action = acceptedAction(certificate)
    if (action?.kind !== 'upgrade' && action?.kind !== 'rollback') return []
    return action.capability === capability && bytesEqual(action.base, base) ? [toHex(action.release)] : []
  })
}

function acceptedAction({ decision: { settled, community } }: Certificate): ProposedAction | undefined {
  if (settled.kind !== 'proposal' || settled.outcome !== 'accepted') return undefined
  return bodyOf(openEnclosed(settled.proposal, community), 'proposal/1').action
}
