// Proposals as the command line shows them. Reasons and comments stand as they were written.
import { z } from 'zod'
import { rulesAnswer } from './choose-community.ts'
import { rulesText } from './rule-options.ts'
import { durationText } from './units.ts'

const namedRelease = z.looseObject({
  releaseId: z.string(),
  release: z.string().optional(),
  publisher: z.string().optional(),
})
const onChannel = {
  capability: z.string(),
  base: z.object({ id: z.string(), label: z.string().optional() }),
  release: namedRelease,
}
export const actionAnswer = z.discriminatedUnion('kind', [
  z.looseObject({ kind: z.literal('upgrade'), ...onChannel, current: namedRelease.optional() }),
  z.looseObject({ kind: z.literal('rollback'), ...onChannel }),
  z.looseObject({ kind: z.literal('withdraw'), ...onChannel, reason: z.string() }),
  z.looseObject({ kind: z.literal('suite'), capability: z.string(), suite: z.string() }),
  z.looseObject({ kind: z.literal('admit'), identity: z.string(), role: z.string() }),
  z.looseObject({ kind: z.literal('remove'), identity: z.string(), reason: z.string() }),
  z.looseObject({ kind: z.literal('rule'), rules: rulesAnswer }),
])
const ballotCount = z.object({ yes: z.number(), no: z.number(), abstain: z.number() })
const measurementAnswer = z.discriminatedUnion('kind', [
  z.looseObject({ kind: z.literal('not-asked') }),
  z.looseObject({ kind: z.literal('unmeasured'), why: z.string(), text: z.string() }),
  z.looseObject({ kind: z.literal('measured'), loses: z.boolean(), text: z.string() }),
])

export const proposalAnswer = z.looseObject({
  id: z.string(),
  community: z.object({ id: z.string(), name: z.string() }),
  author: z.string(),
  own: z.boolean(),
  action: actionAnswer,
  proposedAt: z.string(),
  votingEnds: z.string(),
  state: z.string(),
  why: z.string().optional(),
  certificate: z.string().optional(),
  count: ballotCount,
  voters: z.number(),
  quorum: z.number(),
  outcome: z.string(),
  ownBallot: z.string().optional(),
  measurement: measurementAnswer,
})
export type Proposal = z.infer<typeof proposalAnswer>
export type NamedRelease = z.infer<typeof namedRelease>
export { namedRelease as namedReleaseAnswer }

/** So many digits of an id are enough everywhere. */
export const shortId = (id: string): string => id.slice(0, 12)
export const shortPerson = (identity: string): string => identity.slice(0, 8)

export function releaseText({ release, releaseId }: NamedRelease): string {
  return release ?? shortId(releaseId)
}

/** "upgrade biology: biology@1.7.0 -> biology@1.8.0 on tiny llama" */
export function actionText(action: Proposal['action']): string {
  switch (action.kind) {
    case 'upgrade': {
      const from = action.current === undefined ? '' : `${releaseText(action.current)} -> `
      return `upgrade ${action.capability}: ${from}${releaseText(action.release)}${baseText(action)}`
    }
    case 'rollback':
      return `roll ${action.capability} back to ${releaseText(action.release)}${baseText(action)}`
    case 'withdraw':
      return `withdraw ${releaseText(action.release)}: ${action.reason}`
    case 'suite':
      return `measure ${action.capability} by the suite ${shortId(action.suite)}`
    case 'admit':
      return `admit ${shortPerson(action.identity)} as ${action.role}`
    case 'remove':
      return `remove ${shortPerson(action.identity)}: ${action.reason}`
    case 'rule':
      return `rules: ${rulesText(action.rules)}`
  }
}

function baseText({ base }: { readonly base: { readonly label?: string | undefined } }): string {
  return base.label === undefined ? '' : ` on ${base.label}`
}

/** "3 yes, 0 no, 1 abstain of 5" */
export function countText({ count: { yes, no, abstain }, voters }: Pick<Proposal, 'count' | 'voters'>): string {
  return `${yes} yes, ${no} no, ${abstain} abstain of ${voters}`
}

const outcomeTexts: Readonly<Record<string, string>> = {
  accepted: 'accepted',
  rejected: 'rejected',
  'no-quorum': 'too few voted',
  'measured-loser': 'rejected: it measures worse',
}

export function stateText({ state, why, outcome }: Proposal): string {
  if (state === 'void') return `void: ${why ?? ''}`
  return state === 'open' ? `open (so far: ${outcomeTexts[outcome] ?? outcome})` : (outcomeTexts[state] ?? state)
}

/** "in 2 h 5 min", "over". */
export function endsText({ votingEnds, state }: Proposal, nowMs: number): string {
  const left = Date.parse(votingEnds) - nowMs
  if (state !== 'open') return ''
  return left > 0 ? `in ${durationText(left)}` : 'over'
}

/** What has to be known before voting on what nobody could measure. */
export function warningText({ measurement, state }: Proposal): string | undefined {
  if (state !== 'open' || measurement.kind !== 'unmeasured') return undefined
  return measurement.why === 'no-suite'
    ? 'UNMEASURED: NO SUITE IS BOUND, NOTHING SAYS WHETHER THIS IS BETTER. IT NEEDS TWO THIRDS OF YES. Bind one with `lora-mesh propose suite`.'
    : `${measurement.text}. WITHOUT MORE IT NEEDS TWO THIRDS OF YES.`
}
