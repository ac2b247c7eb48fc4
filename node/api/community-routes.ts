// Communities this node follows: founding, following, coming in, leaving.
import { z } from 'zod'
import type { Node } from '../create-node.ts'
import {
  communityAnswer,
  joinCommunity,
  leaveCommunity,
  memberAnswers,
  oneCommunity,
  rulesWishSchema,
  rulesWith,
  saidAnswer,
  wholeIdentity,
} from '../govern/index.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { defaultRules, limits, toHex } from '../../protocol/index.ts'

const role = z.enum(['admin', 'teacher', 'user'])
/** A link, a name, or the first digits of an id. */
export const communityName = z.string().min(1).max(200)
const waitMs = z.int().min(0).max(86_400_000).default(30_000)

export const communityRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/communities',
    summary: 'The communities this node follows',
    kind: 'query',
    input: z.strictObject({}),
    handle: async (_input, { registry }: Node) => ({
      communities: registry.communities().map((view) => communityAnswer(registry, view)),
    }),
  }),
  route({
    method: 'POST',
    path: '/v1/communities',
    summary: 'Found a community',
    kind: 'query',
    input: z.strictObject({
      name: z.string().trim().min(1).max(limits.nameMaxChars),
      members: z
        .array(z.strictObject({ identity: z.string().max(64), role: role.default('user') }))
        .max(limits.membersMax)
        .default([]),
      rules: rulesWishSchema.default({}),
    }),
    async handle({ name, members, rules }, { registry }: Node) {
      const founding = {
        name,
        rules: rulesWith(defaultRules, rules),
        members: members.map((member) => ({ identity: wholeIdentity(member.identity), role: member.role })),
      }
      return { community: communityAnswer(registry, registry.createCommunity(founding)) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/communities/follow',
    summary: 'Follow the community that a link names',
    kind: 'query',
    input: z.strictObject({ link: z.string().max(200) }),
    handle: async ({ link }, { registry }: Node) => ({
      community: communityAnswer(registry, registry.followCommunity(link)),
    }),
  }),
  route({
    method: 'POST',
    path: '/v1/communities/join',
    summary: 'Come into a community by an invitation, and wait for the certificate',
    kind: 'operation',
    input: z.strictObject({ code: z.string().max(200), waitMs }),
    handle: (wish, node: Node, context) => joinCommunity(node, wish, context),
  }),
  route({
    method: 'GET',
    path: '/v1/communities/:community/members',
    summary: 'Who the members of a community are, and who invited them',
    kind: 'query',
    input: z.strictObject({ community: communityName }),
    async handle({ community }, { registry }: Node) {
      const { id } = oneCommunity(registry, community)
      return { members: memberAnswers(registry, id) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/communities/:community/invitations',
    summary: 'Make a code that lets one person in, once',
    kind: 'query',
    input: z.strictObject({ community: communityName, role: role.default('user') }),
    async handle({ community, role }, node: Node) {
      const { code, said } = node.registry.governance.invite(oneCommunity(node.registry, community).id, role)
      return { code, role, ...saidAnswer(node, said) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/communities/:community/leave',
    summary: 'Stop being a member and following',
    kind: 'operation',
    input: z.strictObject({ community: communityName, unfollow: z.boolean().default(false), waitMs }),
    handle: ({ community, ...wish }, node: Node, context) =>
      leaveCommunity(node, oneCommunity(node.registry, community), wish, context),
  }),
  route({
    method: 'POST',
    path: '/v1/communities/:community/settling',
    summary: 'Let this node settle what is due for its admin, or stop it',
    kind: 'query',
    input: z.strictObject({ community: communityName, allowed: z.boolean() }),
    async handle({ community, allowed }, { registry }: Node) {
      const view = oneCommunity(registry, community)
      registry.governance.allowSettling(view.id, allowed)
      return { community: toHex(view.id), settles: allowed, role: view.state === 'following' ? view.role : undefined }
    },
  }),
]
