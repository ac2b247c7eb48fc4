// A secret at rest: plain in a file that only its owner can read, or under a passphrase: Argon2id stretches it to a key, libsodium's
// secretstream (XChaCha20-Poly1305) encrypts with that.
import sodium from 'sodium-native'
import { z } from 'zod'
import { MeshError, fromHex, toHex } from '../protocol/index.ts'

interface PasswordSealing {
  readonly crypto_pwhash_SALTBYTES: number
  readonly crypto_pwhash_OPSLIMIT_MODERATE: number
  readonly crypto_pwhash_MEMLIMIT_MODERATE: number
  readonly crypto_pwhash_ALG_ARGON2ID13: number
  crypto_pwhash(
    key: Buffer,
    passphrase: Buffer,
    salt: Buffer,
    operations: number,
    memory: number,
    algorithm: number,
  ): void
  readonly crypto_secretstream_xchacha20poly1305_STATEBYTES: number
  readonly crypto_secretstream_xchacha20poly1305_HEADERBYTES: number
  readonly crypto_secretstream_xchacha20poly1305_KEYBYTES: number
  readonly crypto_secretstream_xchacha20poly1305_ABYTES: number
  readonly crypto_secretstream_xchacha20poly1305_TAG_FINAL: number
  crypto_secretstream_xchacha20poly1305_init_push(state: Buffer, header: Buffer, key: Buffer): void
  crypto_secretstream_xchacha20poly1305_push(
    state: Buffer,
    cipher: Buffer,
    message: Buffer,
    extra: Buffer | null,
    tag: number,
  ): number
  crypto_secretstream_xchacha20poly1305_init_pull(state: Buffer, header: Buffer, key: Buffer): void
  crypto_secretstream_xchacha20poly1305_pull(
    state: Buffer,
    message: Buffer,
    tag: Buffer,
    cipher: Buffer,
    extra: Buffer | null,
  ): number
}
const library = sodium as typeof sodium & PasswordSealing

/** How much work a guess at the passphrase costs: passes over the memory, and bytes of memory. */
export interface StretchCost {
  readonly operations: number
  readonly memoryBytes: number
}

/** libsodium's "moderate": about a second and 256 MiB. */
export const defaultCost: StretchCost = {
  operations: library.crypto_pwhash_OPSLIMIT_MODERATE,
  memoryBytes: library.crypto_pwhash_MEMLIMIT_MODERATE,
}

const hex = z
  .string()
  .regex(/^(?:[0-9a-f]{2})+$/)
  .max(1_024)
const secretSchema = z.discriminatedUnion('kind', [
  z.strictObject({ format: z.literal(1), kind: z.literal('plain'), secret: hex }),
  z.strictObject({
    format: z.literal(1),
    kind: z.literal('passphrase'),
    salt: hex,
    operations: z.int().min(1).max(64),
    memoryBytes: z
      .int()
      .min(8_192)
      .max(2 ** 31),
    header: hex,
    cipher: hex,
  }),
])

export type SecretText = string

/** The text of a key file. `salt` must be fresh random bytes; it is used only with a passphrase. */
export function sealSecret(
  secret: Uint8Array,
  passphrase: string | undefined,
  salt: Uint8Array,
  cost: StretchCost,
): SecretText {
  if (passphrase === undefined) return JSON.stringify({ format: 1, kind: 'plain', secret: toHex(secret) })
  const key = stretch(passphrase, salt, cost)
  const state = Buffer.alloc(library.crypto_secretstream_xchacha20poly1305_STATEBYTES)
  const header = Buffer.alloc(library.crypto_secretstream_xchacha20poly1305_HEADERBYTES)
  library.crypto_secretstream_xchacha20poly1305_init_push(state, header, key)
  const cipher = Buffer.alloc(secret.length + library.crypto_secretstream_xchacha20poly1305_ABYTES)
  library.crypto_secretstream_xchacha20poly1305_push(
    state,
    cipher,
    Buffer.from(secret),
    null,
    library.crypto_secretstream_xchacha20poly1305_TAG_FINAL,
  )
  return JSON.stringify({
    format: 1,
    kind: 'passphrase',
    salt: toHex(salt),
    operations: cost.operations,
    memoryBytes: cost.memoryBytes,
    header: toHex(header),
    cipher: toHex(cipher),
  })
}

/** Throws `bad-passphrase` when one is needed and absent or wrong, `bad-config` when the file `path` is damaged. */
export function openSecret(text: SecretText, passphrase: string | undefined, path: string): Uint8Array {
  const stored = parseSecret(text, path)
  if (stored.kind === 'plain') return fromHex(stored.secret)
  if (passphrase === undefined) {
    throw new MeshError(
      'bad-passphrase',
      'The keys are protected: set LORA_MESH_PASSPHRASE to their passphrase, then try again.',
      { path },
    )
  }
  const secret = pull(stored, passphrase)
  if (secret === undefined)
    throw new MeshError('bad-passphrase', 'This passphrase does not open the keys: try again.', { path })
  return secret
}

export function saltBytes(): number {
  return library.crypto_pwhash_SALTBYTES
}

function parseSecret(text: SecretText, path: string): z.infer<typeof secretSchema> {
  try {
    return secretSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new MeshError('bad-config', `${path} is damaged: restore it from a backup.`, { path }, { cause })
  }
}

function pull(
  stored: Extract<z.infer<typeof secretSchema>, { kind: 'passphrase' }>,
  passphrase: string,
): Uint8Array | undefined {
  const cipher = Buffer.from(stored.cipher, 'hex')
  const length = cipher.length - library.crypto_secretstream_xchacha20poly1305_ABYTES
  const header = Buffer.from(stored.header, 'hex')
  const salt = Buffer.from(stored.salt, 'hex')
  if (
    length < 0 ||
    header.length !== library.crypto_secretstream_xchacha20poly1305_HEADERBYTES ||
    salt.length !== saltBytes()
  )
    return undefined
  const key = stretch(passphrase, salt, { operations: stored.operations, memoryBytes: stored.memoryBytes })
  const state = Buffer.alloc(library.crypto_secretstream_xchacha20poly1305_STATEBYTES)
  const message = Buffer.alloc(length)
  const tag = Buffer.alloc(1)
  try {
    library.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)
    library.crypto_secretstream_xchacha20poly1305_pull(state, message, tag, cipher, null)
  } catch {
    // The library throws when the authentication fails: a wrong passphrase or changed bytes.
    return undefined
  }
  return tag[0] === library.crypto_secretstream_xchacha20poly1305_TAG_FINAL ? new Uint8Array(message) : undefined
}

function stretch(passphrase: string, salt: Uint8Array, cost: StretchCost): Buffer {
  const key = Buffer.alloc(library.crypto_secretstream_xchacha20poly1305_KEYBYTES)
  library.crypto_pwhash(
    key,
    Buffer.from(passphrase.normalize('NFKC')),
    Buffer.from(salt),
    cost.operations,
    cost.memoryBytes,
    library.crypto_pwhash_ALG_ARGON2ID13,
  )
  return key
}
