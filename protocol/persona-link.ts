// A persona link names a lockfile by its digest, and who signed the releases in it. Holders meet on a topic that follows from the digest,
// so nothing of an address is in the link, and whoever shares the same persona prints the same one. The link is also the key: the lockfile
// travels encrypted under the digest, of which the topic, all that the DHT shows, tells nothing.
import sodium from 'sodium-native'
import { bytesEqual, concatBytes, fromBase32, toBase32 } from './bytes.ts'
import { MeshError, isMeshError } from './errors.ts'
import { identityToText } from './identity.ts'
import { limits } from './limits.ts'
import { hashBytes, taggedId } from './signing.ts'

const linkPrefix = 'loramesh:persona:'
/** Of an identity, as a link carries it: exactly the first 16 characters of its text. */
const signerBytes = 10
const checkBytes = 3

export interface PersonaLink {
  /** Of the lockfile, 32 bytes. */
  readonly digest: Uint8Array
  /** The first 16 characters of the identity text of each publisher whose releases are in it; sorted, without repeats. */
  readonly signers: readonly string[]
}

/** One line: 73 characters, and 16 more for each signer. `publishers`: identities of 32 bytes, in any order. */
export function personaLink(digest: Uint8Array, publishers: readonly Uint8Array[]): string {
  const signers = [...new Set(publishers.map(signerName))].toSorted()
  if (signers.length > limits.signersPerLinkMax) throw new Error(`${signers.length} signers do not fit a link`)
  const named = concatBytes(digest, ...signers.map((signer) => fromBase32(signer)))
  return linkPrefix + toBase32(concatBytes(named, linkCheck(named)))
}

/** How links name a publisher. */
export function signerName(identity: Uint8Array): string {
  return identityToText(identity).slice(0, (signerBytes * 8) / 5)
}

/** Throws `malformed` with what a link looks like. */
export function openPersonaLink(link: string): PersonaLink {
  const text = link.trim()
  const bytes = text.startsWith(linkPrefix) ? bytesOf(text.slice(linkPrefix.length)) : undefined
  const named = bytes?.slice(0, -checkBytes)
  const opened = named && readNamed(named)
  if (opened === undefined || !bytesEqual(bytes!.slice(-checkBytes), linkCheck(named!))) {
    throw new MeshError(
      'malformed',
      `"${text.slice(0, 100)}" is not a persona link, or was cut or mistyped. It looks like ${linkPrefix}abc… and is printed by "share".`,
    )
  }
  return opened
}

function readNamed(named: Uint8Array): PersonaLink | undefined {
  const count = (named.length - hashBytes) / signerBytes
  if (!Number.isInteger(count) || count < 0 || count > limits.signersPerLinkMax) return undefined
  const signers = Array.from({ length: count }, (_, i) =>
    toBase32(named.slice(hashBytes + i * signerBytes, hashBytes + (i + 1) * signerBytes)),
  )
  const sorted = signers.every((signer, i) => i === 0 || signers[i - 1]! < signer)
  return sorted ? { digest: named.slice(0, hashBytes), signers } : undefined
}

/** 3 bytes: links are also copied by hand, and nobody answers for a digest that doesn't exist. */
function linkCheck(named: Uint8Array): Uint8Array {
  return taggedId('persona-link', named).slice(0, checkBytes)
}

function bytesOf(text: string): Uint8Array | undefined {
  try {
    return fromBase32(text)
  } catch (error) {
    if (isMeshError(error, 'malformed')) return undefined
    throw error
  }
}

/** Where holders of a lockfile and those who were given its link meet. */
export function personaTopic(digest: Uint8Array): Uint8Array {
  return taggedId('topic-persona', digest)
}

// Each key covers one plaintext only, the one with this digest, so the nonce may be the same every time.
const nonce = Buffer.alloc(24)
const macBytes = 16

/** A lockfile's canonical bytes as they travel (XSalsa20-Poly1305): 16 bytes longer, readable with the link only. */
export function coverLockfile(digest: Uint8Array, bytes: Uint8Array): Uint8Array {
  const covered = Buffer.alloc(bytes.length + macBytes)
  sodium.crypto_secretbox_easy(covered, Buffer.from(bytes), nonce, coverKey(digest))
  return new Uint8Array(covered)
}

/** The bytes with this digest, not parsed yet. Throws `hash-mismatch` for any others. */
export function uncoverLockfile(digest: Uint8Array, covered: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(Math.max(0, covered.length - macBytes))
  const opened =
    covered.length >= macBytes &&
    sodium.crypto_secretbox_open_easy(bytes, Buffer.from(covered), nonce, coverKey(digest)) &&
    bytesEqual(taggedId('lockfile', bytes), digest)
  if (!opened) throw new MeshError('hash-mismatch', 'This is not the lockfile that the link names.')
  return new Uint8Array(bytes)
}

function coverKey(digest: Uint8Array): Buffer {
  return Buffer.from(taggedId('lockfile-key', digest))
}
