// Who is connected, how far this node trusts whom and why, and whom its user chose to trust.
import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import type { HttpClient } from '../../http/index.ts'
import { followedCommunities } from '../choose-community.ts'
import { command } from '../command.ts'
import type { Command } from '../command.ts'
import { bytesText, countText, tableText } from '../units.ts'

const listed = z.object({
  online: z.boolean(),
  peers: z.array(
    z.looseObject({
      id: z.string(),
      agent: z.string(),
      transferKey: z.string().optional(),
      communities: z.array(z.string()),
      topics: z.number(),
    }),
  ),
  dhtNodes: z.number(),
  banned: z.array(z.looseObject({ kind: z.string(), id: z.string() })),
})

const explained = z.object({
  standings: z.array(
    z.looseObject({
      subject: z.string(),
      name: z.string(),
      chosen: z.boolean(),
      connected: z.boolean(),
      score: z.number(),
      goodBytes: z.number(),
      badBytes: z.number(),
      bytesPerSecond: z.number().optional(),
      confirmed: z.number(),
      refuted: z.number(),
      why: z.string(),
    }),
  ),
})
type Explained = z.infer<typeof explained>['standings'][number]

const peersCommand = command({
  name: 'peers',
  summary: 'List the peers this node is connected to, or whom it trusts and why',
  description:
    '--explain: trust goes from 0 (a newcomer) to 1; -1 is asked last. It starts at those you chose and at those who sent right bytes or measured what this node could repeat, and halves with each step from there. What was seen counts half after 90 days. None of it leaves this node.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: { explain: { type: 'boolean', summary: 'Show whom this node trusts, and why' } },
  examples: ['lora-mesh peers', 'lora-mesh peers --explain'],
  async run({ options, node, signal }) {
    const client = await node()
    const known = explained.parse(await client.call('GET', '/v1/reputation', {}, { signal }))
    if (options.explain) return { json: known, text: explainedText(known.standings) }
    const answer = listed.parse(await client.call('GET', '/v1/peers', {}, { signal }))
    return { json: answer, text: peersText(answer, known.standings) }
  },
})

const trustCommand = command({
  name: 'peers trust',
  summary: 'Trust an identity: what it measured and published counts more',
  description: 'Of a member of a community you follow the first characters are enough.',
  positionals: 'IDENTITY',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: [
    'lora-mesh peers trust 6ka7gatc365og5qkfrdrwx6jgo5maecqo6pu63aqa44ld3kesh4q',
    'lora-mesh peers trust IDENTITY --json',
  ],
  async run({ positionals: [named = ''], node, signal }) {
    const client = await node()
    const identity = wholeIdentity(await memberIdentities(client, signal), named)
    const answer = await client.call('POST', '/v1/reputation/trust', { identity }, { signal })
    return {
      json: { ...z.looseObject({}).parse(answer) },
      text: `Trusted: ${identity}. \`lora-mesh peers --explain\` shows what follows.`,
    }
  },
})

const distrustCommand = command({
  name: 'peers distrust',
  summary: 'Take back `peers trust`',
  positionals: 'IDENTITY',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: [
    'lora-mesh peers distrust 6ka7gatc365og5qkfrdrwx6jgo5maecqo6pu63aqa44ld3kesh4q',
    'lora-mesh peers distrust IDENTITY --json',
  ],
  async run({ positionals: [named = ''], node, signal }) {
    const client = await node()
    const { standings } = explained.parse(await client.call('GET', '/v1/reputation', {}, { signal }))
    const trusted = standings.filter(({ chosen }) => chosen).map(({ subject }) => subject.replace(/^identity:/, ''))
    const identity = wholeIdentity(trusted, named)
    const answer = await client.call('POST', '/v1/reputation/distrust', { identity }, { signal })
    return {
      json: { ...z.looseObject({}).parse(answer) },
      text: 'No longer trusted by choice. What this node saw of it still counts.',
    }
  },
})

export const peersCommands: readonly Command[] = [peersCommand, trustCommand, distrustCommand]

/** Of those who merely reached this node the first characters are not enough: they may have been made to begin so. */
async function memberIdentities(client: HttpClient, signal: AbortSignal): Promise<string[]> {
  const communities = await followedCommunities(client, signal)
  return communities.flatMap(({ members }) => members ?? []).map(({ identity }) => identity)
}

/** What is no beginning of exactly one of them stays as it is: the node says what is wrong with it. Throws `usage` where several fit. */
function wholeIdentity(known: readonly string[], named: string): string {
  if (!/^[a-z2-7]{4,51}$/.test(named)) return named
  const [only, ...others] = [...new Set(known)].filter((identity) => identity.startsWith(named))
  if (others.length > 0) throw new MeshError('usage', `Several identities begin with ${named}: write more of it.`)
  return only ?? named
}

/** A peer is called the same here as by --explain, where one that transfers nothing does not appear. */
export function peersText(
  { online, peers, dhtNodes, banned }: z.infer<typeof listed>,
  standings: readonly Explained[],
): string {
  if (!online) return 'This node is not connected: run `lora-mesh up`.'
  const names = new Map(standings.map(({ subject, name }) => [subject, name]))
  const rows = peers.map(({ id, agent, transferKey, communities }) => {
    const name = names.get(`noise:${transferKey}`) ?? `peer ${id.slice(0, 12)}…`
    return [name, agent, communities.join(', ')]
  })
  const lines = [`${countText(peers.length, 'peer')}, ${countText(dhtNodes, 'DHT node')}, ${banned.length} banned`]
  return [...lines, ...(rows.length === 0 ? [] : [tableText(rows)])].join('\n')
}

export function explainedText(standings: readonly Explained[]): string {
  if (standings.length === 0) {
    return 'Nothing is known of anybody yet. Get a release, or name somebody: `lora-mesh peers trust IDENTITY`.'
  }
  const head = ['who', 'trust', 'good', 'bad', 'speed', 'repeated', 'refuted', 'why']
  return tableText([head, ...standings.map(rowOf)])
}

function rowOf({ name, score, goodBytes, badBytes, bytesPerSecond, confirmed, refuted, why }: Explained): string[] {
  const speed = bytesPerSecond === undefined ? '-' : `${bytesText(bytesPerSecond)}/s`
  return [
    name,
    score.toFixed(3),
    bytesText(goodBytes),
    bytesText(badBytes),
    speed,
    confirmed.toFixed(1),
    refuted.toFixed(1),
    why,
  ]
}
