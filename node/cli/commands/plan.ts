import { z } from 'zod'
import { command } from '../command.ts'
import type { HttpClient } from '../../http/index.ts'

const planned = z.object({ plan: z.looseObject({}), explanation: z.string() })

export const planCommand = command({
  name: 'plan',
  summary: 'Show what a request would be answered with; fetches nothing',
  description:
    'With --catalogue the cards of a file take the place of what the node knows, and no node is needed.\nScores are plain numbers that compare within one plan; they are not percentages.',
  positionals: 'TEXT',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    catalogue: {
      type: 'string',
      value: 'FILE',
      summary: 'Cards to plan with: {"cards": [{"id": "...", "text": "..."}]}',
    },
    'any-publisher': { type: 'boolean', summary: 'Also draw on publishers outside the communities you follow' },
  },
  examples: [
    'lora-mesh plan "someone who knows music and law"',
    'lora-mesh plan "a cook" --catalogue cards.json --json',
  ],
  async run({ positionals: [text = ''], options, node, signal }) {
    const { plan, explanation } =
      options.catalogue === undefined
        ? await planOfNode(await node(), text, options['any-publisher'], signal)
        : await planOfFile(options.catalogue, text, signal)
    return { json: plan, text: explanation.trimEnd() }
  },
})

async function planOfNode(client: HttpClient, text: string, anyPublisher: boolean, signal: AbortSignal) {
  return planned.parse(await client.call('POST', '/v1/plan', { text, anyPublisher }, { signal }))
}

async function planOfFile(file: string, text: string, signal: AbortSignal) {
  const { planFromCatalogue } = await import('../../plan-from-catalogue.ts')
  return planFromCatalogue(file, text, signal)
}
