// The main job, and what became of it: how well a persona answers a suite.
import { z } from 'zod'
import { requestMaxChars } from '../../resolver/index.ts'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { evaluatePersona } from '../evaluate-persona.ts'
import { requestPersona } from '../request-persona.ts'
import { requestBodyMaxBytes } from './release-routes.ts'

const DAY_MS = 24 * 3_600_000
const suiteMaxBytes = 16 * 1024 * 1024

export const requestRoutes: readonly Route<Node>[] = [
  route({
    method: 'POST',
    path: '/v1/requests',
    summary: 'Description in, persona out: plan, fetch, verify, assemble',
    kind: 'operation',
    maxBodyBytes: requestBodyMaxBytes,
    input: z.strictObject({
      text: z.string().min(1).max(requestMaxChars),
      anyPublisher: z.boolean().default(false),
      waitBaseMs: z.number().min(0).max(DAY_MS).default(60_000),
      locked: z.boolean().default(false),
    }),
    handle: (wish, node: Node, context) => requestPersona(node, wish, context),
  }),
  route({
    method: 'POST',
    path: '/v1/evaluate',
    summary: 'Ask a persona a suite of questions; of the one made last if none is named',
    kind: 'operation',
    maxBodyBytes: suiteMaxBytes,
    input: z.strictObject({ persona: z.string().min(1).max(64).optional(), suite: z.string().max(suiteMaxBytes) }),
    handle: ({ persona, suite }, node: Node, context) => evaluatePersona(node, { persona, suite }, context),
  }),
]
