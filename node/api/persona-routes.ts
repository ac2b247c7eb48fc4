// Personas: what they are made of and why, what of them is behind or wrong, and moving them on.
import { z } from 'zod'
import { lockfileText } from '../../resolver/index.ts'
import { auditPersonas } from '../audit-personas.ts'
import type { Node } from '../create-node.ts'
import { diffReleases } from '../diff-releases.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { outdatedReleases } from '../outdated-releases.ts'
import { refutationsIn } from '../refuted-evaluations.ts'
import { updatePersonas } from '../update-personas.ts'
import { whyInPersona } from '../why-release.ts'

const personaName = z.string().min(1).max(64).optional()
const side = z.union([
  z.strictObject({ name: z.string().min(1).max(200) }),
  z.strictObject({ path: z.string().min(1).max(4_096) }),
])

export const personaRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/lock',
    summary: 'The lockfile of a persona; of the one made last if none is named',
    kind: 'query',
    input: z.strictObject({ persona: personaName }),
    async handle({ persona }, node: Node) {
      const { id, lockfile, note } = await node.personas.get(persona)
      return { persona: id, follows: note.follows, lockfile, text: lockfileText(lockfile) }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/why',
    summary: 'Why a release is part of a persona',
    kind: 'query',
    input: z.strictObject({ name: z.string().min(1).max(200), persona: personaName }),
    handle: ({ name, persona }, node: Node, { signal }) => whyInPersona(node, name, persona, signal),
  }),
  route({
    method: 'GET',
    path: '/v1/outdated',
    summary: 'What of one persona, or of all, is behind',
    kind: 'query',
    input: z.strictObject({ persona: personaName }),
    async handle({ persona }, node: Node, { signal }) {
      return { outdated: await outdatedReleases(node, persona, signal) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/personas/update',
    summary: 'Move personas that float on to what their names mean now',
    kind: 'operation',
    input: z.strictObject({ persona: personaName }),
    handle: ({ persona }, node: Node, context) => updatePersonas(node, persona, context),
  }),
  route({
    method: 'POST',
    path: '/v1/diff',
    summary: 'What differs between two releases, adapter files or personas',
    kind: 'operation',
    input: z.strictObject({ a: side, b: side }),
    handle: ({ a, b }, node: Node, context) => diffReleases(node, a, b, context),
  }),
  route({
    method: 'POST',
    path: '/v1/audit',
    summary: 'What is wrong with what is installed',
    kind: 'operation',
    input: z.strictObject({}),
    handle: (_input, node: Node, context) => auditPersonas(node, context, refutationsIn(node.registry)),
  }),
]
