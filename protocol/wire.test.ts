import fc from 'fast-check'
import { pack } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { aHash, aLog } from '../testing/objects.ts'
import { commonVersion, decodeWireMessage, encodeWireMessage, isMeshError, limits } from './index.ts'
import type { WireMessage } from './index.ts'

const [record] = aLog([])
const logKey = { scope: 'public', author: aHash(1), device: aHash(2) }
const messages: WireMessage[] = [
  { type: 'hello/1', versions: [1, 2], agent: 'lora-mesh/0.1.0', transferKey: aHash(3) },
  { type: 'hello/1', versions: [1], agent: '' },
  { type: 'topics/1', topics: [aHash(4)] },
  { type: 'want-genesis/1', topic: aHash(4) },
  { type: 'genesis/1', topic: aHash(4), sealed: Uint8Array.of(1) },
  { type: 'heads/1', topic: aHash(4), logs: [{ ...logKey, length: 70_000, head: aHash(5) }] },
  { type: 'want-records/1', topic: aHash(4), ...logKey, from: 0, to: 300 },
  {
    type: 'records/1',
    topic: aHash(4),
    ...logKey,
    from: 0,
    records: [{ envelope: record!.envelope, body: record!.body }],
  },
  { type: 'want-seeds/1', infohashes: [new Uint8Array(20)] },
  { type: 'have-seeds/1', infohashes: [] },
  { type: 'want-lockfile/1', topic: aHash(4) },
  { type: 'lockfile/1', topic: aHash(4), covered: new Uint8Array(limits.sharedLockfileMaxBytes + 16) },
  { type: 'goodbye/1', reason: 'shutting down' },
]

describe('wire messages', () => {
  it.each(messages)('$type reads back as it was sent', (message) => {
    expect(decodeWireMessage(encodeWireMessage(message))).toEqual(message)
  })

  it('of a later version are passed over, not punished', () => {
    expect(decodeWireMessage(pack({ type: 'heads/9', anything: [1.5, null] }))).toEqual({
      type: 'unknown',
      name: 'heads/9',
    })
  })

  it.each([
    ['an extra field', { type: 'want-genesis/1', topic: aHash(1), extra: 1 }],
    ['a short topic', { type: 'want-genesis/1', topic: new Uint8Array(31) }],
    ['text for bytes', { type: 'want-genesis/1', topic: 'x'.repeat(32) }],
    [
      'too many topics',
      { type: 'topics/1', topics: Array.from({ length: limits.topicsPerPeerMax + 1 }, () => aHash(1)) },
    ],
    ['a negative index', { type: 'want-records/1', topic: aHash(4), ...logKey, from: -1, to: 3 }],
    ['a fractional index', { type: 'want-records/1', topic: aHash(4), ...logKey, from: 0.5, to: 3 }],
    ['an invisible character in a reason', { type: 'goodbye/1', reason: '\u202e' }],
    ['no type', { topic: aHash(1) }],
    ['a list', [1, 2]],
    ['nothing', null],
  ])('with %s are malformed', (_what, value) => {
    expect(() => decodeWireMessage(pack(value))).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  it('over the frame limit are refused before they are read', () => {
    const frame = new Uint8Array(limits.frameMaxBytes + 1)
    expect(() => decodeWireMessage(frame)).toThrow(expect.objectContaining({ code: 'too-large' }))
  })

  it('made of any bytes give a MeshError or a message, never anything else', () => {
    const mutated = fc
      .tuple(fc.constantFrom(...messages.map((message) => encodeWireMessage(message))), fc.nat(), fc.nat(255))
      .map(([frame, at, byte]) => {
        const copy = frame.slice()
        copy[at % copy.length] = byte
        return copy
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (frame) => {
        try {
          decodeWireMessage(frame)
        } catch (error) {
          expect(isMeshError(error)).toBe(true)
        }
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('the version handshake', () => {
  it('takes the highest version both sides speak', () => {
    expect(commonVersion([1, 99])).toBe(1)
  })

  it('refuses a peer without a common version and says who needs an update', () => {
    expect(() => commonVersion([2, 3])).toThrow(expect.objectContaining({ code: 'version-mismatch' }))
  })
})
