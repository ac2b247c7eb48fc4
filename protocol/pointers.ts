// What goes into the public DHT (BEP 44): small signed notes that lead from a publisher's key and a name to a release. They are hints:
// a reader asks several nodes, keeps the highest sequence number it ever saw, and checks everything else at the door.
import { z } from 'zod'
import { bytesEqual, concatBytes, utf8 } from './bytes.ts'
import { MeshError } from './errors.ts'
import { count, decodeAs, encodeObject, hash, infohash, someBytes, timeMs } from './fields.ts'
import { verifyDeviceCertificate } from './identity.ts'
import type { DeviceCertificate } from './identity.ts'
import { limits } from './limits.ts'
import { signRaw, taggedId, verifyRaw } from './signing.ts'
import type { KeyPair } from './signing.ts'

const devicesSchema = z.strictObject({
  format: z.literal(1),
  certificates: z.array(someBytes(limits.certificateMaxBytes)).min(1).max(4),
})

const releasePointerSchema = z.strictObject({
  format: z.literal(1),
  release: hash,
  infohash,
  /** Length of the publisher's public log when this was signed. */
  length: count,
  signedAt: timeMs,
  expiresAt: timeMs,
})

export type ReleasePointer = z.infer<typeof releasePointerSchema>

/** A BEP 44 mutable item. `value` is the byte string before bencoding. */
export interface MutableItem {
  readonly publicKey: Uint8Array
  readonly salt: Uint8Array
  readonly seq: number
  readonly value: Uint8Array
  readonly signature: Uint8Array
}

/** Under an identity's root key: its device certificates. */
export const devicesSalt: Uint8Array = utf8('devices')

/** Under a device key: the newest release of `name` for a base. 20 bytes. */
export function releaseSalt(name: string, baseId: Uint8Array): Uint8Array {
  return taggedId('pointer-salt', encodeObject([name, baseId])).slice(0, 20)
}

export function signDevicesItem(certificates: readonly Uint8Array[], seq: number, root: KeyPair): MutableItem {
  return signItem(devicesSalt, seq, encodeObject({ format: 1, certificates }), root)
}

/**
 * `seq` is at least the log length, and higher than that of every value signed before under this name: nodes of the DHT refuse another
 * value with an equal one, also when only the dates are new.
 */
export function signReleaseItem(
  name: string,
  baseId: Uint8Array,
  pointer: Omit<ReleasePointer, 'format'>,
  device: KeyPair,
  seq: number = pointer.length,
): MutableItem {
  return signItem(releaseSalt(name, baseId), seq, encodeObject({ format: 1, ...pointer }), device)
}

/** The certificates in an identity's `devices` item, each checked. Throws `bad-signature`, `bad-certificate` or a decoding error. */
export function readDevicesItem(item: MutableItem): DeviceCertificate[] {
  requireSigned(item)
  const { certificates } = decodeAs('device list', devicesSchema, item.value, limits.pointerMaxBytes, 'malformed')
  return certificates.map((bytes) => {
    const certificate = verifyDeviceCertificate(bytes)
    if (!bytesEqual(certificate.identity, item.publicKey)) {
      throw new MeshError('bad-certificate', 'This device list holds a certificate of another identity.')
    }
    return certificate
  })
}

/** Throws `bad-signature`, `malformed` or a decoding error. Whether it has expired is the caller's question: it has the clock. */
export function readReleaseItem(item: MutableItem): ReleasePointer {
  requireSigned(item)
  const pointer = decodeAs('release pointer', releasePointerSchema, item.value, limits.pointerMaxBytes, 'malformed')
  if (item.seq < pointer.length)
    throw new MeshError('malformed', 'This release pointer has a sequence number below its log length.')
  if (pointer.expiresAt < pointer.signedAt || pointer.expiresAt - pointer.signedAt > limits.pointerLifetimeMs) {
    throw new MeshError('malformed', 'This release pointer claims an impossible lifetime.')
  }
  return pointer
}

/** The bytes BEP 44 signs: `4:salt<n>:<salt>3:seqi<seq>e1:v<n>:<value>`, the salt part absent when empty. */
export function mutableItemBytes(item: Pick<MutableItem, 'salt' | 'seq' | 'value'>): Uint8Array {
  const salt = item.salt.length > 0 ? concatBytes(utf8(`4:salt${item.salt.length}:`), item.salt) : new Uint8Array()
  return concatBytes(salt, utf8(`3:seqi${item.seq}e1:v${item.value.length}:`), item.value)
}

export function verifyMutableItem(item: MutableItem): boolean {
  return verifyRaw(mutableItemBytes(item), item.signature, item.publicKey)
}

function signItem(salt: Uint8Array, seq: number, value: Uint8Array, key: KeyPair): MutableItem {
  if (value.length > limits.pointerMaxBytes) throw new Error(`a pointer of ${value.length} bytes does not fit BEP 44`)
  const signature = signRaw(mutableItemBytes({ salt, seq, value }), key.secretKey)
  return { publicKey: key.publicKey, salt, seq, value, signature }
}

function requireSigned(item: MutableItem): void {
  if (item.salt.length > limits.pointerSaltMaxBytes)
    throw new MeshError('malformed', 'This DHT item has too long a salt.')
  if (!verifyMutableItem(item)) throw new MeshError('bad-signature', 'The signature of this DHT item is wrong.')
}
