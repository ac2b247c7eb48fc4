import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import fc from 'fast-check'
import {
  type Bencode,
  decodeBencode,
  encodeBencode,
  keyPairFromSeed,
  latin1,
  type MutableItem,
  mutableItemBytes,
  signRaw,
} from '../../protocol/index.ts'
import { superviseChild, type SupervisedChild } from '../../supervisor/index.ts'
import { kit } from '../../testing/kit.ts'
import { type DhtNode, startDht } from './guarded-dht.ts'
import { checkPacket } from './packet-check.ts'

type Message = ReadonlyMap<string, Bencode>

/** A plain UDP peer that sends one packet and hears what comes back until the node has also answered a ping. */
async function speaker(port: number) {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  let heard: Uint8Array[] = []
  let asked = 0
  let onAnswer: ((message: Message) => void) | undefined
  let awaited = ''
  socket.on('message', (packet) => {
    const message = decode(packet)
    if (Buffer.from(message.get('t') as Uint8Array).toString('latin1') === awaited) onAnswer?.(message)
    else heard.push(packet)
  })
  const send = (packet: Uint8Array) => new Promise<void>((done) => socket.send(packet, port, '127.0.0.1', () => done()))
  const query = async (name: string, fields: readonly (readonly [string, Bencode])[]): Promise<Message> => {
    awaited = `query ${asked++}`
    const answer = new Promise<Message>((resolve) => (onAnswer = resolve))
    const a = new Map<string, Bencode>([['id', new Uint8Array(20).fill(7)], ...fields])
    await send(
      encodeBencode(
        new Map<string, Bencode>([
          ['a', a],
          ['q', latin1(name)],
          ['t', latin1(awaited)],
          ['y', latin1('q')],
        ]),
      ),
    )
    return answer
  }
  /** What the node said to `packet`. Order is kept on loopback, so an answered ping means that nothing more will come. */
  const tell = async (packet: Uint8Array): Promise<Uint8Array[]> => {
    heard = []
    await send(packet)
    await query('ping', [])
    return heard
  }
  return { query, tell, close: () => socket.close() }
}

function decode(packet: Uint8Array): Message {
  return decodeBencode(packet) as Message
}

function kindOf(replies: readonly Uint8Array[]): string {
  const kinds = replies.map((reply) => String.fromCharCode(...(decode(reply).get('y') as Uint8Array)))
  return kinds.length === 0 ? 'silence' : kinds.join('')
}

interface PacketCase {
  readonly name: string
  readonly reply: 'response' | 'silence' | 'any' | 'none-or-error' | 'second-error'
  readonly packets: readonly (readonly string[])[]
  readonly then_get?: { readonly target: string; readonly expect: string; readonly value_bencoded_hex?: string }
}

const allowed: Record<PacketCase['reply'], RegExp> = {
  response: /^r$/,
  silence: /^silence$/,
  any: /./,
  'none-or-error': /^(silence|e)$/,
  'second-error': /^re$/,
}

