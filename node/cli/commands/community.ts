// Communities: founding, following, coming in, leaving. What they decide stands in propose.ts, vote.ts and their neighbours.
import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import { chooseCommunity, communityAnswer, followedCommunities } from '../choose-community.ts'
import type { Community } from '../choose-community.ts'
import { command } from '../command.ts'
import type { Command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { parseRules, ruleOptions, rulesText } from '../rule-options.ts'
import { countText, tableText } from '../units.ts'

const oneCommunity = z.object({ community: communityAnswer })
const joined = z.object({
  state: z.enum(['member', 'waiting']),
  community: communityAnswer,
  message: z.string().optional(),
})
const left = z.object({ state: z.enum(['left', 'asked', 'unfollowed']), message: z.string().optional() })
const members = z.object({
  members: z.array(
    z.looseObject({ identity: z.string(), role: z.string(), inviter: z.string().optional(), own: z.boolean() }),
  ),
})
const invited = z.looseObject({ code: z.string(), role: z.string(), state: z.string(), message: z.string().optional() })
const settling = z.looseObject({ settles: z.boolean(), role: z.string().optional() })

const waitOption = {
  type: 'string',
  value: 'SECONDS',
  summary: 'How long to wait for the certificate (default 30)',
} as const

const createCommand = command({
  name: 'community create',
  summary: 'Found a community and print its link',
  description:
    'Members are named by the identity that `lora-mesh init` printed to them, with their role: admin, teacher or user.\nYou are its first admin, and this node settles proposals by itself. Without options: majority, 50 % must vote within 3 days, each member brings in at most 5 others.',
  positionals: 'NAME',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    ...ruleOptions,
    member: { type: 'string', value: 'ID[=ROLE]', multiple: true, summary: 'Founding member beside you' },
  },
  examples: [
    'lora-mesh community create kitchen --rule supermajority --quorum 50% --voting-period 3d',
    'lora-mesh community create kitchen --member 6ka7gatc365og5qkfrdrwx6jgo5maecqo6pu63aqa44ld3kesh4q=teacher',
  ],
  async run({ positionals: [name = ''], options, node, signal }) {
    const founding = { name, members: options.member.map(parseMember), rules: parseRules(options) }
    const answer = await (await node()).call('POST', '/v1/communities', founding, { signal })
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
  description: 'Followers are no members: they see everything and vote on nothing.',
  positionals: 'LINK',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh community follow loramesh:community:abc...', 'lora-mesh community follow LINK --json'],
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
  examples: ['lora-mesh community list', 'lora-mesh community list --json'],
  async run({ node, signal }) {
    const communities = await followedCommunities(await node(), signal)
    const none = 'None yet: lora-mesh community follow LINK, or lora-mesh community create NAME'
    return { json: { communities }, text: communities.length === 0 ? none : communities.map(communityText).join('\n') }
  },
})

const inviteCommand = command({
  name: 'community invite',
  summary: 'Print a code that lets one person in, once',
  description:
    'Hand it to that person alone: whoever has the line can use it. Every member invites users, admins also teachers; admins are made by a vote (`propose admit`).',
  positionals: '[NAME]',
  minPositionals: 0,
  maxPositionals: 1,
  options: { role: { type: 'string', value: 'ROLE', summary: 'user (default) or teacher' } },
  examples: ['lora-mesh community invite kitchen', 'lora-mesh community invite kitchen --role teacher --json'],
  async run({ positionals: [name], options: { role = 'user' }, node, signal, terminal }) {
    if (role !== 'user' && role !== 'teacher') {
      throw new MeshError('usage', `--role ${role}: write user or teacher; admins are made by \`propose admit\`.`)
    }
    const client = await node()
    const community = await chooseCommunity(client, name, signal)
    const answer = await client.call('POST', `/v1/communities/${community}/invitations`, { role }, { signal })
    const invitation = invited.parse(answer)
    if (invitation.message !== undefined) terminal.say(invitation.message)
    return { json: invitation, text: invitation.code }
  },
})

const joinCommand = command({
  name: 'community join',
  summary: 'Come into a community by an invitation',
  description:
    'Waits until a certificate of its admins admits you. The wish stays after --wait or Ctrl-C: a running node comes in as soon as they sign.\nExits 1 while you are not in.',
  positionals: 'CODE',
  minPositionals: 1,
  maxPositionals: 1,
  options: { wait: waitOption },
  examples: ['lora-mesh community join loramesh:join:abc...', 'lora-mesh community join CODE --wait 0 --json'],
  async run({ positionals: [code = ''], options, node, signal, terminal }) {
    const wish = { code, waitMs: parseWait(options.wait) }
    const onEvent = showProgress(terminal)
    const client = await node()
    const result = joined.parse(await client.call('POST', '/v1/communities/join', wish, { signal, onEvent }))
    const text = result.state === 'member' ? communityText(result.community) : (result.message ?? '')
    return { json: result, text, exitCode: result.state === 'member' ? 0 : 1 }
  },
})

const membersCommand = command({
  name: 'community members',
  summary: 'List who the members are, in which role, and who invited them',
  positionals: '[NAME]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh community members', 'lora-mesh community members kitchen --json'],
  async run({ positionals: [name], node, signal }) {
    const client = await node()
    const community = await chooseCommunity(client, name, signal)
    const answer = members.parse(await client.call('GET', `/v1/communities/${community}/members`, {}, { signal }))
    const rows = answer.members.map(({ identity, role, inviter, own }) => [
      identity,
      role,
      inviter === undefined ? '' : `invited by ${inviter.slice(0, 8)}`,
      own ? 'you' : '',
    ])
    return { json: answer, text: tableText(rows) }
  },
})

