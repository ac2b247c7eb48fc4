// Communities this node follows.
import { z } from 'zod'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { MeshError, identityFromText, identityToText, limits, toHex } from '../../protocol/index.ts'
import type { CommunityView } from '../../registry/index.ts'

export const communityRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/communities',
    summary: 'The communities this node follows',
    kind: 'query',
    input: z.strictObject({}),
    handle: async (_input, node: Node) => ({ communities: node.registry.communities().map(answer) }),
  }),
  route({
    method: 'POST',
    path: '/v1/communities',
    summary: 'Found a community',
    kind: 'query',
    input: z.strictObject({
      name: z.string().trim().min(1).max(limits.nameMaxChars),
      members: z.array(z.string().max(64)).max(limits.membersMax).default([]),
    }),
    async handle({ name, members }, node: Node) {
      const founding = { name, members: members.map((text) => ({ identity: identityOf(text) })) }
      return { community: answer(node.registry.createCommunity(founding)) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/communities/follow',
    summary: 'Follow the community that a link names',
    kind: 'query',
    input: z.strictObject({ link: z.string().max(200) }),
    handle: async ({ link }, node: Node) => ({ community: answer(node.registry.followCommunity(link)) }),
  }),
]

function identityOf(text: string): Uint8Array {
  try {
    return identityFromText(text)
  } catch (cause) {
    throw new MeshError(
      'bad-input',
      `"${text}" is not an identity: it has 52 characters, a-z and 2-7, and \`lora-mesh init\` prints it to its owner.`,
      {},
      { cause },
    )
  }
}

function answer(view: CommunityView): object {
  const { id, link, state } = view
  if (view.state === 'waiting-for-genesis') return { id: toHex(id), link, state, message: view.message }
  const { name, members, role, stateHash } = view
  return {
    id: toHex(id),
    link,
    state,
    name,
    role,
    members: members.map((member) => ({ identity: identityToText(member.identity), role: member.role })),
    stateHash: toHex(stateHash),
  }
}
