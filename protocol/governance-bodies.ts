// What members of a community say when they govern it: proposals, ballots, receipts of evaluations, invitations, and the delegates' rounds.
// All of it lives in the community's scope; in a public log these records have no effect.
import { z } from 'zod'
import { rulesSchema } from './community.ts'
import { bareName, count, hash, plainText, publicKey, safeInteger, signature, someBytes } from './fields.ts'
import { limits } from './limits.ts'

const role = z.enum(['admin', 'teacher', 'user'])
const channel = { capability: bareName, base: hash }

/** What is asked. Its subject, derived from it, says which other decisions it can contradict. */
export const proposedActionSchema = z.discriminatedUnion('kind', [
  /** The channel moves to `release`. `current` is the release it is compared with; absent: the bare base. */
  z.strictObject({ kind: z.literal('upgrade'), ...channel, release: hash, current: hash.optional() }),
  /** Back to a release that the channel held before. */
  z.strictObject({ kind: z.literal('rollback'), ...channel, release: hash }),
  /** The community no longer offers this release; a channel on it falls back to the highest of the others. */
  z.strictObject({
    kind: z.literal('withdraw'),
    ...channel,
    release: hash,
    reason: plainText(limits.reasonMaxChars),
  }),
  /** Upgrades of the capability are measured by this suite from now on. */
  z.strictObject({ kind: z.literal('suite'), capability: bareName, suite: hash }),
  /** Makes somebody a member, or gives a member another role. */
  z.strictObject({ kind: z.literal('admit'), identity: publicKey, role }),
  z.strictObject({ kind: z.literal('remove'), identity: publicKey, reason: plainText(limits.reasonMaxChars) }),
  z.strictObject({ kind: z.literal('rule'), rules: rulesSchema }),
])

export type ProposedAction = z.infer<typeof proposedActionSchema>

/** Who may sign a decision: the admins, or all members where the admins have not decided anything for four voting periods. */
export const electorateSchema = z.enum(['admins', 'members'])
export type Electorate = z.infer<typeof electorateSchema>

/** Where in the agreement a statement belongs. `previous` is the certificate that the decision is to follow, or the community's id. */
const step = { previous: hash, electorate: electorateSchema, round: count.max(limits.roundMax) }

export const governanceBodySchemas = {
  'proposal/1': z.strictObject({
    action: proposedActionSchema,
    /** The certificate that made the members who may vote, or the community's id. */
    membership: hash,
    /** The accepted certificate in force on the subject, or 32 zero bytes. */
    replaces: hash,
  }),
  'ballot/1': z.strictObject({ proposal: hash, choice: z.enum(['yes', 'no', 'abstain']) }),
  /** A word on a proposal; the reason of a ballot is one. */
  'comment/1': z.strictObject({ proposal: hash, text: plainText(limits.reasonMaxChars).min(1) }),
  /** The questions themselves, as JSON lines. A suite is named by the SHA-256 of these bytes. */
  'suite/1': z.strictObject({ suite: someBytes(limits.suiteMaxBytes) }),
  /**
   * A receipt: the author ran a suite on base + `release` and, with the same questions, on base + `against` (absent: the bare base).
   * Values are shares in millionths. `standardError` is that of the difference of the two, `valueError` that of `value`.
   */
  'evaluation/1': z.strictObject({
    release: hash,
    against: hash.optional(),
    suite: hash,
    /** SHA-256 of the base file it ran on. */
    file: hash,
    metric: bareName,
    value: safeInteger,
    againstValue: safeInteger,
    n: count.min(1),
    valueError: count,
    standardError: count,
  }),
  /** An invitation: whoever knows the secret half of `key` may join, once. */
  'invite/1': z.strictObject({ key: publicKey, role }),
  /** Uses an invitation. `signature` is the invitation key's over the community and the author. */
  'join/1': z.strictObject({ key: publicKey, signature }),
  /** `since`: the certificate by which the author became a member, or the community's id. A later admission is not undone by it. */
  'leave/1': z.strictObject({ since: hash }),
  /** The delegate whose turn it is proposes a decision. `validRound`: the earlier round in which it had more than two thirds of prevotes. */
  'round/1': z.strictObject({
    ...step,
    decision: someBytes(limits.decisionMaxBytes),
    validRound: count.max(limits.roundMax).optional(),
  }),
  /** Without `decision`: for none in this round. */
  'prevote/1': z.strictObject({ ...step, decision: hash.optional() }),
  'precommit/1': z.strictObject({ ...step, decision: hash.optional() }),
} as const
