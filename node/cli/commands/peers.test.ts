import { expect, test } from 'vitest'
import { explainedText, peersText } from './peers.ts'

const transferKey = '3f2a9c'.padEnd(64, '0')
const standing = {
  subject: `noise:${transferKey}`,
  name: 'peer 3f2a9c000000…',
  chosen: false,
  connected: true,
  score: 0,
  goodBytes: 0,
  badBytes: 0,
  confirmed: 0,
  refuted: 0,
  why: 'Nothing is known of it yet.',
}
const peer = { id: 'feed'.repeat(16), agent: 'lora-mesh/1', communities: ['kitchen'], topics: 1 }
const listed = { online: true, dhtNodes: 3, banned: [] }

test('a peer is called the same in the list as where it is explained', () => {
  const list = peersText({ ...listed, peers: [{ ...peer, transferKey }] }, [standing])
  expect(list).toContain('peer 3f2a9c000000…  lora-mesh/1  kitchen')
  expect(explainedText([standing])).toContain('peer 3f2a9c000000…')
})

test('one that transfers nothing is called by its connection', () => {
  expect(peersText({ ...listed, peers: [peer] }, [standing])).toContain('peer feedfeedfeed…')
})
