import { z } from 'zod'
import { command } from '../command.ts'
import { bytesText, countText } from '../units.ts'

const verified = z.object({
  checked: z.number(),
  bytes: z.number(),
  broken: z.array(z.object({ release: z.string(), releaseId: z.string(), code: z.string(), message: z.string() })),
  ok: z.boolean(),
})

export const verifyCommand = command({
  name: 'verify',
  summary: 'Check every byte of the releases this node holds',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh verify', 'lora-mesh verify --json'],
  async run({ node, signal, terminal }) {
    const answer = await (
      await node()
    ).call('POST', '/v1/verify', {}, { signal, onEvent: ({ release }) => terminal.say(`checked ${String(release)}`) })
    const result = verified.parse(answer)
    const lines = result.broken.map(({ release, code, message }) => `${release}: ${code}: ${message}`)
    const text = [
      `${countText(result.checked, 'release')}, ${bytesText(result.bytes)}: ${result.ok ? 'all as they were signed.' : 'some are broken.'}`,
      ...lines,
    ].join('\n')
    return { json: result, text, exitCode: result.ok ? 0 : 2 }
  },
})
