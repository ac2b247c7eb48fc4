import { z } from 'zod'
import { command } from '../command.ts'

const locked = z.object({ persona: z.string(), follows: z.string(), lockfile: z.looseObject({}), text: z.string() })

export const lockCommand = command({
  name: 'lock',
  summary: 'Print the lockfile of a persona: exactly what it is made of',
  description:
    'The same request on the same catalogue gives the same lockfile, byte for byte, on every node. The id of a persona is the beginning of its digest.\nWithout PERSONA: the one made last, as it is now.',
  positionals: '[PERSONA]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh lock', 'lora-mesh lock 3f9a0c12b7de > persona.lock.json'],
  async run({ positionals: [persona], node, signal }) {
    const answer = await (await node()).call('GET', '/v1/lock', persona === undefined ? {} : { persona }, { signal })
    const { persona: id, follows, lockfile, text } = locked.parse(answer)
    // The line feed at its end is printed with it: what is redirected into a file is the lockfile.
    return { json: { persona: id, follows, lockfile }, text: text.replace(/\n$/, '') }
  },
})
