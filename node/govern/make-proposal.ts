// Making a proposal and voting on one.
import type { Choice } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import type { FoundProposal } from './named-by-hand.ts'
import { proposalAnswer } from './proposal-answer.ts'
import type { ProposalAnswer } from './proposal-answer.ts'
import type { ProposalWish } from './proposal-wish.ts'
import { resolveAction } from './resolve-action.ts'
import { saidAnswer } from './said-answer.ts'
import type { SaidAnswer } from './said-answer.ts'

type GoverningNode = Pick<Node, 'registry' | 'bases' | 'network' | 'options'>

export interface Proposed extends SaidAnswer {
  /** Absent while it is `pending`. */
  readonly proposal?: ProposalAnswer
}

/** The proposer's own ballot is cast only where `vote` says so. Throws `not-found`, `bad-input`. */
export function makeProposal(
  node: GoverningNode,
  community: Uint8Array,
  wish: { readonly proposal: ProposalWish; readonly vote?: Choice | undefined; readonly reason?: string | undefined },
): Proposed {
  const { governance } = node.registry
  const said = governance.propose(community, resolveAction(node, community, wish.proposal))
  if (said.kind === 'pending') return saidAnswer(node, said)
  const { id } = said.record
  if (wish.vote !== undefined) governance.vote(community, id, wish.vote, wish.reason)
  else if (wish.reason !== undefined) governance.comment(community, id, wish.reason)
  return { ...saidAnswer(node, said), proposal: proposalAnswer(node, community, id) }
}

/** The last ballot counts. Throws `not-found`, `bad-input`. */
export function castBallot(
  node: GoverningNode,
  { community, id }: FoundProposal,
  ballot: { readonly choice: Choice; readonly reason?: string | undefined },
): SaidAnswer & { readonly proposal: ProposalAnswer } {
  const said = node.registry.governance.vote(community, id, ballot.choice, ballot.reason)
  return { ...saidAnswer(node, said), proposal: proposalAnswer(node, community, id) }
}
