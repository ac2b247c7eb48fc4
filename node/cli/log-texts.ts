// The audit trail as the command line shows it: one line each.
import { z } from 'zod'
import { actionAnswer, actionText, namedReleaseAnswer, releaseText, shortId, shortPerson } from './proposal-texts.ts'
import type { NamedRelease } from './proposal-texts.ts'
import { bytesText } from './units.ts'

const onProposal = { proposal: z.string(), action: actionAnswer.optional() }
const count = z.object({ yes: z.number(), no: z.number(), abstain: z.number() })
const step = z.looseObject({ round: z.number(), decision: z.string().optional() })

/** By type. A type that is not here was said by a later version. */
const saidAnswers = {
  log: z.looseObject({}),
  patch: z.looseObject({ from: namedReleaseAnswer, to: namedReleaseAnswer, bytes: z.number() }),
  release: z.looseObject({ release: namedReleaseAnswer.extend({ base: z.string() }) }),
  withdrawal: z.looseObject({ release: namedReleaseAnswer, reason: z.string() }),
  job: z.looseObject({ capability: z.string() }),
  proposal: z.looseObject({ action: actionAnswer }),
  ballot: z.looseObject({ choice: z.string(), ...onProposal }),
  comment: z.looseObject({ text: z.string(), ...onProposal }),
  suite: z.looseObject({ suite: z.string(), bytes: z.number() }),
  evaluation: z.looseObject({
    release: namedReleaseAnswer,
    against: namedReleaseAnswer.optional(),
    value: z.number(),
    againstValue: z.number(),
    n: z.number(),
  }),
  invite: z.looseObject({ role: z.string() }),
  join: z.looseObject({}),
  leave: z.looseObject({}),
  round: step,
  prevote: step,
  precommit: step,
} as const
type SaidType = keyof typeof saidAnswers
type Said<T extends SaidType> = z.infer<(typeof saidAnswers)[T]>

const recordAnswer = z.looseObject({
  kind: z.literal('record'),
  id: z.string(),
  author: z.string(),
  own: z.boolean(),
  index: z.number(),
  time: z.string(),
  type: z.string(),
  said: z.looseObject({}).optional(),
  mark: z
    .discriminatedUnion('kind', [
      z.object({ kind: z.literal('void'), forkedAt: z.number() }),
      z.object({ kind: z.literal('left-out'), certificate: z.string() }),
    ])
    .optional(),
})

const decided = { position: z.number(), signers: z.array(z.string()) }
const decisionAnswer = z.looseObject({
  kind: z.literal('certificate'),
  id: z.string(),
  time: z.string(),
  type: z.literal('certificate'),
  delegates: z.number(),
  decision: z.discriminatedUnion('kind', [
    z.looseObject({
      kind: z.literal('proposal'),
      ...decided,
      proposal: z.string(),
      action: actionAnswer,
      outcome: z.string(),
      count,
    }),
    z.looseObject({ kind: z.literal('roll'), ...decided, joined: z.array(z.string()), left: z.array(z.string()) }),
  ]),
})

export const logAnswer = z.object({
  entries: z.array(z.discriminatedUnion('kind', [recordAnswer, decisionAnswer])),
  older: z.number(),
  stepsHidden: z.number(),
})
export type LogAnswer = z.infer<typeof logAnswer>
type Entry = LogAnswer['entries'][number]
type RecordAnswer = z.infer<typeof recordAnswer>
type DecisionAnswer = z.infer<typeof decisionAnswer>

/** [time, id, who, what and marks] */
export function entryCells(entry: Entry): string[] {
  const { time, id } = entry
  if (entry.kind === 'certificate') return [time, shortId(id), 'decided', decisionText(entry)]
  const marked = entry.mark === undefined ? saidText(entry) : `${saidText(entry)} [${markText(entry, entry.mark)}]`
  return [time, shortId(id), entry.own ? 'you' : shortPerson(entry.author), marked]
}

