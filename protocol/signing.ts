// Hashes and the one signature verifier. Nodes with different verifiers disagree about edge cases (cofactors, small-order keys,
// S >= L), and then about the same record: libsodium's rules are the protocol's rules, and nothing else in the project verifies.
import { createHash } from 'node:crypto'
import sodium from 'sodium-native'
import { concatBytes, utf8 } from './bytes.ts'

export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes: seed, then public key. */
  readonly secretKey: Uint8Array
}

export const publicKeyBytes = 32
export const signatureBytes = 64
export const hashBytes = 32

/** What a signature or id is for. The purpose is part of the signed bytes, so nothing signed as one thing passes as another. */
export type Purpose =
  | 'device-certificate'
  | 'manifest'
  | 'release'
  | 'genesis'
  | 'community'
  | 'community-link'
  | 'record'
  | 'record-body'
  | 'base'
  | 'tokenizer'
  | 'lockfile'
  | 'lockfile-key'
  | 'persona-link'
  | 'stack'
  | 'topic-community'
  | 'topic-capability'
  | 'topic-persona'
  | 'pointer-salt'
  | 'state'
  | 'invitation'
  | 'invitation-link'
  | 'invitation-key'
  | 'decision'
  | 'subject'
  | 'log-export'

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}

/** SHA-256 of "lora-mesh/<purpose>/1", a zero byte and `bytes`: 32 bytes. */
export function taggedId(purpose: Purpose, bytes: Uint8Array): Uint8Array {
  return sha256(taggedBytes(purpose, bytes))
}

/** Ed25519 (RFC 8032) keys from a 32-byte seed. */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
  if (seed.length !== 32) throw new Error(`an Ed25519 seed has 32 bytes, not ${seed.length}`)
  const publicKey = Buffer.alloc(publicKeyBytes)
  const secretKey = Buffer.alloc(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, Buffer.from(seed))
  return { publicKey: new Uint8Array(publicKey), secretKey: new Uint8Array(secretKey) }
}

/** Signature over the purpose tag and `bytes`: 64 bytes. */
export function signBytes(purpose: Purpose, bytes: Uint8Array, secretKey: Uint8Array): Uint8Array {
  return signRaw(taggedBytes(purpose, bytes), secretKey)
}

/** Whether `signature` is `publicKey`'s over the purpose tag and `bytes`. Never throws: wrong lengths are just wrong. */
export function verifyBytes(
  purpose: Purpose,
  bytes: Uint8Array,
  signature: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  return verifyRaw(taggedBytes(purpose, bytes), signature, publicKey)
}

/** Ed25519 without a purpose tag, for what other protocols define (BEP 44). Their buffers never start with our tag. */
export function signRaw(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
  const signature = Buffer.alloc(signatureBytes)
  sodium.crypto_sign_detached(signature, Buffer.from(message), Buffer.from(secretKey))
  return new Uint8Array(signature)
}

/** See `signRaw`. Lengths are checked first: the library throws on short signatures and reads only 64 bytes of long ones. */
export function verifyRaw(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== signatureBytes || publicKey.length !== publicKeyBytes) return false
  return sodium.crypto_sign_verify_detached(Buffer.from(signature), Buffer.from(message), Buffer.from(publicKey))
}

function taggedBytes(purpose: Purpose, bytes: Uint8Array): Uint8Array {
  return concatBytes(utf8(`lora-mesh/${purpose}/1`), Uint8Array.of(0), bytes)
}
