import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import HyperDHT from 'hyperdht'
import type { NoiseStream } from 'hyperdht'
import { afterEach, describe, expect, test } from 'vitest'
import { compareBytes } from '../../protocol/index.ts'
import { startHyperdhtBootstrap } from './bootstrap.ts'
import type { Address } from './guarded-dht.ts'
import { startHyperNode } from './hyper-node.ts'
import { OneConnectionSwarm, Settling } from './one-connection.ts'

let stack = new AsyncDisposableStack()
afterEach(async () => {
  await stack[Symbol.asyncDispose]()
  stack = new AsyncDisposableStack()
})

interface End {
  readonly dht: HyperDHT
  readonly swarm: OneConnectionSwarm
  readonly settled: NoiseStream[]
  /** Resolves when the other end was heard on a settled connection. */
  readonly heard: Promise<void>
}

/** One node in this process, which says a word on every connection that settled. */
async function anEnd(bootstrap: Address): Promise<End> {
  const { dht } = stack.use(await startHyperNode({ host: '127.0.0.1', port: 0, bootstrap: [bootstrap] }))
  const keyPair = HyperDHT.keyPair(randomBytes(32))
  const swarm = new OneConnectionSwarm({ dht, keyPair }, Date.now)
  const settling = new Settling(Date.now)
  stack.defer(async () => {
    settling.close()
    await swarm.destroy()
  })
  const settled: NoiseStream[] = []
  const heard = Promise.withResolvers<void>()
  swarm.on('connection', (stream: NoiseStream) =>
    settling.add(stream, () => {
      settled.push(stream)
      stream.on('data', () => heard.resolve())
      stream.write('hello')
    }),
  )
  await swarm.listen()
  return { dht, swarm, settled, heard: heard.promise }
}

describe('connections of two nodes that dial each other at the same moment', () => {
  test('become one, the same at both ends, and nobody is told of the other', async () => {
    const { address } = stack.use(await startHyperdhtBootstrap('127.0.0.1', 0))
    const pairs = await Promise.all(Array.from({ length: 8 }, () => Promise.all([anEnd(address), anEnd(address)])))
    for (const [a, b] of pairs) {
      a.swarm.joinPeer(b.swarm.keyPair.publicKey)
      b.swarm.joinPeer(a.swarm.keyPair.publicKey)
    }
    await Promise.all(pairs.flat().map(({ heard }) => heard))
    for (const [a, b] of pairs) {
      expect([a.settled.length, b.settled.length]).toEqual([1, 1])
      expect(a.settled[0]!.isInitiator).toBe(!b.settled[0]!.isInitiator)
      expect([a, b].map(({ settled: [stream] }) => stream!.destroyed)).toEqual([false, false])
    }
  }, 60_000)

  test('stay what they are when the dial that lost arrives late', async () => {
    const { address } = stack.use(await startHyperdhtBootstrap('127.0.0.1', 0))
    const ends = await Promise.all([anEnd(address), anEnd(address)])
    const keyOf = ({ swarm }: End): Buffer => swarm.keyPair.publicKey
    const [larger, smaller] = ends.toSorted((x, y) => compareBytes(keyOf(y), keyOf(x))) as [End, End]
    larger.swarm.joinPeer(keyOf(smaller))
    await Promise.all(ends.map(({ heard }) => heard))
    const late = smaller.dht.connect(keyOf(larger), { keyPair: smaller.swarm.keyPair })
    late.on('error', () => {})
    await new Promise((resolve) => late.once('close', resolve))
    expect(ends.map(({ settled }) => settled.map(({ destroyed }) => destroyed))).toEqual([[false], [false]])
  }, 60_000)
})

describe('a connection that is settling', () => {
  /** As far as settling looks at it. The key of this end is larger if `largerHere`. */
  function aStream(largerHere: boolean, facts: { isInitiator: boolean; _setup: boolean }): NoiseStream {
    const [publicKey, remotePublicKey] = largerHere ? [Buffer.of(2), Buffer.of(1)] : [Buffer.of(1), Buffer.of(2)]
    return Object.assign(new PassThrough(), { publicKey, remotePublicKey, ...facts }) as unknown as NoiseStream
  }

  test('waits for a better one of the same two nodes before it is made known', async () => {
    let nowMs = 0
    const settling = new Settling(() => nowMs)
    const losing = Promise.withResolvers<void>()
    const staying = Promise.withResolvers<void>()
    let told = false
    settling.add(aStream(true, { isInitiator: false, _setup: false }), () => {
      told = true
      losing.resolve()
    })
    settling.add(aStream(true, { isInitiator: true, _setup: false }), staying.resolve)
    await staying.promise
    expect(told).toBe(false)
    nowMs = 300
    await losing.promise
    settling.close()
  })

  test('whose other end says nothing is ended', async () => {
    let nowMs = 0
    const settling = new Settling(() => nowMs)
    const silent = aStream(true, { isInitiator: true, _setup: true })
    settling.add(silent, () => expect.unreachable())
    nowMs = 4_000
    await once(silent, 'close')
    settling.close()
  })
})
