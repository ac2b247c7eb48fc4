import { expect, test } from 'vitest'
import { releasePieceBytes } from '../../protocol/index.ts'
import type { Seen, Subject } from '../../registry/index.ts'
import type { FetchTorrentEvent, PeerTraffic } from '../../swarm/index.ts'
import { peerSubject } from './subjects.ts'
import { watchTransfer } from './watch-transfer.ts'

const MiB = 2 ** 20
const totalBytes = 64 * MiB
const piece = releasePieceBytes(totalBytes)
const sent = (id: string, receivedBytes: number, kind: PeerTraffic['kind'] = 'noise'): PeerTraffic => ({
  kind,
  id,
  client: 'client',
  receivedBytes,
  sentBytes: 0,
})
const progress: FetchTorrentEvent = {
  kind: 'progress',
  progress: { bytes: 0, totalBytes, bytesPerSecond: 0, resumedBytes: 0, peers: [] },
}
const blamed = (id: string): FetchTorrentEvent => ({ kind: 'peer-blamed', peer: { kind: 'noise', id }, banned: false })

function aWatch() {
  const seen: (readonly [Subject, Partial<Seen>])[] = []
  const time = { ms: 1_000 }
  return {
    seen,
    time,
    watch: watchTransfer(
      (all) => seen.push(...all),
      () => time.ms,
    ),
  }
}

test('whoever sent something is thanked for it, and the time ends with the last byte, not with the checks after it', () => {
  const { seen, time, watch } = aWatch()
  watch.hear(progress)
  time.ms = 3_000
  watch.hear({ kind: 'verifying' })
  time.ms = 60_000
  watch.served([sent('01', 5 * MiB), sent('02', 0)])
  expect(seen).toEqual([['noise:01', { goodBytes: 5 * MiB, transfers: 1, seconds: 2 }]])
})

test('a bad piece counts at once, and is not among the good bytes afterwards', () => {
  const { seen, watch } = aWatch()
  watch.hear(progress)
  watch.hear(blamed('01'))
  expect(seen).toEqual([['noise:01', { badBytes: piece }]])
  watch.served([sent('01', 3 * piece)])
  expect(seen[1]).toEqual(['noise:01', { goodBytes: 2 * piece, transfers: 1, seconds: 0 }])
})

test('one that sent nothing but bad pieces is not thanked', () => {
  const { seen, watch } = aWatch()
  watch.hear(progress)
  watch.hear(blamed('01'))
  watch.served([sent('01', piece)])
  expect(seen).toEqual([['noise:01', { badBytes: piece }]])
})

test('a home that came by two ports is one, with or without the dress of version 6', () => {
  const { seen, watch } = aWatch()
  watch.served([sent('192.0.2.7:5000', 100, 'tcp'), sent('::ffff:192.0.2.7:6000', 50, 'tcp')])
  expect(seen).toEqual([['tcp:192.0.2.7', { goodBytes: 150, transfers: 1, seconds: 0 }]])
})

test('on loopback each port is another node', () => {
  expect(peerSubject({ kind: 'tcp', id: '127.0.0.1:5000' })).toBe('tcp:127.0.0.1:5000')
  expect(peerSubject({ kind: 'tcp', id: '2001:db8::7:5000' })).toBe('tcp:2001:db8::7')
})
