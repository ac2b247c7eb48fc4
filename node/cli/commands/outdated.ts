import { z } from 'zod'
import { command } from '../command.ts'
import { tableText } from '../units.ts'

const answered = z.object({
  outdated: z.array(
    z.object({
      persona: z.string(),
      name: z.string(),
      current: z.string(),
      wanted: z.string().optional(),
      latest: z.string().optional(),
      why: z.string().optional(),
    }),
  ),
})
type Row = z.infer<typeof answered>['outdated'][number]

export const outdatedCommand = command({
  name: 'outdated',
  summary: 'Show which releases of your personas are behind, and why',
  description:
    'wanted: what the persona will be moved to, within the versions its request asked for and what its releases require of each other.\nlatest: what the name means now. Needs no network: what is shown is what was known last.\nExits 1 when something is outdated, as npm does.',
  positionals: '[PERSONA]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh outdated', 'lora-mesh outdated 3f9a0c12b7de --json'],
  async run({ positionals: [persona], node, signal }) {
    const input = persona === undefined ? {} : { persona }
    const { outdated } = answered.parse(await (await node()).call('GET', '/v1/outdated', input, { signal }))
    return { json: { outdated }, text: textOf(outdated), exitCode: outdated.length === 0 ? 0 : 1 }
  },
})

function textOf(rows: readonly Row[]): string {
  if (rows.length === 0) return 'Everything is as new as it may be.'
  const lines = rows.map(({ name, current, wanted = '-', latest = '-', persona, why = '' }) => {
    return [name, current, wanted, latest, persona, why]
  })
  const table = tableText([['name', 'current', 'wanted', 'latest', 'persona', 'why not the latest'], ...lines])
  const movable = rows.some(({ current, wanted }) => wanted !== current)
  return movable ? `${table}\nMove on with: lora-mesh update` : table
}
