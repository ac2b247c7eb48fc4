// The registry's contract for exchange networks, kept by Hyperswarm between real network children on loopback.
import HyperDHT from 'hyperdht'
import type { NoiseStream } from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import { describe, expect, test } from 'vitest'
import { exchangeNetworkContract } from '../registry/exchange-network.contract.ts'
import type { HyperswarmChannel } from './exchange-network.ts'
import type { Swarm } from './index.ts'
import { startHyperNode } from './network-child/hyper-node.ts'
import { startLoopback } from './testing/loopback-swarm.ts'

exchangeNetworkContract('Hyperswarm on loopback', async () => {
  const net = await startLoopback()
  const swarms = new Map<object, Swarm>()
  return {
    async node() {
      const swarm = net.swarm({}, { tcp: false, bep5: false, bep44: false })
      const exchange = swarm.exchange!
      swarms.set(exchange, swarm)
      return exchange
    },
    async vanish(node) {
      const { state } = swarms.get(node)!
      if (state.kind === 'running') process.kill(state.pid, 'SIGKILL')
    },
    [Symbol.asyncDispose]: () => net[Symbol.asyncDispose](),
  }
})

describe('a peer that speaks no frames', () => {
  test.each([
    ['claims a frame over the limit', Uint8Array.of(0, 4, 0, 1)],
    ['claims four gigabytes', Uint8Array.of(255, 255, 255, 255)],
    ['sends a web request', new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')],
  ])(
    'and %s is disconnected, and nothing of it is passed on',
    async (_what, bytes) => {
      await using net = await startLoopback()
      const exchange = net.swarm({}, { tcp: false, bep5: false, bep44: false }).exchange!
      const met = Promise.withResolvers<HyperswarmChannel>()
      exchange.onPeer(met.resolve)
      const topic = new Uint8Array(32).fill(1)
      await exchange.join(topic)
      await using node = await startHyperNode({ host: '127.0.0.1', port: 0, bootstrap: [net.hyperdht] })
      const raw = new Hyperswarm({ dht: node.dht, keyPair: HyperDHT.keyPair() })
      raw.on('connection', (stream: NoiseStream) => {
        stream.on('error', () => {})
        stream.write(bytes)
      })
      raw.join(Buffer.from(topic), { client: true, server: true })
      const channel = await met.promise
      const frames: Uint8Array[] = []
      for await (const frame of channel.frames) frames.push(frame)
      expect(frames).toEqual([])
      await raw.destroy()
    },
    // A silent peer is let go only later.
    12_000,
  )
})
