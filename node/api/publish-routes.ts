// A release on its way out: proposed, looked at, published, withdrawn.
import { z } from 'zod'
import { deltaBitsMax, deltaBitsMin } from '../../model-files/index.ts'
import { limits, plainText } from '../../protocol/index.ts'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { proposeRelease } from '../propose-release.ts'
import { publishRelease } from '../publish-release.ts'
import { discardDraft, draftRelease, publishDraft } from '../release-drafts.ts'
import { withdrawRelease } from '../withdraw-release.ts'

/** Room for the questions of a probe. */
const wishMaxBytes = 256 * 1024
const draftId = z.string().regex(/^[0-9a-f]{64}$/)
const scale = z.number().min(-16).max(16)
const path = z.string().min(1).max(4_096)

const publishWish = z.strictObject({
  path,
  name: z.string().max(limits.nameMaxChars),
  version: z.string().max(limits.versionMaxChars),
  summary: z.string().trim().min(1).max(limits.summaryMaxChars),
  licence: z.string().max(limits.licenceMaxChars).optional(),
  capabilities: z
    .array(z.strictObject({ name: z.string(), description: z.string().max(limits.descriptionMaxChars) }))
    .max(limits.capabilitiesMax)
    .default([]),
  tags: z.array(z.string()).max(limits.tagsMax).default([]),
  requires: z
    .array(z.strictObject({ publisher: z.string().optional(), name: z.string(), range: z.string() }))
    .max(limits.requiresMax)
    .optional(),
  parents: z.array(z.string().min(1).max(200)).max(limits.parentsMax).optional(),
  scale: scale.default(1),
  scaleRange: z.tuple([scale, scale]).optional(),
  trigger: z.string().max(limits.nameMaxChars).optional(),
  systemPrompt: z.string().max(limits.systemPromptMaxChars).optional(),
  probe: z.array(z.string().min(1).max(10_000)).max(limits.probeSequences).optional(),
  suites: z.array(path).max(limits.evaluationsMax).optional(),
  deltaBits: z.union([z.int().min(deltaBitsMin).max(deltaBitsMax), z.literal('auto')]).optional(),
  base: z.string().optional(),
})

const proposalWish = publishWish
  .pick({ path: true, capabilities: true, tags: true, scale: true, suites: true, base: true })
  .extend(
    publishWish.pick({ name: true, summary: true, licence: true, trigger: true, systemPrompt: true }).partial().shape,
  )

export const publishRoutes: readonly Route<Node>[] = [
  route({
    method: 'POST',
    path: '/v1/releases',
    summary: 'Publish an adapter that lies on this machine',
    kind: 'operation',
    maxBodyBytes: wishMaxBytes,
    input: publishWish,
    handle: (input, node: Node, context) => publishRelease(node, input, context),
  }),
  route({
    method: 'POST',
    path: '/v1/releases/proposal',
    summary: 'What could be said of an adapter that lies on this machine, if it were published',
    kind: 'operation',
    input: proposalWish,
    handle: (input, node: Node, context) => proposeRelease(node, input, context),
  }),
  route({
    method: 'POST',
    path: '/v1/releases/drafts',
    summary: 'Prepare a release up to its signature, to be looked at',
    kind: 'operation',
    maxBodyBytes: wishMaxBytes,
    input: publishWish,
    handle: (input, node: Node, context) => draftRelease(node, input, context),
  }),
  route({
    method: 'POST',
    path: '/v1/releases/drafts/:draft',
    summary: 'Sign and announce a release as it was looked at',
    kind: 'operation',
    input: z.strictObject({ draft: draftId }),
    handle: ({ draft }, node: Node, context) => publishDraft(node, draft, context),
  }),
  route({
    method: 'DELETE',
    path: '/v1/releases/drafts/:draft',
    summary: 'Forget a release that was only looked at',
    kind: 'query',
    input: z.strictObject({ draft: draftId }),
    async handle({ draft }, node: Node) {
      await discardDraft(node, draft)
      return { draft }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/releases/withdrawal',
    summary: 'Withdraw a release of this node: new plans no longer pick it',
    kind: 'query',
    input: z.strictObject({
      release: z.string().min(1).max(200),
      reason: plainText(limits.reasonMaxChars).min(1),
    }),
    handle: async (input, node: Node) => withdrawRelease(node, input),
  }),
]
