import { expect, test } from 'vitest'
import { exchangeNetworkContract } from './exchange-network.contract.ts'
import { MemoryMesh, MemoryNode } from './memory-exchange.ts'
import type { PeerChannel } from './ports.ts'

for (const shape of ['star', 'full'] as const) {
  exchangeNetworkContract(`A ${shape} in memory`, async () => {
    const mesh = new MemoryMesh({ shape })
    let count = 0
    return {
      node: async () => mesh.node({ id: `node ${count++}`, transferKey: new Uint8Array(32) }),
      vanish: async (node) => {
        if (node instanceof MemoryNode) mesh.vanish(node)
      },
      [Symbol.asyncDispose]: async () => {},
    }
  })
}

test('in a star the first node is connected to all others, and when it vanishes the next one is', async () => {
  const mesh = new MemoryMesh()
  const nodes = ['a', 'b', 'c', 'd'].map((id) => mesh.node({ id }))
  const met = new Map<string, PeerChannel[]>(nodes.map(({ id }) => [id, []]))
  for (const node of nodes) node.onPeer((peer) => met.get(node.id)!.push(peer))
  for (const node of nodes) await node.join(new Uint8Array(32))
  expect([...met].map(([, peers]) => peers.map(({ id }) => id))).toEqual([['b', 'c', 'd'], ['a'], ['a'], ['a']])
  mesh.vanish(nodes[0]!)
  expect(met.get('b')!.map(({ id }) => id)).toEqual(['a', 'c', 'd'])
})

test('a cut link stays cut until it is healed', async () => {
  const mesh = new MemoryMesh()
  const [a, b] = [mesh.node({ id: 'a' }), mesh.node({ id: 'b' })]
  const met: PeerChannel[] = []
  a.onPeer((peer) => met.push(peer))
  await a.join(new Uint8Array(32))
  await b.join(new Uint8Array(32))
  mesh.cut(a, b)
  await met[0]!.closed
  await b.join(new Uint8Array(32).fill(1))
  await a.join(new Uint8Array(32).fill(1))
  expect(met).toHaveLength(1)
  mesh.heal()
  expect(met).toHaveLength(2)
})

test('a node that serves no transfers says so', async () => {
  const node = new MemoryMesh().node({ id: 'a' })
  await expect(node.transferKey).rejects.toMatchObject({ code: 'not-reachable' })
})
