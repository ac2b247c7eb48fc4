import { z } from 'zod'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { bytesText, countText, tableText } from '../units.ts'

const seeds = z.object({
  online: z.boolean(),
  seeding: z.array(
    z.looseObject({
      release: z.string(),
      bytes: z.number(),
      state: z.string(),
      sentBytes: z.number(),
      peers: z.number(),
    }),
  ),
})
const seeded = z.looseObject({ release: z.string(), fetch: z.looseObject({ bytes: z.number() }) })

export const seedCommand = command({
  name: 'seed',
  summary: 'Show what this node serves to others; with a name, get that release and serve it too',
  description: 'Releases are served while `lora-mesh up` runs.',
  positionals: '[RELEASE]',
  minPositionals: 0,
  maxPositionals: 1,
  options: { 'any-publisher': { type: 'boolean', summary: 'Also from publishers outside the communities you follow' } },
  examples: ['lora-mesh seed', 'lora-mesh seed recipes', 'lora-mesh seed recipes@^1 --json'],
  async run({ positionals: [name], options, node, signal, terminal }) {
    const client = await node()
    if (name !== undefined) {
      const wish = { name, anyPublisher: options['any-publisher'] }
      const result = seeded.parse(
        await client.call('POST', '/v1/seeds', wish, { signal, onEvent: showProgress(terminal) }),
      )
      return { json: result, text: `${result.release} is held${result.fetch.bytes === 0 ? ' already' : ''}.` }
    }
    const answer = seeds.parse(await client.call('GET', '/v1/seeds', {}, { signal }))
    const rows = answer.seeding.map(({ release, bytes, state, sentBytes, peers }) => [
      release,
      bytesText(bytes),
      state,
      `${bytesText(sentBytes)} sent`,
      countText(peers, 'peer'),
    ])
    const hint = answer.online ? [] : ['Nothing is served now: run `lora-mesh up`.']
    return { json: answer, text: [rows.length === 0 ? 'No releases are held.' : tableText(rows), ...hint].join('\n') }
  },
})
