// Who this node is.
import { z } from 'zod'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { readVersion } from '../version.ts'

export const statusRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/status',
    summary: 'Who this node is',
    kind: 'query',
    input: z.strictObject({}),
    async handle(_input, node: Node) {
      return { identity: node.options.keys.identity, version: readVersion(), pid: process.pid }
    },
  }),
]
