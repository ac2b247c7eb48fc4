import { z } from 'zod'
import { chooseCommunity, communityOption } from '../choose-community.ts'
import { command } from '../command.ts'
import { namedReleaseAnswer, releaseText, shortId } from '../proposal-texts.ts'
import { tableText } from '../units.ts'

const answered = z.object({
  channels: z.array(
    z.looseObject({
      capability: z.string(),
      base: z.object({ id: z.string(), label: z.string().optional() }),
      release: namedReleaseAnswer,
      lost: z.string().optional(),
      certificate: z.string(),
      held: z.array(namedReleaseAnswer),
      suite: z.string().optional(),
    }),
  ),
  suites: z.array(z.object({ capability: z.string(), suite: z.string(), held: z.boolean() })),
})
type Answered = z.infer<typeof answered>

export const channelsCommand = command({
  name: 'channels',
  summary: 'Show what names mean in a community: which release each one leads to, on which base',
  description:
    'A name without a channel means the highest version that members publish. A channel moves by `propose upgrade` and `propose rollback`.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: communityOption,
  examples: ['lora-mesh channels', 'lora-mesh channels --community kitchen --json'],
  async run({ options: { community }, node, signal }) {
    const client = await node()
    const path = `/v1/communities/${await chooseCommunity(client, community, signal)}/channels`
    const answer = answered.parse(await client.call('GET', path, {}, { signal }))
    return { json: answer, text: textOf(answer) }
  },
})

function textOf({ channels, suites }: Answered): string {
  const rows = channels.map(({ capability, base, release, certificate, held, suite }) => [
    capability,
    base.label ?? shortId(base.id),
    releaseText(release),
    shortId(certificate),
    suite === undefined ? 'none' : shortId(suite),
    held.map(releaseText).join(', '),
  ])
  const titles = ['name', 'base', 'release', 'certificate', 'suite', 'held before']
  const bare = suites.filter(({ capability }) => !channels.some((channel) => channel.capability === capability))
  return [
    rows.length === 0 ? 'No channel yet: lora-mesh propose upgrade NAME@VERSION' : tableText([titles, ...rows]),
    ...channels.flatMap(({ lost }) => lost ?? []),
    ...bare.map(({ capability, suite }) => `${capability} has no channel yet, and is measured by ${shortId(suite)}.`),
  ].join('\n')
}
