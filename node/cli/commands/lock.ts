import { z } from 'zod'
import { command } from '../command.ts'

const locked = z.object({ persona: z.string(), lockfile: z.looseObject({}), text: z.string() })

export const lockCommand = command({
  name: 'lock',
  summary: 'Print the lockfile of a persona: exactly what it is made of',
  positionals: '[PERSONA]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh lock', 'lora-mesh lock 3f9a0c12b7de > persona.lock.json'],
  async run({ positionals: [persona], node, signal }) {
    const answer = await (await node()).call('GET', '/v1/lock', persona === undefined ? {} : { persona }, { signal })
    const { persona: id, lockfile, text } = locked.parse(answer)
    return { json: { persona: id, lockfile }, text: text.trimEnd() }
  },
})
