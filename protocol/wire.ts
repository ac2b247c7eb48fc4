// What two nodes say to each other on an exchange stream: frames of at most `limits.frameMaxBytes`, each one MessagePack object with a
// versioned type. Nothing here is signed; what matters inside (records, genesis blocks) carries its own signatures.
import { Packr } from 'msgpackr'
import { z } from 'zod'
import { MeshError } from './errors.ts'
import { checkAs, count, fixedBytes, hash, infohash, plainText, publicKey, someBytes } from './fields.ts'
import { limits } from './limits.ts'

/** The versions of this protocol a node speaks; the highest common one is used. */
export const wireVersions: readonly number[] = [1]

const topic = fixedBytes(32)
const scope = z.string().regex(/^(?:public|[0-9a-f]{64})$/)
const logKey = { scope, author: publicKey, device: publicKey }
const record = z.strictObject({
  envelope: someBytes(limits.envelopeMaxBytes),
  body: someBytes(limits.recordBodyMaxBytes),
})

const messageSchema = z.discriminatedUnion('type', [
  /** First message in both directions. `transferKey` is where this node serves the BitTorrent wire over Noise streams. */
  z.strictObject({
    type: z.literal('hello/1'),
    versions: z.array(count.min(1).max(65_535)).min(1).max(16),
    agent: plainText(limits.agentMaxChars),
    transferKey: publicKey.optional(),
  }),
  /** The topics the sender is on; both sides talk only about those they share. Sent again when they change. */
  z.strictObject({ type: z.literal('topics/1'), topics: z.array(topic).max(limits.topicsPerPeerMax) }),
  z.strictObject({ type: z.literal('want-genesis/1'), topic }),
  z.strictObject({ type: z.literal('genesis/1'), topic, sealed: someBytes(limits.sealedMaxBytes) }),
  /** The logs the sender holds under a topic, with their lengths and last record ids. */
  z.strictObject({
    type: z.literal('heads/1'),
    topic,
    logs: z
      .array(z.strictObject({ ...logKey, length: count.min(1).max(limits.logMaxRecords), head: hash }))
      .max(limits.headsPerMessageMax),
  }),
  /** Asks for records `from`..`to` (exclusive) of one log. */
  z.strictObject({ type: z.literal('want-records/1'), topic, ...logKey, from: count, to: count }),
  z.strictObject({
    type: z.literal('records/1'),
    topic,
    ...logKey,
    from: count,
    records: z.array(record).max(limits.recordsPerMessageMax),
  }),
  /** How many certificates of a community the sender holds, and the id of the last, or the community's. */
  z.strictObject({ type: z.literal('chain/1'), topic, length: count.max(limits.certificatesMax), head: hash }),
  z.strictObject({ type: z.literal('want-certificates/1'), topic, from: count.max(limits.certificatesMax) }),
  z.strictObject({
    type: z.literal('certificates/1'),
    topic,
    from: count.max(limits.certificatesMax),
    certificates: z.array(someBytes(limits.communityCertificateMaxBytes)).max(limits.certificatesPerMessageMax),
  }),
  /** Asks for the lockfile that a persona's topic follows from; whoever has none says nothing. */
  z.strictObject({ type: z.literal('want-lockfile/1'), topic }),
  /** Its canonical bytes, readable with the link only. */
  z.strictObject({
    type: z.literal('lockfile/1'),
    topic,
    covered: someBytes(limits.sharedLockfileMaxBytes + 16),
  }),
  /** Asks which of these release torrents the other side serves; the answer names those it does. */
  z.strictObject({
    type: z.literal('want-seeds/1'),
    infohashes: z.array(infohash).min(1).max(limits.infohashesPerMessageMax),
  }),
  z.strictObject({
    type: z.literal('have-seeds/1'),
    infohashes: z.array(infohash).max(limits.infohashesPerMessageMax),
  }),
  /** Why the sender is about to close. */
  z.strictObject({ type: z.literal('goodbye/1'), reason: plainText(limits.reasonMaxChars) }),
])

export type WireMessage = z.infer<typeof messageSchema>
export type WireMessageOf<T extends WireMessage['type']> = Extract<WireMessage, { type: T }>

// Plain maps: msgpackr's record extension would let a peer define structures.
const packr = new Packr({ useRecords: false, int64AsType: 'number', variableMapSize: true })

/** Throws a plain Error when the message would not pass its own schema or the frame limit: that is a bug of the sender. */
export function encodeWireMessage(message: WireMessage): Uint8Array {
  const entries = Object.entries(message).filter(([, value]) => value !== undefined)
  const frame = new Uint8Array(packr.pack(Object.fromEntries(entries)))
  if (frame.length > limits.frameMaxBytes)
    throw new Error(`a ${message.type} frame of ${frame.length} bytes is over the limit`)
  return frame
}

/** A message this version knows, or `unknown` for a type that a later version may send. Throws `too-large` or `malformed`. */
export function decodeWireMessage(
  frame: Uint8Array,
): WireMessage | { readonly type: 'unknown'; readonly name: string } {
  if (frame.length > limits.frameMaxBytes)
    throw new MeshError(
      'too-large',
      `This frame has ${frame.length} bytes; at most ${limits.frameMaxBytes} are allowed.`,
    )
  let value: unknown
  try {
    value = packr.unpack(frame)
  } catch (cause) {
    throw new MeshError('malformed', 'This frame is not MessagePack.', {}, { cause })
  }
  const name = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  if (typeof name === 'string' && /^[a-z-]{1,32}\/[0-9]{1,4}$/.test(name) && !knownTypes.has(name))
    return { type: 'unknown', name }
  return checkAs('wire message', messageSchema, value, 'malformed')
}

const knownTypes = new Set<string>(messageSchema.options.map((option) => option.shape.type.value))

/** The highest version both sides speak. Throws `version-mismatch`. */
export function commonVersion(theirs: readonly number[]): number {
  const common = wireVersions.filter((version) => theirs.includes(version))
  if (common.length === 0) {
    throw new MeshError(
      'version-mismatch',
      `This peer speaks protocol versions ${theirs.join(', ')}; this node speaks ${wireVersions.join(', ')}. One side needs an update.`,
    )
  }
  return Math.max(...common)
}