const leaveCommand = command({
  name: 'community leave',
  summary: 'Stop being a member of a community, and following it',
  description:
    'Leaving takes effect by a certificate of its admins; until then it is followed on. Exits 1 while you are still in.\nWith --unfollow this node stops following at once, whether they have heard or not.',
  positionals: '[NAME]',
  minPositionals: 0,
  maxPositionals: 1,
  options: { unfollow: { type: 'boolean', summary: 'Do not wait' }, wait: waitOption },
  examples: ['lora-mesh community leave kitchen', 'lora-mesh community leave kitchen --unfollow --json'],
  async run({ positionals: [name], options, node, signal, terminal }) {
    const client = await node()
    const community = await chooseCommunity(client, name, signal)
    const wish = { unfollow: options.unfollow, waitMs: parseWait(options.wait) }
    const onEvent = showProgress(terminal)
    const answer = await client.call('POST', `/v1/communities/${community}/leave`, wish, { signal, onEvent })
    const result = left.parse(answer)
    const lines = [
      ...(result.state === 'left' ? ['Left.'] : result.state === 'unfollowed' ? ['No longer followed.'] : []),
      ...(result.message === undefined ? [] : [result.message]),
    ]
    return { json: result, text: lines.join(' '), exitCode: result.state === 'asked' ? 1 : 0 }
  },
})

const settleCommand = command({
  name: 'community settle',
  summary: 'Let this node sign for its admin what has come to be decided, or stop it',
  description:
    "A community decides when more than two thirds of its admins' nodes sign what the votes come to. Nodes check everything before they sign; founding a community lets the founder's node do it.",
  positionals: '[NAME] on|off',
  minPositionals: 1,
  maxPositionals: 2,
  options: {},
  examples: ['lora-mesh community settle kitchen on', 'lora-mesh community settle off --json'],
  async run({ positionals, node, signal }) {
    const word = positionals.at(-1)
    if (word !== 'on' && word !== 'off')
      throw new MeshError('usage', 'Say on or off: lora-mesh community settle NAME on')
    const client = await node()
    const community = await chooseCommunity(client, positionals.length === 2 ? positionals[0] : undefined, signal)
    const wish = { allowed: word === 'on' }
    const result = settling.parse(await client.call('POST', `/v1/communities/${community}/settling`, wish, { signal }))
    return { json: result, text: settlingText(result) }
  },
})

export const communityCommands: readonly Command[] = [
  createCommand,
  followCommand,
  inviteCommand,
  joinCommand,
  membersCommand,
  leaveCommand,
  settleCommand,
  listCommand,
]

function parseMember(text: string): { readonly identity: string; readonly role?: string } {
  const [identity = '', role, ...rest] = text.split('=')
  if (role === undefined) return { identity }
  if (rest.length === 0 && ['admin', 'teacher', 'user'].includes(role)) return { identity, role }
  throw new MeshError('usage', `--member ${text}: write IDENTITY=ROLE, where the role is admin, teacher or user.`)
}

function parseWait(text: string | undefined): number {
  const seconds = Number(text ?? 30)
  if (text?.trim() !== '' && seconds >= 0 && seconds <= 86_400) return Math.round(seconds * 1_000)
  throw new MeshError('usage', `--wait ${text}: write seconds, from 0 to 86400.`)
}

function settlingText({ settles, role }: z.infer<typeof settling>): string {
  if (!settles) return 'This node no longer signs what has come to be decided.'
  return role === 'admin'
    ? 'This node signs what has come to be decided while it runs (lora-mesh up).'
    : 'Noted: it has an effect once you are an admin.'
}

function communityText({ link, name, role, members, message, rules, settles }: Community): string {
  if (message !== undefined) return `${link}\n  ${message}`
  const own = role === undefined ? 'you follow it' : `you are its ${role}`
  const idle =
    role === 'admin' && settles === false ? `\n  This node settles nothing: lora-mesh community settle ${name} on` : ''
  const decides = rules === undefined ? '' : `\n  ${rulesText(rules)}`
  return `${name}  ${countText(members?.length ?? 0, 'member')}, ${own}\n  ${link}${decides}${idle}`
}
