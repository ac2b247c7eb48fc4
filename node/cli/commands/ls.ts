import { z } from 'zod'
import { command } from '../command.ts'
import { bytesText, countText, tableText } from '../units.ts'

const listed = z.object({
  releases: z.array(
    z.looseObject({
      name: z.string(),
      version: z.string(),
      publisher: z.string(),
      summary: z.string(),
      base: z.object({ id: z.string(), label: z.string() }),
      bytes: z.number(),
      held: z.boolean(),
      own: z.boolean(),
      member: z.boolean(),
      withdrawn: z.string().optional(),
    }),
  ),
  personas: z.array(
    z.looseObject({
      id: z.string(),
      base: z.string(),
      releases: z.array(z.string()),
      gaps: z.array(z.string()),
      follows: z.enum(['float', 'stay']),
      successor: z.string().optional(),
    }),
  ),
  pending: z.number(),
})
type Release = z.infer<typeof listed>['releases'][number]
type Persona = z.infer<typeof listed>['personas'][number]

export const lsCommand = command({
  name: 'ls',
  summary: 'List the releases this node knows and the personas it has',
  description: 'Needs no network: what is shown is what was known last.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    'any-publisher': { type: 'boolean', summary: 'Also those of publishers outside the communities you follow' },
  },
  examples: ['lora-mesh ls', 'lora-mesh ls --any-publisher --json'],
  async run({ options, node, signal }) {
    const answer = await (
      await node()
    ).call('GET', '/v1/releases', { anyPublisher: options['any-publisher'] }, { signal })
    const { releases, personas, pending } = listed.parse(answer)
    const rows = releases.map((release) => [
      `${release.name}@${release.version}`,
      release.publisher.slice(0, 8),
      release.base.label,
      bytesText(release.bytes),
      markOf(release),
      release.summary,
    ])
    const releaseText =
      rows.length === 0
        ? 'No releases known yet.'
        : tableText([['release', 'by', 'base', 'size', '', 'summary'], ...rows])
    const waiting = pending === 0 ? [] : [`${countText(pending, 'action')} waiting for a peer before signing.`]
    const text = [
      releaseText,
      ...(personas.length === 0 ? [] : ['', 'Personas, the newest first:', ...personas.map(personaText)]),
      ...waiting,
    ].join('\n')
    return { json: { releases, personas, pending }, text }
  },
})

function markOf({ held, own, member, withdrawn }: Release): string {
  const marks = [
    own ? 'own' : held ? 'held' : '',
    own || member ? '' : 'outsider',
    withdrawn === undefined ? '' : `withdrawn (${withdrawn})`,
  ]
  return marks.filter(Boolean).join(', ')
}

function personaText({ id, base, releases, follows, successor }: Persona): string {
  const course = follows === 'stay' ? ', stays' : successor === undefined ? '' : `, now ${successor}`
  return `${id}  ${releases.join(' + ') || 'nothing'} on ${base}${course}`
}
