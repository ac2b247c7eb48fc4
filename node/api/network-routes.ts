// The network seen from this node: who is connected, what is seeded, and what a doctor would say.
import { z } from 'zod'
import { communityTopic, identityFromText, toHex } from '../../protocol/index.ts'
import type { Node } from '../create-node.ts'
import { examineNode } from '../examine.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { reputationAnswer } from '../reputation/index.ts'
import { seedRelease } from '../seed-release.ts'
import { verifyReleases } from '../verify-releases.ts'

const nothing = z.strictObject({})
const somebody = z.strictObject({ identity: z.string().max(200) })

export const networkRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/peers',
    summary: 'Peers connected now',
    kind: 'query',
    input: nothing,
    async handle(_input, node: Node, { signal }) {
      const status = await node.network.swarm?.status(signal)
      const topics = new Map(
        node.registry
          .communities()
          .map((view) => [toHex(communityTopic(view.id)), view.state === 'following' ? view.name : view.link]),
      )
      const peers = node.registry.peers().map(({ id, agent, transferKey, sharedTopics }) => ({
        id,
        agent,
        transferKey: transferKey && toHex(transferKey),
        communities: sharedTopics.flatMap((topic) => topics.get(topic) ?? []),
        topics: sharedTopics.length,
      }))
      return { online: status !== undefined, peers, dhtNodes: status?.dhtNodes ?? 0, banned: status?.banned ?? [] }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/reputation',
    summary: 'What this node saw of others, how far it trusts them, and why',
    kind: 'query',
    input: nothing,
    handle: async (_input, node: Node) => reputationAnswer(node.reputation, node.registry.peers()),
  }),
  route({
    method: 'POST',
    path: '/v1/reputation/trust',
    summary: 'Trust an identity: what it measured counts',
    kind: 'query',
    input: somebody,
    async handle({ identity }, node: Node) {
      await node.reputation.trust(identityFromText(identity))
      return { identity, chosen: true }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/reputation/distrust',
    summary: 'No longer trust an identity by choice',
    kind: 'query',
    input: somebody,
    async handle({ identity }, node: Node) {
      await node.reputation.distrust(identityFromText(identity))
      return { identity, chosen: false }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/seeds',
    summary: 'What this node serves to others',
    kind: 'query',
    input: nothing,
    async handle(_input, node: Node, { signal }) {
      const status = await node.network.swarm?.status(signal)
      const torrents = new Map(status?.torrents.map((torrent) => [torrent.infohash, torrent]))
      const seeding = node.releases.list().map(({ id, infohash, signed: { manifest } }) => {
        const torrent = torrents.get(toHex(infohash))
        return {
          release: `${manifest.name}@${manifest.version}`,
          releaseId: id,
          infohash: toHex(infohash),
          bytes: manifest.adapter.bytes,
          state: torrent?.state ?? 'stopped',
          sentBytes: torrent?.sentBytes ?? 0,
          receivedBytes: torrent?.receivedBytes ?? 0,
          peers: torrent?.peers.length ?? 0,
        }
      })
      return { online: status !== undefined, seeding }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/seeds',
    summary: 'Get a release to serve it onward',
    kind: 'operation',
    input: z.strictObject({ name: z.string().min(1).max(200), anyPublisher: z.boolean().default(false) }),
    handle: (wish, node: Node, context) => seedRelease(node, wish, context),
  }),
  route({
    method: 'POST',
    path: '/v1/verify',
    summary: 'Check every byte this node keeps, and get again what is broken',
    kind: 'operation',
    input: z.strictObject({ bases: z.boolean().default(false), fetch: z.boolean().default(true) }),
    handle: (wish, node: Node, context) => verifyReleases(node, wish, context),
  }),
  route({
    method: 'POST',
    path: '/v1/doctor',
    summary: 'What keeps this node from working, and what to do about it',
    kind: 'operation',
    input: nothing,
    async handle(_input, node: Node, { signal }) {
      const findings = await examineNode(node, signal)
      return { ok: findings.every(({ state }) => state !== 'error'), findings }
    },
  }),
]
