// What happens, live.
import { z } from 'zod'
import type { Node } from '../create-node.ts'
import { streamHappenings } from '../govern/index.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { communityName } from './community-routes.ts'

export const eventRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/events',
    summary: 'What happens on this node, or in one community, as it happens',
    kind: 'events',
    input: z.strictObject({ community: communityName.optional() }),
    handle: (wish, node: Node, context) => streamHappenings(node, wish, context),
  }),
]
