// Who signs. An identity is an Ed25519 root key; it certifies device keys, and a device key signs day by day. Authors are named by
// the root key, so a device can be replaced without the author changing.
import { z } from 'zod'
import { fromBase32, toBase32 } from './bytes.ts'
import { MeshError } from './errors.ts'
import { decodeAs, encodeObject, publicKey, signature, timeMs } from './fields.ts'
import { limits } from './limits.ts'
import { signBytes, verifyBytes } from './signing.ts'
import type { KeyPair } from './signing.ts'

const identityTextLength = 52

const certificateSchema = z.strictObject({
  format: z.literal(1),
  identity: publicKey,
  device: publicKey,
  createdAt: timeMs,
  signature,
})

export type DeviceCertificate = z.infer<typeof certificateSchema>

/** Everything a node needs to sign in the name of an identity. The root secret key is not part of it. */
export interface Author {
  /** Root public key, 32 bytes. */
  readonly identity: Uint8Array
  readonly device: KeyPair
  /** Encoded device certificate. */
  readonly certificate: Uint8Array
}

/** 52 characters of base32. */
export function identityToText(identity: Uint8Array): string {
  return toBase32(identity)
}

/** Throws `malformed` unless `text` is an identity as `init` prints it. */
export function identityFromText(text: string): Uint8Array {
  if (text.length !== identityTextLength) {
    throw new MeshError(
      'malformed',
      `"${text.slice(0, 80)}" is not an identity: it must have ${identityTextLength} characters.`,
    )
  }
  return fromBase32(text)
}

/** The root key's statement that `device` may sign for it. */
export function issueDeviceCertificate(root: KeyPair, device: Uint8Array, createdAt: number): Uint8Array {
  const statement = { format: 1 as const, identity: root.publicKey, device, createdAt }
  return encodeObject({
    ...statement,
    signature: signBytes('device-certificate', encodeObject(statement), root.secretKey),
  })
}

/** The bytes of a certificate from its parts, whose signature is still to be checked. */
export function issuedCertificate(parts: Omit<DeviceCertificate, 'format'>): Uint8Array {
  return encodeObject({ format: 1, ...parts })
}

/** Throws `bad-certificate` (or a decoding error) unless the root key signed it. */
export function verifyDeviceCertificate(bytes: Uint8Array): DeviceCertificate {
  const certificate = decodeAs(
    'device certificate',
    certificateSchema,
    bytes,
    limits.certificateMaxBytes,
    'bad-certificate',
  )
  const { signature: signed, ...statement } = certificate
  if (!verifyBytes('device-certificate', encodeObject(statement), signed, certificate.identity)) {
    throw new MeshError('bad-certificate', 'This device certificate is not signed by the identity it names.', {
      identity: identityToText(certificate.identity),
    })
  }
  return certificate
}
