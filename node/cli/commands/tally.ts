import { z } from 'zod'
import { communityOption } from '../choose-community.ts'
import { command } from '../command.ts'
import {
  actionText,
  countText,
  endsText,
  meaningText,
  proposalAnswer,
  shortId,
  shortPerson,
  stateText,
  warningText,
} from '../proposal-texts.ts'
import { tableText } from '../units.ts'

const ballot = z.looseObject({
  voter: z.string(),
  choice: z.string(),
  time: z.string(),
  reason: z.string().optional(),
  own: z.boolean(),
})
const tallied = z.object({
  proposal: proposalAnswer.extend({
    ballots: z.array(ballot),
    leftOut: z.array(ballot),
    receipts: z.array(
      z.looseObject({
        author: z.string(),
        value: z.number(),
        againstValue: z.number(),
        difference: z.number(),
        standardError: z.number(),
        n: z.number(),
        own: z.boolean(),
      }),
    ),
    comments: z.array(z.looseObject({ author: z.string(), time: z.string(), text: z.string(), own: z.boolean() })),
    signers: z.array(z.string()),
  }),
})
type Tally = z.infer<typeof tallied>['proposal']

export const tallyCommand = command({
  name: 'tally',
  summary: 'Show a proposal in full: every vote with its reason, what was measured, who signed',
  positionals: 'ID',
  minPositionals: 1,
  maxPositionals: 1,
  options: communityOption,
  examples: ['lora-mesh tally 3f9a0c12b7de', 'lora-mesh tally 3f9a0c12b7de --json'],
  async run({ positionals: [id = ''], options: { community }, node, signal }) {
    const input = community === undefined ? {} : { community }
    const path = `/v1/proposals/${encodeURIComponent(id)}`
    const { proposal } = tallied.parse(await (await node()).call('GET', path, input, { signal }))
    return { json: { proposal }, text: tallyText(proposal) }
  },
})

function tallyText(tally: Tally): string {
  const { id, community, action, author, own, proposedAt, votingEnds, certificate, signers } = tally
  const warning = warningText(tally)
  const meaning = meaningText(tally)
  const ends = endsText(tally, Date.now())
  return [
    `${shortId(id)} in ${community.name}: ${actionText(action)}`,
    `Proposed by ${own ? 'you' : shortPerson(author)} on ${proposedAt}; voting ends ${votingEnds}${ends === '' ? '' : ` (${ends})`}`,
    `${countText(tally)}, ${tally.quorum} needed: ${stateText(tally)}`,
    ...(meaning === undefined ? [] : [meaning]),
    ...(warning === undefined ? worthLine(tally) : [warning]),
    ...section('Votes', tally.ballots.map(ballotRow)),
    ...section('Known here and not counted', tally.leftOut.map(ballotRow)),
    ...section('Measured', tally.receipts.map(receiptRow)),
    ...section('Said', remarks(tally)),
    ...(certificate === undefined
      ? []
      : [`Certificate ${shortId(certificate)}, signed by ${signers.map(shortPerson).join(', ')}`]),
  ].join('\n')
}

function worthLine({ measurement }: Tally): string[] {
  return measurement.kind === 'not-asked' ? [] : [measurement.text]
}

function section(title: string, rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : [`${title}:`, tableText(rows).replace(/^/gm, '  ')]
}

function ballotRow({ voter, own, choice, reason }: Tally['ballots'][number]): string[] {
  return [personText(voter, own), choice, reason ?? '']
}

/** What was said beside the reasons of votes. */
function remarks({ comments, ballots }: Tally): string[][] {
  const isReason = (by: string, text: string): boolean =>
    ballots.some(({ voter, reason }) => voter === by && reason === text)
  return comments
    .filter(({ author, text }) => !isReason(author, text))
    .map(({ author, own, text }) => [personText(author, own), text])
}

function receiptRow({ author, own, value, againstValue, difference, standardError, n }: Tally['receipts'][number]) {
  const gain = `${difference < 0 ? '-' : '+'}${percent(Math.abs(difference))} +- ${percent(standardError)}`
  return [personText(author, own), `${percent(value)} % against ${percent(againstValue)} %`, gain, `${n} questions`]
}

function personText(identity: string, own: boolean): string {
  return own ? 'you' : shortPerson(identity)
}

function percent(share: number): string {
  return String(Math.round(share * 1_000) / 10)
}
