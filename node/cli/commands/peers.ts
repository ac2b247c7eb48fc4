import { z } from 'zod'
import { command } from '../command.ts'
import { countText, tableText } from '../units.ts'

const listed = z.object({
  online: z.boolean(),
  peers: z.array(
    z.looseObject({ id: z.string(), agent: z.string(), communities: z.array(z.string()), topics: z.number() }),
  ),
  dhtNodes: z.number(),
  banned: z.array(z.looseObject({ kind: z.string(), id: z.string() })),
})

export const peersCommand = command({
  name: 'peers',
  summary: 'List the peers this node is connected to',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh peers', 'lora-mesh peers --json'],
  async run({ node, signal }) {
    const answer = listed.parse(await (await node()).call('GET', '/v1/peers', {}, { signal }))
    const { online, peers, dhtNodes, banned } = answer
    if (!online) return { json: answer, text: 'This node is not connected: run `lora-mesh up`.' }
    const rows = peers.map(({ id, agent, communities }) => [id.slice(0, 16), agent, communities.join(', ')])
    const lines = [`${countText(peers.length, 'peer')}, ${countText(dhtNodes, 'DHT node')}, ${banned.length} banned`]
    return { json: answer, text: [...lines, ...(rows.length === 0 ? [] : [tableText(rows)])].join('\n') }
  },
})
