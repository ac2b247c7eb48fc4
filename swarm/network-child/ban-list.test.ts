import { expect, test } from 'vitest'
import { BanList } from './ban-list.ts'
import type { PeerName } from './messages.ts'

const tcp = (id: string): PeerName => ({ kind: 'tcp', id })
const noise = (id: string): PeerName => ({ kind: 'noise', id })

function banned(...peers: PeerName[]): BanList {
  const bans = new BanList()
  for (const peer of peers) bans.add(peer)
  return bans
}

test('a peer that was banned stays banned under every port of its address, in either form of it', () => {
  const bans = banned(tcp('192.0.2.7:6881'))
  expect(bans.has(tcp('192.0.2.7:50000'))).toBe(true)
  expect(bans.has(tcp('::ffff:192.0.2.7:50000'))).toBe(true)
  expect(bans.has(tcp('192.0.2.70:6881'))).toBe(false)
})

test('on loopback every port is another node', () => {
  const bans = banned(tcp('127.0.0.1:1'), tcp('::ffff:127.0.0.2:1'), tcp('::1:1'))
  expect(bans.has(tcp('127.0.0.1:2'))).toBe(false)
  expect(bans.has(tcp('127.0.0.2:1'))).toBe(true)
  expect(bans.has(tcp('::1:2'))).toBe(false)
  expect(bans.has(tcp('127.0.0.1:1'))).toBe(true)
})

test('a key is banned as a key only', () => {
  const bans = banned(noise('ab'))
  expect(bans.has(noise('ab'))).toBe(true)
  expect(bans.has(noise('cd'))).toBe(false)
  expect(bans.has(tcp('ab'))).toBe(false)
})

test('it holds at most ten thousand, and forgets the one banned longest ago', () => {
  const bans = banned(...Array.from({ length: 10_000 }, (_, n) => noise(`${n}`)))
  bans.add(noise('0'))
  bans.add(noise('one more'))
  expect(bans.list()).toHaveLength(10_000)
  expect([bans.has(noise('0')), bans.has(noise('1'))]).toEqual([true, false])
})
