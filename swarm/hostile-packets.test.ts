// Every crafted DHT packet of the kit against a real network child: the same process goes on, and its DHT still finds and keeps things.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeBencode, encodeBencode, keyPairFromSeed, latin1, mutableItemBytes, signRaw } from '../protocol/index.ts'
import type { Bencode } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import type { Address, Swarm } from './index.ts'
import { startLoopback } from './testing/loopback-swarm.ts'
import type { Loopback } from './testing/loopback-swarm.ts'

interface PacketCase {
  readonly name: string
  readonly packets: readonly (readonly string[])[]
}

const key = keyPairFromSeed(new Uint8Array(32).fill(5))
/** Sends the packets from one socket, then asks for peers; resolves to how many nodes the answer names. Loopback keeps the order. */
async function tell({ host, port }: Address, packets: PacketCase['packets']): Promise<number> {
  const socket = createSocket('udp4').bind(0, host)
  await once(socket, 'listening')
  const ask = async (method: string, field: string): Promise<ReadonlyMap<string, Bencode>> => {
    const a = new Map([
      ['id', new Uint8Array(20).fill(8)],
      [field, new Uint8Array(20).fill(1)],
    ])
    const query = { a, q: latin1(method), t: latin1('ask'), y: latin1('q') }
    socket.send(encodeBencode(new Map<string, Bencode>(Object.entries(query))), port, host)
    for (;;) {
      const [packet] = (await once(socket, 'message')) as [Buffer]
      const message = decodeBencode(packet) as ReadonlyMap<string, Bencode>
      const answered = Buffer.from(message.get('t') as Uint8Array).toString() === 'ask'
      if (answered) return message.get('r') as ReadonlyMap<string, Bencode>
    }
  }
  try {
    const token = encodeBencode((await ask('get', 'target')).get('token')!)
    for (const parts of packets) {
      socket.send(Buffer.concat(parts.map((part) => (part === 'TOKEN' ? token : Buffer.from(part, 'hex')))), port, host)
    }
    return ((await ask('get_peers', 'info_hash')).get('nodes') as Uint8Array).length / 26
  } finally {
    socket.close()
  }
}

describe.skipIf(!kit.present)('a network child that is sent every crafted packet (needs the kit)', () => {
  let net: Loopback
  let swarm: Swarm
  let address: Address
  let pid: number
  beforeAll(async () => {
    net = await startLoopback()
    swarm = net.swarm({}, { exchange: false, noise: false })
    address = (await swarm.addresses).dht!
    await swarm.status()
    pid = swarm.state.kind === 'running' ? swarm.state.pid : 0
  })
  afterAll(async () => {
    await net[Symbol.asyncDispose]()
  })
  const cases = kit.present
    ? (JSON.parse(readFileSync(kit.path('hostile/dht/packets.json'), 'utf8')) as { cases: PacketCase[] }).cases
    : []

  it.each(cases)('$name leaves it running, and it answers a lookup', async ({ packets }) => {
    expect(await tell(address, packets)).toBeGreaterThan(0)
    expect(swarm.state).toEqual({ kind: 'running', pid })
  })

  it('puts a pointer and gets it back after all of them', async () => {
    const item = { salt: latin1('after'), seq: 1, value: latin1('value') }
    const signature = signRaw(mutableItemBytes(item), key.secretKey)
    expect(await swarm.putPointer({ ...item, publicKey: key.publicKey, signature })).toBeGreaterThan(0)
    expect(await swarm.getPointers(key.publicKey, item.salt)).toHaveLength(1)
    expect(swarm.state).toEqual({ kind: 'running', pid })
  })
})
