import { z } from 'zod'
import { command } from '../command.ts'

const explained = z.object({ persona: z.string(), name: z.string(), why: z.string() })

export const whyCommand = command({
  name: 'why',
  summary: 'Say why a release is part of a persona',
  positionals: 'NAME',
  minPositionals: 1,
  maxPositionals: 1,
  options: { persona: { type: 'string', value: 'ID', summary: 'Persona (default: the one made last)' } },
  examples: ['lora-mesh why recipes', 'lora-mesh why recipes --persona 3f9a0c12b7de'],
  async run({ positionals: [name = ''], options: { persona }, node, signal }) {
    const input = { name, ...(persona === undefined ? {} : { persona }) }
    const answer = explained.parse(await (await node()).call('GET', '/v1/why', input, { signal }))
    return { json: answer, text: answer.why }
  },
})
