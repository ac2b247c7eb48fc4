// Records: everything public a node says is an entry in an append-only, hash-chained log. A log belongs to (identity, device, scope);
// its first record carries the device certificate. The envelope is strict and frozen; bodies grow by new types, which are verified,
// stored and passed on by everyone and mean nothing to whoever doesn't know them.
import { z } from 'zod'
import { bytesEqual } from './bytes.ts'
import { withoutEntry } from './canonical.ts'
import { MeshError } from './errors.ts'
import { count, decodeAs, encodeObject, hash, publicKey, signature, timeMs } from './fields.ts'
import type { Author } from './identity.ts'
import { limits } from './limits.ts'
import { hashBytes, signBytes, taggedId, verifyBytes } from './signing.ts'

/** `public`, or the 64 hex digits of a community id. */
export type Scope = string

const scope = z.string().regex(/^(?:public|[0-9a-f]{64})$/, 'must be "public" or a community id')
const recordType = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}\/[1-9][0-9]{0,3}$/, 'must be a type and version such as release/1')

const envelopeSchema = z.strictObject({
  format: z.literal(1),
  scope,
  author: publicKey,
  device: publicKey,
  index: count.max(limits.logMaxRecords - 1),
  previous: hash,
  type: recordType,
  time: timeMs,
  bodyHash: hash,
  signature,
})

export type RecordEnvelope = z.infer<typeof envelopeSchema>

/** A record as it is stored and sent. */
export interface SignedRecord {
  readonly envelope: Uint8Array
  readonly body: Uint8Array
}

/** A record whose signature and body hash have been checked. Its place in the chain is the log's business. */
export interface VerifiedRecord extends SignedRecord {
  /** 32 bytes: over the envelope without its signature, so that one statement has one id. */
  readonly id: Uint8Array
  readonly fields: RecordEnvelope
}

/** `previous` of the first record of a log. */
export const noPrevious: Uint8Array = new Uint8Array(hashBytes)

export interface RecordDraft {
  readonly scope: Scope
  readonly index: number
  /** Id of the record before, or `noPrevious`. */
  readonly previous: Uint8Array
  readonly type: string
  /** Milliseconds since 1970; for display only, never for deciding. */
  readonly time: number
  readonly body: Uint8Array
}

export function createRecord(draft: RecordDraft, author: Author): VerifiedRecord {
  const statement = {
    format: 1 as const,
    scope: draft.scope,
    author: author.identity,
    device: author.device.publicKey,
    index: draft.index,
    previous: draft.previous,
    type: draft.type,
    time: draft.time,
    bodyHash: taggedId('record-body', draft.body),
  }
  const signed = signBytes('record', encodeObject(statement), author.device.secretKey)
  return verifyRecord({ envelope: encodeObject({ ...statement, signature: signed }), body: draft.body })
}

/**
 * Checks form, body hash and the device's signature. Throws `bad-signature`, `hash-mismatch`, `too-large` or a decoding error.
 * That the device is certified by the author is shown by record 0 of its log (`checkLogOpening`).
 */
export function verifyRecord(record: SignedRecord): VerifiedRecord {
  const { fields, statement } = readEnvelope(record)
  if (!verifyBytes('record', statement, fields.signature, fields.device)) {
    throw new MeshError('bad-signature', "This record's signature is wrong.")
  }
  return { envelope: record.envelope, body: record.body, id: taggedId('record', statement), fields }
}

/**
 * For a record that was verified before it was stored under its id: whether these are still the same bytes. The id covers the envelope
 * without its signature, and the body through its hash; the signature itself is not looked at, which makes this several times as fast as
 * `verifyRecord`. Never for what somebody sent. Throws `hash-mismatch`, `too-large` or a decoding error.
 */
export function reopenRecord(stored: SignedRecord & { readonly id: Uint8Array }): VerifiedRecord {
  const record = readRecord(stored)
  if (bytesEqual(record.id, stored.id)) return record
  throw new MeshError('hash-mismatch', 'This record is not the one that was stored.')
}

/**
 * Form and body hash only: for bytes whose signature was checked before they were kept, or to see whether checking it is worth its price.
 * Never believe what it says of what somebody sent. Throws `hash-mismatch`, `too-large` or a decoding error.
 */
export function readRecord({ envelope, body }: SignedRecord): VerifiedRecord {
  const { fields, statement } = readEnvelope({ envelope, body })
  return { envelope, body, id: taggedId('record', statement), fields }
}

/** What a record's device signed, form and body hash checked. */
function readEnvelope({ envelope, body }: SignedRecord): { fields: RecordEnvelope; statement: Uint8Array } {
  const fields = decodeAs('record', envelopeSchema, envelope, limits.envelopeMaxBytes, 'malformed')
  if (body.length > limits.recordBodyMaxBytes) {
    throw new MeshError(
      'too-large',
      `This record's body has ${body.length} bytes; at most ${limits.recordBodyMaxBytes} are allowed.`,
    )
  }
  if (!bytesEqual(fields.bodyHash, taggedId('record-body', body))) {
    throw new MeshError('hash-mismatch', "This record's body is not the one its author signed.")
  }
  return { fields, statement: withoutEntry(envelope, 'signature') }
}
