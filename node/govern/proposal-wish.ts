// A proposal as people make it: releases and people by name, what is compared with filled in by the node.
import { z } from 'zod'
import { limits, manifestSchema, plainText } from '../../protocol/index.ts'

const role = z.enum(['admin', 'teacher', 'user'])
const capability = manifestSchema.shape.name
/** NAME@VERSION, PUBLISHER/NAME@VERSION, or the first digits of a release id. */
const release = z.string().min(1).max(200)
const reason = plainText(limits.reasonMaxChars).min(1)

/** What is left out stays as it is; at a founding it is the default. */
export const rulesWishSchema = z.strictObject({
  decision: z.enum(['majority', 'supermajority', 'consensus']).optional(),
  /** Share of the members, 0 to 1. */
  quorum: z.number().min(0).max(1).optional(),
  votingPeriodMs: z
    .int()
    .min(60_000)
    .max(365 * 24 * 3_600_000)
    .optional(),
  inviterCap: z.int().min(0).max(limits.membersMax).optional(),
})

export const proposalWishSchema = z.discriminatedUnion('kind', [
  /** The channel of the release's own name moves. */
  z.strictObject({ kind: z.literal('upgrade'), release }),
  /** `version`: of a release that the channel held; absent, the one before. `base`: where there are channels for several. */
  z.strictObject({
    kind: z.literal('rollback'),
    capability,
    version: release.optional(),
    base: z.string().min(1).max(200).optional(),
  }),
  z.strictObject({ kind: z.literal('withdraw'), release, capability: capability.optional(), reason }),
  /** `questions`: the suite itself, as JSON lines. */
  z.strictObject({ kind: z.literal('suite'), capability, questions: z.string().min(1).max(limits.suiteMaxBytes) }),
  z.strictObject({ kind: z.literal('admit'), identity: z.string().max(200), role }),
  /** `identity`: or the first characters of a member's. */
  z.strictObject({ kind: z.literal('remove'), identity: z.string().max(200), reason }),
  rulesWishSchema.extend({ kind: z.literal('rule') }),
])

export type RulesWish = z.infer<typeof rulesWishSchema>
export type ProposalWish = z.infer<typeof proposalWishSchema>
export type WishOf<Kind extends ProposalWish['kind']> = Extract<ProposalWish, { readonly kind: Kind }>

/** A suite's text, escaped as JSON, may take several times its bytes. */
export const proposalMaxBodyBytes = 8 * limits.suiteMaxBytes
