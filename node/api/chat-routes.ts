// Talking to a persona.
import { z } from 'zod'
import { chatTurn } from '../chat-turn.ts'
import type { Node } from '../create-node.ts'
import { changesText } from '../float-personas.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'

const MESSAGES_MAX = 1_000

export const chatRoutes: readonly Route<Node>[] = [
  route({
    method: 'POST',
    path: '/v1/chat',
    summary: 'One turn with a persona: the conversation so far in, the answer streamed out',
    kind: 'operation',
    // A conversation grows; its own limit is the context of the base.
    maxBodyBytes: 4 * 1024 * 1024,
    input: z.strictObject({
      persona: z.string().min(1).max(64).optional(),
      messages: z
        .array(z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string().max(1_000_000) }))
        .min(1)
        .max(MESSAGES_MAX),
      maxTokens: z.int().min(1).max(100_000).optional(),
      temperature: z.number().min(0).max(5).optional(),
      rngSeed: z.int().min(0).max(0xffff_ffff).optional(),
    }),
    handle: (wish, node: Node, { signal, emit }) =>
      chatTurn(
        node,
        wish,
        signal,
        (text) => emit({ type: 'text', text }),
        ({ kind, ...moved }) => emit({ type: kind, ...moved, text: changesText(moved.changes) }),
      ),
  }),
]
