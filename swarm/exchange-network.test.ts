// The registry's contract for exchange networks, kept by Hyperswarm between real network children on loopback.
import { exchangeNetworkContract } from '../registry/exchange-network.contract.ts'
import type { Swarm } from './index.ts'
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
