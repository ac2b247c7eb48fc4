import { z } from 'zod'
import { command } from '../command.ts'

const listed = z.object({
  jobs: z.array(
    z.looseObject({
      id: z.string(),
      capability: z.string(),
      description: z.string(),
      base: z.object({ id: z.string(), label: z.string() }),
      author: z.string(),
      member: z.boolean(),
      own: z.boolean(),
      time: z.string(),
    }),
  ),
})

export const jobsCommand = command({
  name: 'jobs',
  summary: 'List what is wanted in your communities and nobody offers yet',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh jobs', 'lora-mesh jobs --json'],
  async run({ node, signal }) {
    const { jobs } = listed.parse(await (await node()).call('GET', '/v1/jobs', {}, { signal }))
    const lines = jobs.map(({ capability, description, base, author, member, own }) => {
      const who = own ? 'you' : `${author.slice(0, 8)}${member ? '' : ', a follower'}`
      return `${capability}: ${description}\n  wanted by ${who}, for ${base.label}`
    })
    return { json: { jobs }, text: lines.length === 0 ? 'Nothing is wanted.' : lines.join('\n') }
  },
})
