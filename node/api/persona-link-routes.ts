// Persona links: what this node hands to others, and what others hand to it.
import { z } from 'zod'
import { limits } from '../../protocol/index.ts'
import { lockfileSchema } from '../../resolver/index.ts'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { listShared, lookIntoLink, openLink, sharePersona, stopSharing } from '../persona-links/index.ts'

const DAY_MS = 24 * 3_600_000
const personaName = z.string().min(1).max(64).optional()
const link = z.string().min(1).max(2_048)
const waitMs = z.number().min(0).max(DAY_MS).default(120_000)
/** As JSON a lockfile may be longer than its file. */
const maxBodyBytes = 2 * limits.lockfileMaxBytes

const isOnline = ({ network }: Node): boolean => network.swarm?.exchange !== undefined

export const personaLinkRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/shares',
    summary: 'Personas that whoever has their link can get from this node',
    kind: 'query',
    input: z.strictObject({}),
    async handle(_input, node: Node) {
      return { online: isOnline(node), shared: await listShared(node) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/shares',
    summary: 'Share a persona by a link; the one made last if none is named',
    kind: 'query',
    input: z.strictObject({ persona: personaName }),
    async handle({ persona }, node: Node) {
      return { ...(await sharePersona(node, persona)), online: isOnline(node) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/shares/stop',
    summary: 'Share a persona no more; the one made last if none is named',
    kind: 'query',
    input: z.strictObject({ persona: personaName }),
    handle: ({ persona }, node: Node) => stopSharing(node, persona),
  }),
  route({
    method: 'POST',
    path: '/v1/links/look',
    summary: 'What a persona link would bring; fetches its lockfile and nothing else',
    kind: 'operation',
    input: z.strictObject({ link, waitMs }),
    handle: (wish, node: Node, context) => lookIntoLink(node, wish, context),
  }),
  route({
    method: 'POST',
    path: '/v1/links/open',
    summary: 'Open a persona link: fetch, verify, assemble',
    kind: 'operation',
    maxBodyBytes,
    input: z.strictObject({ link, waitMs, lockfile: lockfileSchema.optional() }),
    handle: (wish, node: Node, context) => openLink(node, wish, context),
  }),
]
