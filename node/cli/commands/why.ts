import { z } from 'zod'
import { command } from '../command.ts'

const explained = z.object({
  persona: z.string(),
  name: z.string(),
  why: z.string(),
  withdrawn: z.string().optional(),
  evaluations: z.array(z.string()),
  latest: z.string().optional(),
})

export const whyCommand = command({
  name: 'why',
  summary: 'Say why a release is part of a persona',
  description: 'Also says when its publisher withdrew it, with the reason, and when its name means a newer one now.',
  positionals: 'NAME',
  minPositionals: 1,
  maxPositionals: 1,
  options: { persona: { type: 'string', value: 'ID', summary: 'Persona (default: the one made last)' } },
  examples: ['lora-mesh why recipes', 'lora-mesh why recipes --persona 3f9a0c12b7de'],
  async run({ positionals: [name = ''], options: { persona }, node, signal }) {
    const input = { name, ...(persona === undefined ? {} : { persona }) }
    const answer = explained.parse(await (await node()).call('GET', '/v1/why', input, { signal }))
    const { why, withdrawn, evaluations, latest } = answer
    const lines = [
      why,
      ...evaluations,
      ...(withdrawn === undefined ? [] : [`It was withdrawn: ${withdrawn}`]),
      ...(latest === undefined ? [] : [`The name means ${latest} now: see \`lora-mesh outdated ${answer.persona}\`.`]),
    ]
    return { json: answer, text: lines.join('\n') }
  },
})
