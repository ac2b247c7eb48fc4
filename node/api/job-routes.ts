// Wanted jobs: what nobody offers yet.
import { z } from 'zod'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { jobAnswer } from '../post-gap.ts'

export const jobRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/jobs',
    summary: 'Wanted jobs of the followed communities',
    kind: 'query',
    input: z.strictObject({}),
    handle: async (_input, node: Node) => ({ jobs: node.registry.jobs().map(jobAnswer) }),
  }),
  route({
    method: 'POST',
    path: '/v1/jobs',
    summary: 'Post a job that was shown before, exactly as it was shown',
    kind: 'query',
    input: z.strictObject({ preview: z.string().max(64) }),
    handle: async ({ preview }, node: Node) => ({ job: node.gaps.post(preview) }),
  }),
]
