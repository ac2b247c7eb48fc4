// What every exchange network must do, hostile peers included. Each implementation's own test file runs it.
import { afterEach, describe, expect, test } from 'vitest'
import { isMeshError, limits } from '../protocol/index.ts'
import type { ExchangeNetwork, PeerChannel } from './ports.ts'

/** How the suite makes nodes of the network under test, and lets them misbehave. */
export interface ExchangeNetworkHarness extends AsyncDisposable {
  /** A fresh node that can meet the others of this harness. */
  node(): Promise<ExchangeNetwork>
  /**
   * Lets the node's connections end in the middle of a frame, without a word, as when its process is killed. Implementations without
   * partial frames just end them.
   */
  vanish(node: ExchangeNetwork): Promise<void>
}

export function exchangeNetworkContract(name: string, open: () => Promise<ExchangeNetworkHarness>): void {
  describe(`${name} is an exchange network`, () => {
    const harnesses: ExchangeNetworkHarness[] = []

    async function aHarness(): Promise<ExchangeNetworkHarness> {
      const harness = await open()
      harnesses.push(harness)
      return harness
    }

    afterEach(async () => {
      for (const harness of harnesses.splice(0)) await harness[Symbol.asyncDispose]()
    })

    /** Two connected nodes and their two ends of one channel. */
    async function aPair(harness: ExchangeNetworkHarness): Promise<{
      readonly a: ExchangeNetwork
      readonly b: ExchangeNetwork
      readonly toB: PeerChannel
      readonly toA: PeerChannel
    }> {
      const a = await harness.node()
      const b = await harness.node()
      const met = Promise.all([nextPeer(a), nextPeer(b)])
      await a.join(aTopic(1))
      await b.join(aTopic(1))
      const [toB, toA] = await met
      return { a, b, toB, toA }
    }

    test('two nodes on one topic meet, and frames arrive whole and in order in both directions', async () => {
      const { toA, toB } = await aPair(await aHarness())
      const sizes = [0, 1, 1_000, 70_000, limits.frameMaxBytes]
      const fromB = take(toB, sizes.length)
      const fromA = take(toA, sizes.length)
      for (const [i, size] of sizes.entries()) {
        await toB.send(aFrame(size, i))
        await toA.send(aFrame(size, i + 100))
      }
      expect(await fromA).toEqual(sizes.map((size, i) => aFrame(size, i)))
      expect(await fromB).toEqual(sizes.map((size, i) => aFrame(size, i + 100)))
    })

    test('the sender may use its buffer again after sending', async () => {
      const { toA, toB } = await aPair(await aHarness())
      const frame = aFrame(1_000, 1)
      await toB.send(frame)
      frame.fill(0)
      expect(await take(toA, 1)).toEqual([aFrame(1_000, 1)])
    })

    test('nodes on different topics do not meet', async () => {
      const harness = await aHarness()
      const [a, b, c] = [await harness.node(), await harness.node(), await harness.node()]
      const strangers: PeerChannel[] = []
      a.onPeer((peer) => strangers.push(peer))
      await a.join(aTopic(1))
      const met = Promise.all([nextPeer(b), nextPeer(c)])
      await b.join(aTopic(2))
      await c.join(aTopic(2))
      await met
      expect(strangers).toEqual([])
    })

    test('a topic is a whole 32 bytes: a common beginning is not the same topic', async () => {
      const harness = await aHarness()
      const [a, b, c] = [await harness.node(), await harness.node(), await harness.node()]
      const strangers: PeerChannel[] = []
      a.onPeer((peer) => strangers.push(peer))
      const almost = aTopic(1)
      almost[31] = 99
      await a.join(almost)
      const met = Promise.all([nextPeer(b), nextPeer(c)])
      await b.join(aTopic(1))
      await c.join(aTopic(1))
      await met
      expect(strangers).toEqual([])
    })

    test('two nodes that share several topics have one connection', async () => {
      const harness = await aHarness()
      const { a, b, toA, toB } = await aPair(harness)
      const more: PeerChannel[] = []
      a.onPeer((peer) => more.push(peer))
      await a.join(aTopic(2))
      await b.join(aTopic(2))
      await toB.send(aFrame(1, 1))
      await take(toA, 1)
      expect(more).toEqual([])
    })

    test('both ends name each other, and different peers have different names', async () => {
      const harness = await aHarness()
      const { a, toB } = await aPair(harness)
      const met = nextPeer(a)
      const c = await harness.node()
      await c.join(aTopic(1))
      const toC = await met
      expect(toC.id).not.toBe(toB.id)
      expect(toC.id.length).toBeGreaterThan(0)
    })

    test('joining with an aborted signal rejects with aborted', async () => {
      const node = await (await aHarness()).node()
      await expect(node.join(aTopic(1), AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' })
    })

    test('aborting while joining rejects with aborted or had already joined, and the topic can be joined again', async () => {
      const harness = await aHarness()
      const a = await harness.node()
      const b = await harness.node()
      const stop = new AbortController()
      const joining = a.join(aTopic(1), stop.signal).catch((error: unknown) => error)
      stop.abort()
      const outcome = await joining
      if (outcome instanceof Error) expect(isMeshError(outcome, 'aborted')).toBe(true)
      const met = Promise.all([nextPeer(a), nextPeer(b)])
      await a.join(aTopic(1))
      await b.join(aTopic(1))
      await met
    })

    test('aborting after having joined changes nothing', async () => {
      const harness = await aHarness()
      const a = await harness.node()
      const b = await harness.node()
      const stop = new AbortController()
      const met = Promise.all([nextPeer(a), nextPeer(b)])
      await a.join(aTopic(1), stop.signal)
      stop.abort()
      await b.join(aTopic(1))
      await met
    })

    test('leaving a topic twice is fine, and so is leaving it while others stay', async () => {
      const harness = await aHarness()
      const a = await harness.node()
      const topic = await a.join(aTopic(1))
      await topic[Symbol.asyncDispose]()
      await topic[Symbol.asyncDispose]()
    })

    test('a listener that was removed hears of nobody', async () => {
      const harness = await aHarness()
      const a = await harness.node()
      const b = await harness.node()
      const heard: PeerChannel[] = []
      const stop = a.onPeer((peer) => heard.push(peer))
      stop()
      stop()
      const met = Promise.all([nextPeer(a), nextPeer(b)])
      await a.join(aTopic(1))
      await b.join(aTopic(1))
      await met
      expect(heard).toEqual([])
    })

    test('a frame over the limit is refused before anything is sent, and the channel goes on', async () => {
      const { toA, toB } = await aPair(await aHarness())
      await expect(toB.send(new Uint8Array(limits.frameMaxBytes + 1))).rejects.toMatchObject({ code: 'too-large' })
      await toB.send(aFrame(10, 1))
      expect(await take(toA, 1)).toEqual([aFrame(10, 1)])
    })

    test('closing ends the frames of both ends; closing twice is fine; sending then rejects with not-reachable', async () => {
      const { toA, toB } = await aPair(await aHarness())
      const atA = collect(toA)
      const atB = collect(toB)
      toB.close('enough')
      toB.close('enough')
      await Promise.all([toA.closed, toB.closed])
      expect(await atA).toEqual([])
      expect(await atB).toEqual([])
      await expect(toB.send(aFrame(1, 1))).rejects.toMatchObject({ code: 'not-reachable' })
      await expect(toA.send(aFrame(1, 1))).rejects.toMatchObject({ code: 'not-reachable' })
      toA.close('too')
    })

    test('a peer that vanishes ends the channel, without an error for who reads and with not-reachable for who sends', async () => {
      const harness = await aHarness()
      const { b, toB, toA } = await aPair(harness)
      const frames = collect(toB)
      void toA.send(aFrame(1_000, 1)).catch(() => {})
      await harness.vanish(b)
      await toB.closed
      for (const frame of await frames) expect(frame).toEqual(aFrame(1_000, 1))
      await expect(toB.send(aFrame(1, 1))).rejects.toMatchObject({ code: 'not-reachable' })
    })

    test('a peer that reads nothing makes its sender wait, and the wait ends when the channel closes', async () => {
      const { toA, toB } = await aPair(await aHarness())
      let sent = 0
      const sending = (async () => {
        for (; sent < 4_096; sent++) await toB.send(aFrame(limits.frameMaxBytes, sent))
      })().catch((error: unknown) => error)
      toA.close('not interested')
      await toB.closed
      const outcome = await sending
      expect(isMeshError(outcome, 'not-reachable')).toBe(true)
      expect(sent).toBeLessThan(4_096)
    })

    test('a slow reader gets every frame', async () => {
      const { toA, toB } = await aPair(await aHarness())
      const count = 200
      const sending = (async () => {
        for (let i = 0; i < count; i++) await toB.send(aFrame(10_000, i))
      })()
      let next = 0
      for await (const frame of toA.frames) {
        expect(frame).toEqual(aFrame(10_000, next))
        if (++next === count) break
        await new Promise((resolve) => setImmediate(resolve))
      }
      await sending
    })

    test('many peers on one topic all reach each other, directly or through one in the middle', async () => {
      const harness = await aHarness()
      const nodes = await Promise.all(Array.from({ length: 8 }, () => harness.node()))
      const met = nodes.map((node) => nextPeer(node))
      for (const node of nodes) await node.join(aTopic(1))
      await Promise.all(met)
    })

    test('a node that is disposed of closes its channels, and may be disposed of twice', async () => {
      const { b, toB } = await aPair(await aHarness())
      await b[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await toB.closed
    })
  })
}

function aTopic(n: number): Uint8Array {
  return new Uint8Array(32).fill(n)
}

function aFrame(size: number, n: number): Uint8Array {
  return new Uint8Array(size).fill(n % 251)
}

function nextPeer(node: ExchangeNetwork): Promise<PeerChannel> {
  return new Promise((resolve) => {
    const stop = node.onPeer((peer) => {
      stop()
      resolve(peer)
    })
  })
}

async function take(channel: PeerChannel, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = []
  for await (const frame of channel.frames) {
    frames.push(frame)
    if (frames.length === count) break
  }
  return frames
}

async function collect(channel: PeerChannel): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = []
  for await (const frame of channel.frames) frames.push(frame)
  return frames
}
