// What communities decide: proposals, ballots, channels, suites, and the certificates that say so.
import { z } from 'zod'
import { MeshError, fromHex, limits, plainText } from '../../protocol/index.ts'
import type { Node } from '../create-node.ts'
import {
  castBallot,
  certificateAnswer,
  channelAnswers,
  makeProposal,
  oneCommunity,
  oneProposal,
  proposalAnswers,
  proposalMaxBodyBytes,
  proposalWishSchema,
  saidAnswer,
  suiteAnswers,
  tallyAnswer,
} from '../govern/index.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { communityName } from './community-routes.ts'

const choice = z.enum(['yes', 'no', 'abstain'])
const text = plainText(limits.reasonMaxChars).min(1)
/** The first digits of its id; a proposal's id says which community it is of. */
const proposal = z.string().min(1).max(64)

export const governanceRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/communities/:community/channels',
    summary: 'What names mean in a community, and by which suites upgrades are measured',
    kind: 'query',
    input: z.strictObject({ community: communityName }),
    async handle({ community }, { registry }: Node) {
      const { id } = oneCommunity(registry, community)
      return { channels: channelAnswers(registry, id), suites: suiteAnswers(registry, id) }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/communities/:community/suites/:suite',
    summary: 'The questions of a suite, as JSON lines',
    kind: 'query',
    input: z.strictObject({ community: communityName, suite: z.string().regex(/^[0-9a-f]{64}$/) }),
    async handle({ community, suite }, { registry }: Node) {
      const questions = registry.governance.suite(oneCommunity(registry, community).id, fromHex(suite))
      if (questions !== undefined) return { suite, questions: new TextDecoder().decode(questions) }
      throw new MeshError('not-found', 'The questions of this suite are not here: they come from the members.', {
        suite,
      })
    },
  }),
  route({
    method: 'GET',
    path: '/v1/communities/:community/certificates',
    summary: 'What a community has decided, in order, a part at a time',
    kind: 'query',
    input: z.strictObject({
      community: communityName,
      from: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(100).default(100),
    }),
    async handle({ community, from, limit }, { registry }: Node) {
      const certificates = registry.governance.certificates(oneCommunity(registry, community).id)
      const shown = certificates.slice(from, from + limit)
      return { length: certificates.length, certificates: shown.map((one) => certificateAnswer(registry, one)) }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/communities/:community/proposals',
    summary: 'What is proposed in a community, the newest first',
    kind: 'query',
    input: z.strictObject({ community: communityName, all: z.stringbool().default(false) }),
    async handle({ community, all }, node: Node) {
      const answers = proposalAnswers(node, oneCommunity(node.registry, community).id)
      return { proposals: answers.filter(({ state }) => all || state === 'open') }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/communities/:community/proposals',
    summary: 'Propose something to a community',
    kind: 'query',
    maxBodyBytes: proposalMaxBodyBytes,
    input: z.strictObject({
      community: communityName,
      proposal: proposalWishSchema,
      vote: choice.optional(),
      reason: text.optional(),
    }),
    async handle({ community, ...wish }, node: Node) {
      return makeProposal(node, oneCommunity(node.registry, community).id, wish)
    },
  }),
  route({
    method: 'GET',
    path: '/v1/proposals/:proposal',
    summary: 'Everything said and counted on a proposal',
    kind: 'query',
    input: z.strictObject({ proposal, community: communityName.optional() }),
    async handle(input, node: Node) {
      const { community, id } = foundProposal(node, input)
      return { proposal: tallyAnswer(node, community, id) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/proposals/:proposal/ballots',
    summary: 'Vote on a proposal; the last ballot counts',
    kind: 'query',
    input: z.strictObject({ proposal, community: communityName.optional(), choice, reason: text.optional() }),
    async handle({ choice, reason, ...input }, node: Node) {
      return castBallot(node, foundProposal(node, input), { choice, reason })
    },
  }),
  route({
    method: 'POST',
    path: '/v1/proposals/:proposal/comments',
    summary: 'Say something on a proposal',
    kind: 'query',
    input: z.strictObject({ proposal, community: communityName.optional(), text }),
    async handle({ text, ...input }, node: Node) {
      const { community, id } = foundProposal(node, input)
      return saidAnswer(node, node.registry.governance.comment(community, id, text))
    },
  }),
]

function foundProposal(
  { registry }: Node,
  { proposal, community }: { proposal: string; community?: string | undefined },
) {
  return oneProposal(registry, proposal, community === undefined ? undefined : oneCommunity(registry, community).id)
}