function markText({ index }: RecordAnswer, mark: NonNullable<RecordAnswer['mark']>): string {
  if (mark.kind === 'left-out') return `left out of the certificate ${shortId(mark.certificate)}`
  if (mark.forkedAt === index) return 'void: its author signed two records here'
  return `void: its author signed two records at position ${mark.forkedAt} of this log`
}

/** "certificate 12: accepted 5 yes 1 no, signed by 3 of 4: upgrade biology ..." */
function decisionText({ decision, delegates }: DecisionAnswer): string {
  const signed = `signed by ${decision.signers.length} of ${delegates}`
  const title = `certificate ${decision.position}:`
  if (decision.kind === 'roll') return `${title} ${rollText(decision)}, ${signed}`
  const { yes, no, abstain } = decision.count
  const votes = `${yes} yes ${no} no${abstain === 0 ? '' : ` ${abstain} abstain`}`
  return `${title} ${decision.outcome} ${votes}, ${signed}: ${actionText(decision.action)}`
}

function rollText({ joined, left }: { readonly joined: readonly string[]; readonly left: readonly string[] }): string {
  return [
    ...(joined.length === 0 ? [] : [`came in: ${joined.map(shortPerson).join(', ')}`]),
    ...(left.length === 0 ? [] : [`left: ${left.map(shortPerson).join(', ')}`]),
  ].join('; ')
}

const sentences: { readonly [T in SaidType]: (said: Said<T>) => string } = {
  log: () => 'began this log',
  patch: ({ from, to, bytes }) =>
    `offered a patch ${releaseText(from)} -> ${newerText(from, to)} (${bytesText(bytes)})`,
  release: ({ release }) => `published ${releaseText(release)} for ${release.base}`,
  withdrawal: ({ release, reason }) => `withdrew ${releaseText(release)}: ${reason}`,
  job: ({ capability }) => `asked for ${capability}, which nothing covers`,
  proposal: ({ action }) => `proposed: ${actionText(action)}`,
  ballot: ({ choice, ...on }) => `voted ${choice} on ${proposalText(on)}`,
  comment: ({ text, ...on }) => `said on ${proposalText(on)}: ${text}`,
  suite: ({ suite, bytes }) => `handed in the suite ${shortId(suite)} (${bytesText(bytes)})`,
  evaluation: ({ release, against, value, againstValue, n }) =>
    `measured ${releaseText(release)}: ${percent(value)} % against ${percent(againstValue)} % of ${against === undefined ? 'the bare base' : releaseText(against)} (${n} questions)`,
  invite: ({ role }) => `invited somebody as ${role}`,
  join: () => 'asked to come in',
  leave: () => 'said to be leaving',
  round: ({ round }) => `proposed a decision in round ${round}`,
  prevote: (step) => `prevoted ${stepText(step)}`,
  precommit: (step) => `precommitted ${stepText(step)}`,
}

/** The version alone where the name is the same. */
function newerText(from: NamedRelease, to: NamedRelease): string {
  const name = `${from.release?.replace(/@.*/, '')}@`
  return to.release?.startsWith(name) === true ? to.release.slice(name.length) : releaseText(to)
}

function saidText({ type, said }: RecordAnswer): string {
  if (said === undefined) return `said something that has no meaning here (${type})`
  return isSaidType(type) ? sentence(type, said) : `said something new (${type})`
}

function sentence<T extends SaidType>(type: T, said: unknown): string {
  return sentences[type](saidAnswers[type].parse(said) as Said<T>)
}

function isSaidType(type: string): type is SaidType {
  return Object.hasOwn(saidAnswers, type)
}

function proposalText({ proposal, action }: Pick<Said<'ballot'>, 'proposal' | 'action'>): string {
  return action === undefined ? shortId(proposal) : `${shortId(proposal)} (${actionText(action)})`
}

function stepText({ round, decision }: z.infer<typeof step>): string {
  return `${decision === undefined ? 'for no decision' : `for ${shortId(decision)}`} in round ${round}`
}

function percent(share: number): string {
  return String(Math.round(share * 1_000) / 10)
}
