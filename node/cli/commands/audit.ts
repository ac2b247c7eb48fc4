import { z } from 'zod'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { countText } from '../units.ts'

const audited = z.object({
  releases: z.number(),
  personas: z.number(),
  findings: z.array(
    z.object({
      code: z.string(),
      subject: z.string(),
      releaseId: z.string().optional(),
      personas: z.array(z.string()),
      sentence: z.string(),
      advice: z.string(),
      needed: z.boolean(),
    }),
  ),
  ok: z.boolean(),
})
type Audited = z.infer<typeof audited>

export const auditCommand = command({
  name: 'audit',
  summary: 'Say what is wrong with what is installed, and what to do',
  description:
    'Looks for releases that were withdrawn, publishers who left or signed two histories, evaluations that others could not repeat, damaged and missing files, unknown bases. Changes nothing; needs no network.\nExits 1 when a finding needs something done.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh audit', 'lora-mesh audit --json'],
  async run({ node, signal, terminal }) {
    const onEvent = showProgress(terminal, (event) => {
      if (event.type === 'checked') terminal.say(`checked ${String(event['release'])}`)
    })
    const result = audited.parse(await (await node()).call('POST', '/v1/audit', {}, { signal, onEvent }))
    return { json: result, text: textOf(result), exitCode: result.ok ? 0 : 1 }
  },
})

function textOf({ releases, personas, findings }: Audited): string {
  const scope = `${countText(releases, 'release')}, ${countText(personas, 'persona')}`
  if (findings.length === 0) return `${scope}: nothing found.`
  const lines = findings.map(({ subject, code, personas: having, sentence, advice }) => {
    const where = having.length === 0 ? '' : ` (in ${having.join(', ')})`
    return `${subject}: ${code}${where}\n  ${sentence}\n  ${advice}`
  })
  return [`${scope}: ${countText(findings.length, 'finding')}.`, ...lines].join('\n')
}
