import { z } from 'zod'
import { command } from '../command.ts'
import type { Command } from '../command.ts'
import { countText } from '../units.ts'

const communityAnswer = z.looseObject({
  id: z.string(),
  link: z.string(),
  state: z.enum(['following', 'waiting-for-genesis']),
  name: z.string().optional(),
  role: z.string().optional(),
  members: z.array(z.object({ identity: z.string(), role: z.string() })).optional(),
  message: z.string().optional(),
})
type Community = z.infer<typeof communityAnswer>
const oneCommunity = z.object({ community: communityAnswer })

const createCommand = command({
  name: 'community create',
  summary: 'Found a community and print its link',
  description: 'Members are named by the identity that `lora-mesh init` printed to them; you are its first admin.',
  positionals: 'NAME',
  minPositionals: 1,
  maxPositionals: 1,
  options: { member: { type: 'string', value: 'IDENTITY', multiple: true, summary: 'Founding member beside you' } },
  examples: [
    'lora-mesh community create kitchen',
    'lora-mesh community create kitchen --member 6ka7gatc365og5qkfrdrwx6jgo5maecqo6pu63aqa44ld3kesh4q',
  ],
  async run({ positionals: [name = ''], options, node, signal }) {
    const answer = await (await node()).call('POST', '/v1/communities', { name, members: options.member }, { signal })
    const { community } = oneCommunity.parse(answer)
    return {
      json: { ...community },
      text: `${community.link}\nOthers follow it with: lora-mesh community follow ${community.link}`,
    }
  },
})

const followCommand = command({
  name: 'community follow',
  summary: 'Follow a community: know what its members publish',
  positionals: 'LINK',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh community follow loramesh:community:abc...'],
  async run({ positionals: [link = ''], node, signal }) {
    const { community } = oneCommunity.parse(
      await (await node()).call('POST', '/v1/communities/follow', { link }, { signal }),
    )
    return { json: { ...community }, text: communityText(community) }
  },
})

const listCommand = command({
  name: 'community list',
  summary: 'List the communities this node follows',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh community list'],
  async run({ node, signal }) {
    const answer = await (await node()).call('GET', '/v1/communities', {}, { signal })
    const { communities } = z.object({ communities: z.array(communityAnswer) }).parse(answer)
    const none = 'None yet: lora-mesh community follow LINK, or lora-mesh community create NAME'
    return { json: { communities }, text: communities.length === 0 ? none : communities.map(communityText).join('\n') }
  },
})

export const communityCommands: readonly Command[] = [createCommand, followCommand, listCommand]

function communityText({ link, name, role, members, message }: Community): string {
  if (message !== undefined) return `${link}\n  ${message}`
  const own = role === undefined ? 'you follow it' : `you are its ${role}`
  return `${name}  ${countText(members?.length ?? 0, 'member')}, ${own}\n  ${link}`
}
