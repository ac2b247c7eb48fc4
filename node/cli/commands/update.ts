import { z } from 'zod'
import { command } from '../command.ts'
import type { HttpClient } from '../../http/index.ts'
import { showProgress } from '../operation-events.ts'

const change = z.object({ name: z.string(), from: z.string().optional(), to: z.string().optional() })
const updated = z.object({
  moved: z.array(z.looseObject({ from: z.string(), to: z.string(), changes: z.array(change) })),
  waiting: z.array(z.looseObject({ persona: z.string(), message: z.string() })),
})
type Change = z.infer<typeof change>
const behind = z.object({
  outdated: z.array(
    z.looseObject({ persona: z.string(), name: z.string(), current: z.string(), why: z.string().optional() }),
  ),
})

export const updateCommand = command({
  name: 'update',
  summary: 'Move personas on to newer releases now',
  description:
    'A running node does this by itself. Releases are fetched and checked first; then a new lockfile is written and the old one kept.\nPersonas made with --locked, or opened from a link, never move.',
  positionals: '[PERSONA]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh update', 'lora-mesh update 3f9a0c12b7de --json'],
  async run({ positionals: [persona], node, signal, terminal }) {
    const input = persona === undefined ? {} : { persona }
    const onEvent = showProgress(terminal)
    const client = await node()
    const answer = await client.call('POST', '/v1/personas/update', input, { signal, onEvent })
    const result = updated.parse(answer)
    const { moved, waiting } = result
    const lines = [
      ...moved.map(({ from, to, changes }) => `${from} is now ${to}: ${changes.map(changeText).join(', ')}`),
      ...waiting.map(({ persona: id, message }) => `${id} stays as it is for now: ${message}`),
    ]
    const text = lines.length === 0 ? await whyNothing(client, input, signal) : lines.join('\n')
    return { json: result, text, exitCode: waiting.length === 0 ? 0 : 1 }
  },
})

async function whyNothing(client: HttpClient, input: { persona?: string }, signal: AbortSignal): Promise<string> {
  const { outdated } = behind.parse(await client.call('GET', '/v1/outdated', input, { signal }))
  const reasons = outdated.map(
    ({ persona, name, current, why }) => `${name} ${current} in ${persona} stays: ${why ?? ''}`,
  )
  return ['Nothing to move.', ...(reasons.length === 0 ? ['Everything is as new as it may be.'] : reasons)].join('\n')
}

function changeText({ name, from, to }: Change): string {
  if (from === undefined) return `${name} ${to} added`
  return to === undefined ? `${name} ${from} removed` : `${name} ${from} -> ${to}`
}
