// The record bodies this version understands. A body that doesn't fit its type's schema is like an unknown type: kept and passed on,
// without effect. (Refusing it would cut off the rest of its author's log.)
import { z } from 'zod'
import { bytesEqual } from './bytes.ts'
import { isMeshError, MeshError } from './errors.ts'
import { bareName, count, decodeAs, encodeObject, fixedBytes, hash, infohash, plainText, someBytes } from './fields.ts'
import { verifyDeviceCertificate } from './identity.ts'
import { limits } from './limits.ts'
import { governanceBodySchemas } from './governance-bodies.ts'
import { openManifest } from './manifest.ts'
import type { SignedManifest } from './manifest.ts'
import type { VerifiedRecord } from './record.ts'

const bodySchemas = {
  /** Record 0 of every log: why this device may speak for this author. */
  'log/1': z.strictObject({ certificate: someBytes(limits.certificateMaxBytes) }),
  /** A release: its sealed manifest and the infohash of its torrent (a transport hint). */
  'release/1': z.strictObject({ sealedManifest: someBytes(limits.sealedMaxBytes), infohash }),
  /** The publisher no longer recommends a release. */
  'withdrawal/1': z.strictObject({ release: hash, reason: plainText(limits.reasonMaxChars) }),
  /** Bytes that turn one adapter file of the same author into another, exactly. */
  'patch/1': z.strictObject({
    from: hash,
    to: hash,
    sha256: hash,
    bytes: count.min(1).max(limits.adapterMaxBytes),
    codec: bareName,
    infohash,
  }),
  /** A synthesis job: somebody wants a capability that no release covers. `description` is all that was derived from a request. */
  'job/1': z.strictObject({
    capability: bareName,
    description: plainText(limits.descriptionMaxChars),
    base: z.strictObject({ id: hash, label: plainText(limits.labelMaxChars) }),
    nonce: fixedBytes(16),
  }),
  ...governanceBodySchemas,
} as const

export type RecordType = keyof typeof bodySchemas
export type RecordBody<T extends RecordType> = z.infer<(typeof bodySchemas)[T]>

/** A body that was read, or why it has no effect. */
export type ReadBody =
  | { [T in RecordType]: { readonly type: T; readonly body: RecordBody<T> } }[RecordType]
  | { readonly type: 'unknown' }
  | { readonly type: 'invalid'; readonly reason: string }

export function encodeBody<T extends RecordType>(type: T, body: RecordBody<T>): Uint8Array {
  const bytes = encodeObject(body)
  decodeAs(`${type} record`, bodySchemas[type] as z.ZodType, bytes, limits.recordBodyMaxBytes, 'malformed')
  return bytes
}

export function readBody(record: VerifiedRecord): ReadBody {
  const type = record.fields.type
  if (!Object.hasOwn(bodySchemas, type)) return { type: 'unknown' }
  try {
    const body = decodeAs(
      `${type} record`,
      bodySchemas[type as RecordType] as z.ZodType,
      record.body,
      limits.recordBodyMaxBytes,
      'malformed',
    )
    return { type, body } as ReadBody
  } catch (error) {
    if (!isMeshError(error)) throw error
    return { type: 'invalid', reason: error.message }
  }
}

/** The release a record announces, its manifest's signature checked, or why the record has no effect. */
export function readRelease(
  record: VerifiedRecord,
):
  | { readonly kind: 'release'; readonly release: SignedManifest; readonly infohash: Uint8Array }
  | { readonly kind: 'void'; readonly reason: string } {
  const read = readBody(record)
  if (read.type !== 'release/1')
    return { kind: 'void', reason: read.type === 'invalid' ? read.reason : 'not a release record' }
  try {
    const release = openManifest(read.body.sealedManifest)
    if (!bytesEqual(release.manifest.publisher, record.fields.author)) {
      return { kind: 'void', reason: 'the manifest is of another publisher than the log' }
    }
    return { kind: 'release', release, infohash: read.body.infohash }
  } catch (error) {
    if (!isMeshError(error)) throw error
    return { kind: 'void', reason: error.message }
  }
}

/** Checks record 0 of a log: throws `bad-certificate` unless it certifies the record's device for the record's author. */
export function checkLogOpening(record: VerifiedRecord): void {
  const read = readBody(record)
  if (record.fields.index !== 0 || read.type !== 'log/1') {
    throw new MeshError('bad-certificate', 'The first record of this log is not a device certificate.')
  }
  const certificate = verifyDeviceCertificate(read.body.certificate)
  if (
    !bytesEqual(certificate.device, record.fields.device) ||
    !bytesEqual(certificate.identity, record.fields.author)
  ) {
    throw new MeshError('bad-certificate', 'The certificate in this log is for another device or author.')
  }
}