describe.skipIf(!kit.present)('crafted DHT packets (needs the kit)', () => {
  let child: SupervisedChild
  let pid: number
  beforeAll(async () => {
    child = superviseChild({ name: 'DHT process', entry: new URL('../testing/dht-process.ts', import.meta.url) })
    pid = await child.request<number>('pid', null)
  })
  afterAll(async () => {
    await child[Symbol.asyncDispose]()
  })
  const cases = kit.present
    ? (JSON.parse(readFileSync(kit.path('hostile/dht/packets.json'), 'utf8')) as { cases: PacketCase[] }).cases
    : []

  it.each(cases)(
    '$name leaves the node alive and is answered as it should be',
    async ({ packets, reply, then_get }) => {
      const peer = await speaker(await child.request<number>('start', null))
      try {
        const token = (await peer.query('get', [['target', new Uint8Array(20).fill(1)]])).get('r') as Message
        const kinds: string[] = []
        for (const parts of packets) {
          const bytes = Buffer.concat(
            parts.map((part) => (part === 'TOKEN' ? encodeBencode(token.get('token')!) : Buffer.from(part, 'hex'))),
          )
          const replies = await peer.tell(bytes)
          for (const answer of replies) expect(answer.length).toBeLessThanOrEqual(bytes.length + 64)
          kinds.push(kindOf(replies))
        }
        expect(kinds.join(reply === 'second-error' ? '' : ' ')).toMatch(allowed[reply])
        if (then_get !== undefined) {
          const answer = (await peer.query('get', [['target', Buffer.from(then_get.target, 'hex')]])).get(
            'r',
          ) as Message
          if (then_get.expect === 'stored') {
            expect(Buffer.from(encodeBencode(answer.get('v')!)).toString('hex')).toBe(then_get.value_bencoded_hex)
          } else expect(answer.has('v')).toBe(false)
        }
        expect(await child.request('pid', null)).toBe(pid)
      } finally {
        peer.close()
      }
    },
  )

  it('goes on answering after thousands of mutated packets', async () => {
    const originals = cases.flatMap(({ packets }) =>
      packets.map((parts) => Buffer.from(parts.join('').replaceAll('TOKEN', ''), 'hex')),
    )
    const peer = await speaker(await child.request<number>('start', null))
    // Numerical Recipes' generator: the same packets in every run.
    let state = 1
    const below = (bound: number) =>
      Math.floor(((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32) * bound)
    for (let round = 0; round < 10_000; round++) {
      const packet = Buffer.from(originals[round % originals.length]!.subarray(0, 1_400))
      for (let flips = 0; flips < 3; flips++) packet[below(packet.length)] = below(256)
      await peer.tell(packet)
    }
    peer.close()
    expect(await child.request('pid', null)).toBe(pid)
  })
})

describe('the packet check', () => {
  it('never throws, and what it passes on it passes on unchanged the second time', () => {
    const node = new Uint8Array(20).fill(3)
    const bytes = fc.uint8Array({ maxLength: 70 })
    const field = fc.oneof(bytes, fc.integer(), fc.constant(node), fc.array(bytes, { maxLength: 3 }))
    const names = [
      'id',
      'target',
      'info_hash',
      'token',
      'v',
      'k',
      'sig',
      'salt',
      'seq',
      'cas',
      'port',
      'nodes',
      'values',
    ]
    const fields = fc.dictionary(fc.constantFrom(...names), field).map((entries) => new Map(Object.entries(entries)))
    const message = fc
      .record({
        t: fc.oneof(fc.constant(latin1('aa')), bytes),
        y: fc.constantFrom(latin1('q'), latin1('r'), latin1('e')),
        q: fc.constantFrom(...['ping', 'find_node', 'get_peers', 'announce_peer', 'get', 'put', 'x'].map(latin1)),
        a: fc.oneof(fields, field),
        r: fc.oneof(fields, field),
        e: field,
      })
      .map((parts) => encodeBencode(new Map<string, Bencode>(Object.entries(parts) as [string, Bencode][])))
    fc.assert(
      fc.property(fc.oneof(message, fc.uint8Array({ maxLength: 200 })), (packet) => {
        const verdict = checkPacket(packet)
        if (verdict.kind === 'drop') return
        expect(verdict.bytes.length).toBeLessThanOrEqual(packet.length + 64)
        if (verdict.kind === 'pass') expect(checkPacket(verdict.bytes)).toEqual(verdict)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a small DHT on loopback', () => {
  let nodes: DhtNode[] = []
  beforeAll(async () => {
    const first = await startDht({ host: '127.0.0.1', port: 0, bootstrap: [] })
    nodes = [first]
    for (let i = 0; i < 3; i++) nodes.push(await startDht({ host: '127.0.0.1', port: 0, bootstrap: [first.address] }))
  })
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
  })

  const key = keyPairFromSeed(new Uint8Array(32).fill(9))
  function anItem(fields: { seq: number; value?: string; salt?: string }): MutableItem {
    const item = {
      salt: latin1(fields.salt ?? 'name'),
      seq: fields.seq,
      value: latin1(fields.value ?? `v${fields.seq}`),
    }
    return { ...item, publicKey: key.publicKey, signature: signRaw(mutableItemBytes(item), key.secretKey) }
  }

  it('finds an announced peer', async () => {
    const infohash = randomBytes(20)
    expect(await nodes[1]!.announce(infohash, 4_242)).toBeGreaterThan(0)
    const found: string[] = []
    await nodes[2]!.lookup(infohash, (address) => found.push(address), AbortSignal.timeout(10_000))
    expect(found).toEqual(['127.0.0.1:4242'])
  })

  it('stores a signed item and gives it back to another node', async () => {
    expect(await nodes[1]!.put(anItem({ seq: 1 }))).toBeGreaterThan(0)
    expect((await nodes[2]!.get(key.publicKey, latin1('name'))).map((item) => item.seq)).toEqual([1])
  })

  it('takes the same item again, a newer one too, and says so when it holds a newer one', async () => {
    expect(await nodes[1]!.put(anItem({ seq: 5, salt: 'again' }))).toBeGreaterThan(0)
    expect(await nodes[2]!.put(anItem({ seq: 5, salt: 'again' }))).toBeGreaterThan(0)
    expect(await nodes[3]!.put(anItem({ seq: 6, salt: 'again' }))).toBeGreaterThan(0)
    await expect(nodes[1]!.put(anItem({ seq: 4, salt: 'again' }))).rejects.toMatchObject({ code: 'stale' })
  })

  it('refuses to put what is not rightly signed', async () => {
    const item = { ...anItem({ seq: 1, salt: 'bad' }), value: latin1('other') }
    await expect(nodes[1]!.put(item)).rejects.toMatchObject({ code: 'bad-signature' })
  })

  it('forgets an item two hours after it was last put', async () => {
    let nowMs = 1_000_000
    const store = await startDht({ host: '127.0.0.1', port: 0, bootstrap: [], nowMs: () => nowMs })
    const asking = await startDht({ host: '127.0.0.1', port: 0, bootstrap: [store.address] })
    await asking.put(anItem({ seq: 1 }))
    nowMs += 90 * 60_000
    await asking.put(anItem({ seq: 1 }))
    nowMs += 90 * 60_000
    expect(await asking.get(key.publicKey, latin1('name'))).toHaveLength(1)
    nowMs += 31 * 60_000
    expect(await asking.get(key.publicKey, latin1('name'))).toHaveLength(0)
    await Promise.all([store[Symbol.asyncDispose](), asking[Symbol.asyncDispose]()])
  })

  it('answers an address that asks too often only within its allowance', async () => {
    const { GuardedSocket } = await import('./guarded-socket.ts')
    const socket = new GuardedSocket({ perSecond: 1, burst: 3 }, () => 0)
    const passed: unknown[] = []
    socket.on('message', (packet) => passed.push(packet))
    const ping = latin1('d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe')
    for (let i = 0; i < 10; i++)
      socket.receive(ping, { address: '192.0.2.1', family: 'IPv4', port: 9, size: ping.length })
    expect(passed).toHaveLength(3)
    socket.close()
  })
})
