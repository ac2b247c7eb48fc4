// A certificate as the API shows it: what was decided, by which count, and who signed.
import { bodyOf, identityToText, openEnclosed, toHex } from '../../protocol/index.ts'
import type { EnclosedRecord } from '../../protocol/index.ts'
import type { BallotCount, Registry } from '../../registry/index.ts'
import { actionAnswer } from './action-answer.ts'
import type { ActionAnswer } from './action-answer.ts'
import type { Certificate } from './certificate.ts'

export type CertificateAnswer = {
  readonly community: string
  readonly certificate: string
  /** 0 for the community's first. */
  readonly position: number
  readonly electorate: 'admins' | 'members'
  readonly signers: readonly string[]
} & (
  | {
      readonly kind: 'proposal'
      readonly proposal: string
      readonly action: ActionAnswer
      readonly outcome: string
      readonly count: BallotCount
    }
  /** Invited people came in, members left. */
  | { readonly kind: 'roll'; readonly joined: readonly string[]; readonly left: readonly string[] }
)

export function certificateAnswer(
  registry: Pick<Registry, 'release'>,
  { id, decision, precommits }: Certificate,
): CertificateAnswer {
  const { settled, community, position, electorate } = decision
  const about = {
    community: toHex(community),
    certificate: toHex(id),
    position,
    electorate,
    signers: precommits.map(({ fields }) => identityToText(fields.author)),
  }
  if (settled.kind === 'roll') {
    return {
      ...about,
      kind: 'roll',
      joined: settled.joins.map(({ join }) => identityToText(join[0])),
      left: settled.leaves.map(([author]) => identityToText(author)),
    }
  }
  const proposal = openEnclosed(settled.proposal, community)
  return {
    ...about,
    kind: 'proposal',
    proposal: toHex(proposal.id),
    action: actionAnswer(registry, bodyOf(proposal, 'proposal/1').action),
    outcome: settled.outcome,
    count: countOf(settled.ballots, community),
  }
}

function countOf(ballots: readonly EnclosedRecord[], community: Uint8Array): BallotCount {
  const count = { yes: 0, no: 0, abstain: 0 }
  for (const ballot of ballots) count[bodyOf(openEnclosed(ballot, community), 'ballot/1').choice]++
  return count
}
