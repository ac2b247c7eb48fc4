// A signed object that stands alone: its payload, who signed it, and the certificate that lets them. Release manifests and community
// genesis blocks travel like this, so that whoever holds one can check it without any log.
import { z } from 'zod'
import { MeshError } from './errors.ts'
import { decodeAs, encodeObject, signature, someBytes } from './fields.ts'
import { identityToText, verifyDeviceCertificate } from './identity.ts'
import type { Author } from './identity.ts'
import { limits } from './limits.ts'
import { signBytes, verifyBytes } from './signing.ts'

export type SealPurpose = 'manifest' | 'genesis'

const sealedSchema = z.strictObject({
  format: z.literal(1),
  payload: someBytes(limits.genesisMaxBytes),
  certificate: someBytes(limits.certificateMaxBytes),
  signature,
})

export interface OpenedSeal {
  readonly payload: Uint8Array
  /** Root public key of the signer, 32 bytes. */
  readonly identity: Uint8Array
  /** Device public key that signed, 32 bytes. */
  readonly device: Uint8Array
}

export function seal(purpose: SealPurpose, payload: Uint8Array, author: Author): Uint8Array {
  return encodeObject({
    format: 1,
    payload,
    certificate: author.certificate,
    signature: signBytes(purpose, payload, author.device.secretKey),
  })
}

/** What a sealed object says, before anybody asked who signed it. Throws a decoding error. */
export function sealedPayload(purpose: SealPurpose, bytes: Uint8Array): Uint8Array {
  return decodeSealed(purpose, bytes).payload
}

/** Throws `bad-signature`, `bad-certificate` or a decoding error unless a certified device signed the payload for `purpose`. */
export function openSealed(purpose: SealPurpose, bytes: Uint8Array): OpenedSeal {
  const sealed = decodeSealed(purpose, bytes)
  const { identity, device } = verifyDeviceCertificate(sealed.certificate)
  if (!verifyBytes(purpose, sealed.payload, sealed.signature, device)) {
    throw new MeshError('bad-signature', `The signature of this ${purpose} is wrong.`, {
      identity: identityToText(identity),
    })
  }
  return { payload: sealed.payload, identity, device }
}

function decodeSealed(purpose: SealPurpose, bytes: Uint8Array): z.infer<typeof sealedSchema> {
  return decodeAs(`signed ${purpose}`, sealedSchema, bytes, limits.sealedMaxBytes, 'malformed')
}
