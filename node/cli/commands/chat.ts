import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import { chatLoop } from '../chat-loop.ts'
import { command } from '../command.ts'

export const chatCommand = command({
  name: 'chat',
  summary: 'Talk to a persona; to the one made last if none is named',
  description: 'On a terminal you are prompted; otherwise each line of standard input is a message.',
  positionals: '[PERSONA]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {
    'max-tokens': { type: 'string', value: 'N', summary: 'Longest answer, in tokens (default 256)' },
  },
  examples: ['lora-mesh chat', 'echo "Once upon a time" | lora-mesh chat 3f9a0c12b7de --json'],
  async run({ positionals: [named], options, node, signal, terminal }) {
    const maxTokens = parseTokens(options['max-tokens'])
    const client = await node()
    // Before anything is typed; and one persona all along, whatever is made meanwhile.
    const asked = await client.call('GET', '/v1/lock', named === undefined ? {} : { persona: named }, { signal })
    const { persona } = z.looseObject({ persona: z.string() }).parse(asked)
    const messages = await chatLoop({ client, terminal, signal, persona, maxTokens })
    return { json: { messages }, text: '' }
  },
})

function parseTokens(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new MeshError('usage', `--max-tokens ${text}: write a whole number from 1 to 99999.`)
  return Number(text)
}
