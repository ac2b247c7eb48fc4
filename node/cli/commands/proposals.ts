import { z } from 'zod'
import { chooseCommunity, communityOption } from '../choose-community.ts'
import { command } from '../command.ts'
import {
  actionText,
  countText,
  endsText,
  meaningText,
  measuredText,
  proposalAnswer,
  shortId,
  shortPerson,
  stateText,
  unmeasuredAdvice,
} from '../proposal-texts.ts'
import type { Proposal } from '../proposal-texts.ts'
import { tableText } from '../units.ts'

const listed = z.object({ proposals: z.array(proposalAnswer) })

export const proposalsCommand = command({
  name: 'proposals',
  summary: 'List what a community has to decide, how the votes stand, and what was measured',
  description: 'Shows what is open; with --all also what was decided. `tally ID` shows one in full.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: { ...communityOption, all: { type: 'boolean', summary: 'Also what was decided, or is void' } },
  examples: ['lora-mesh proposals', 'lora-mesh proposals --all --community kitchen --json'],
  async run({ options: { community, all }, node, signal }) {
    const client = await node()
    const path = `/v1/communities/${await chooseCommunity(client, community, signal)}/proposals`
    const { proposals } = listed.parse(await client.call('GET', path, { all }, { signal }))
    return { json: { proposals }, text: listText(proposals, all) }
  },
})

function listText(proposals: readonly Proposal[], all: boolean): string {
  if (proposals.length === 0)
    return all ? 'Nothing was proposed yet.' : 'Nothing is open: --all shows what was decided.'
  const now = Date.now()
  const rows = proposals.map((proposal) => [
    shortId(proposal.id),
    actionText(proposal.action),
    proposal.own ? 'you' : shortPerson(proposal.author),
    countText(proposal),
    endsText(proposal, now),
    stateText(proposal),
    measuredText(proposal),
  ])
  return [
    tableText([['id', 'what', 'by', 'votes', 'ends', 'state', 'measured'], ...rows]),
    ...warnings(proposals),
    ...(proposals.some(({ state }) => state === 'open') ? ['Vote with: lora-mesh vote ID yes|no|abstain'] : []),
  ].join('\n')
}

function warnings(proposals: readonly Proposal[]): string[] {
  const unmeasured = proposals.filter((proposal) => unmeasuredAdvice(proposal) !== undefined)
  const ids = unmeasured.map(({ id }) => shortId(id)).join(', ')
  const remarks = proposals.flatMap((proposal) =>
    [meaningText(proposal), unmeasuredAdvice(proposal)]
      .flatMap((text) => text ?? [])
      .map((text) => `${shortId(proposal.id)}: ${text}`),
  )
  return [...(ids === '' ? [] : [`UNMEASURED, so two thirds of yes are needed: ${ids}`]), ...remarks]
}
