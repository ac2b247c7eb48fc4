import { z } from 'zod'
import { command } from '../command.ts'
import { tableText } from '../units.ts'

const examined = z.object({
  ok: z.boolean(),
  findings: z.array(z.object({ check: z.string(), state: z.enum(['ok', 'warning', 'error']), detail: z.string() })),
})

export const doctorCommand = command({
  name: 'doctor',
  summary: 'Look for what keeps this node from working, and say what to do',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh doctor', 'lora-mesh doctor --json'],
  async run({ node, signal }) {
    const { ok, findings } = examined.parse(await (await node()).call('POST', '/v1/doctor', {}, { signal }))
    const rows = findings.map(({ check, state, detail }) => [
      state === 'ok' ? 'ok' : state.toUpperCase(),
      check,
      detail,
    ])
    return { json: { ok, findings }, text: tableText(rows), exitCode: ok ? 0 : 1 }
  },
})
