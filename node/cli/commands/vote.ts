import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import { communityOption } from '../choose-community.ts'
import { command } from '../command.ts'
import { actionText, countText, proposalAnswer, shortId, stateText, warningText } from '../proposal-texts.ts'

const voted = z.looseObject({
  state: z.enum(['said', 'pending']),
  message: z.string().optional(),
  proposal: proposalAnswer,
})
const choices = ['yes', 'no', 'abstain']

export const voteCommand = command({
  name: 'vote',
  summary: 'Vote on a proposal; the last vote counts',
  description: 'The reason is shown to everybody beside the vote. Votes are public and signed.',
  positionals: 'ID yes|no|abstain',
  minPositionals: 2,
  maxPositionals: 2,
  options: {
    ...communityOption,
    reason: { type: 'string', value: 'TEXT', summary: 'Why, in a sentence or two' },
  },
  examples: [
    'lora-mesh vote 3f9a0c12b7de yes',
    'lora-mesh vote 3f9a0c12b7de no --reason "it forgets the 2024 edition" --json',
  ],
  async run({ positionals: [id = '', choice = ''], options: { reason, community }, node, signal, terminal }) {
    if (!choices.includes(choice)) throw new MeshError('usage', `"${choice}" is no vote: write yes, no or abstain.`)
    const wish = {
      choice,
      ...(reason === undefined ? {} : { reason }),
      ...(community === undefined ? {} : { community }),
    }
    const path = `/v1/proposals/${encodeURIComponent(id)}/ballots`
    const result = voted.parse(await (await node()).call('POST', path, wish, { signal }))
    if (result.message !== undefined) terminal.say(result.message)
    const { proposal } = result
    const lines = [
      `${choice} on ${shortId(proposal.id)}, ${actionText(proposal.action)}`,
      `${countText(proposal)}: ${stateText(proposal)}`,
      warningText(proposal),
    ]
    return { json: result, text: lines.filter((line) => line !== undefined).join('\n') }
  },
})
