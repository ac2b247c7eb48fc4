// Proposals as the command line shows them. Reasons and comments stand as they were written.
import { z } from 'zod'
import { rulesAnswer } from './choose-community.ts'
import { rulesText } from './rule-options.ts'
import { countText as countOf, durationText } from './units.ts'

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
  z.looseObject({
    kind: z.literal('unmeasured'),
    why: z.string(),
    receipts: z.number(),
    needed: z.number(),
    own: z.boolean(),
    text: z.string(),
  }),
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
  meaning: z.looseObject({ release: namedRelease, proposed: z.string(), byChannel: z.boolean() }).optional(),
})
export type Proposal = z.infer<typeof proposalAnswer>
type Unmeasured = Extract<z.infer<typeof measurementAnswer>, { readonly kind: 'unmeasured' }>
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

/** What there is to know of its worth, for a table. */
export function measuredText({ measurement }: Proposal): string {
  if (measurement.kind === 'not-asked') return ''
  if (measurement.kind === 'measured') return measurement.text
  return measurement.why === 'no-suite'
    ? 'no suite is bound'
    : `${measurement.receipts} of ${measurement.needed} measurements`
}

/** What has to be known before voting on what nobody could measure. */
export function warningText(proposal: Proposal): string | undefined {
  const advice = unmeasuredAdvice(proposal)
  return advice && `UNMEASURED: ${measuredText(proposal)}, so this needs two thirds of yes. ${advice}`
}

/** What would change that it is unmeasured; undefined where it isn't, or it is no longer open. */
export function unmeasuredAdvice({ measurement, state, action, ...standing }: Proposal): string | undefined {
  if (state !== 'open' || measurement.kind !== 'unmeasured' || action.kind !== 'upgrade') return undefined
  if (measurement.why === 'no-suite') {
    return `Bind a suite with \`lora-mesh propose suite ${action.capability} QUESTIONS.jsonl\`: upgrades are measured by it.`
  }
  return waitingText(measurement, action.base.label ?? shortId(action.base.id), haveAllVoted(standing))
}

function waitingText({ needed, receipts, own }: Unmeasured, base: string, allVoted: boolean): string {
  const what = `${allVoted ? 'Everybody has voted. ' : ''}Waiting for ${countOf(needed - receipts, 'more measurement')}`
  const until = allVoted ? ', or for voting to end' : ''
  return own
    ? `${what}${until}: other members' nodes measure by themselves while they are up and have the base ${base}.`
    : `${what}${until}: leave this node up (\`lora-mesh up\`) with the base ${base} (\`lora-mesh base list\` shows those here), and it measures by itself.`
}

function haveAllVoted({ count: { yes, no, abstain }, voters }: Pick<Proposal, 'count' | 'voters'>): boolean {
  return yes + no + abstain >= voters
}

/** What the name means so far, where an upgrade would not simply replace it by something newer. */
export function meaningText({ meaning, action, state }: Proposal): string | undefined {
  if (meaning === undefined || action.kind !== 'upgrade' || state !== 'open') return undefined
  const { capability, current, release } = action
  const meant = `${capability} means ${releaseText(meaning.release)}`
  if (meaning.proposed === 'lower')
    return `${meant} now, a higher version: this would lead back to ${releaseText(release)}.`
  if (meaning.proposed !== 'the same') return undefined
  if (meaning.byChannel) return `${meant} already.`
  const against = current === undefined ? 'the bare base' : releaseText(current)
  return `${meant} already, as the highest version; this fixes it until the next vote. It is compared with ${against}.`
}
