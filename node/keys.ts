// The node's own keys. `init` makes a root seed (the identity) and a device seed, certifies the device, and signs the DHT item that
// names it; from then on only the device key is read, so the root key's file may as well lie in a safe.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import {
  MeshError,
  fromHex,
  identityToText,
  issueDeviceCertificate,
  keyPairFromSeed,
  readDevicesItem,
  signDevicesItem,
  toHex,
  verifyDeviceCertificate,
} from '../protocol/index.ts'
import type { Author, MutableItem } from '../protocol/index.ts'
import { errorCode, requirePrivate, unusable, writePrivateFile } from './private-file.ts'
import { defaultCost, openSecret, saltBytes, sealSecret } from './sealed-secret.ts'
import type { StretchCost } from './sealed-secret.ts'

const SEED_BYTES = 32

export interface NodeKeys {
  readonly author: Author
  /** 52 characters. */
  readonly identity: string
  /** BEP 44: names the device under the identity. */
  readonly devicesItem: MutableItem
}

export interface KeyMaker {
  readonly clock: () => number
  readonly random: (bytes: number) => Uint8Array
  readonly passphrase?: string | undefined
  readonly cost?: StretchCost
}

const identitySchema = z.strictObject({
  format: z.literal(1),
  certificate: z.string(),
  devices: z.strictObject({ seq: z.int(), value: z.string(), salt: z.string(), signature: z.string() }),
})

/** $LORA_MESH_PASSPHRASE; an empty one is none: it would protect nothing and be asked for ever after. */
export function passphraseFrom(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const given = environment['LORA_MESH_PASSPHRASE']
  return given === '' ? undefined : given
}

/** Whether `init` has been run in this key folder. */
export async function hasKeys(folder: string): Promise<boolean> {
  return (await readIfPresent(identityPath(folder))) !== undefined
}

/** Whether a root or device key is there, be it without `identity.json`. */
export async function hasKeyFiles(folder: string): Promise<boolean> {
  const files = await Promise.all([rootPath, devicePath].map((path) => readIfPresent(path(folder))))
  return files.some((text) => text !== undefined)
}

/** Makes the keys of a new identity, or completes one whose root key is there. Throws `already-exists` rather than overwrite one. */
export async function createKeys(folder: string, maker: KeyMaker): Promise<string> {
  if ((await readIfPresent(rootPath(folder))) !== undefined && (await hasKeys(folder))) {
    throw new MeshError('already-exists', `${folder} already holds an identity.`, { path: folder })
  }
  const now = maker.clock()
  // Keys without identity.json: `init` was cut off, or the file was lost. Whoever made new ones would be somebody else.
  const rootSeed = (await storedSeed(rootPath(folder), maker)) ?? maker.random(SEED_BYTES)
  const deviceSeed = (await storedSeed(devicePath(folder), maker)) ?? maker.random(SEED_BYTES)
  const root = keyPairFromSeed(rootSeed)
  const certificate = issueDeviceCertificate(root, keyPairFromSeed(deviceSeed).publicKey, now)
  const item = signDevicesItem([certificate], Math.floor(now / 1_000), root)
  const cost = maker.cost ?? defaultCost
  for (const [path, seed] of [
    [rootPath(folder), rootSeed],
    [devicePath(folder), deviceSeed],
  ] as const) {
    await writePrivateFile(path, sealSecret(seed, maker.passphrase, maker.random(saltBytes()), cost))
  }
  const devices = { seq: item.seq, value: toHex(item.value), salt: toHex(item.salt), signature: toHex(item.signature) }
  // Last: its presence says that the key files are complete.
  await writePrivateFile(identityPath(folder), JSON.stringify({ format: 1, certificate: toHex(certificate), devices }))
  return identityToText(root.publicKey)
}

async function storedSeed(path: string, { passphrase }: KeyMaker): Promise<Uint8Array | undefined> {
  const text = await readIfPresent(path)
  return text === undefined ? undefined : openSecret(text, passphrase, path)
}

/** The identity alone, which no passphrase guards. Throws `not-initialised`. */
export async function readIdentity(folder: string): Promise<string> {
  return identityToText((await readIdentityFile(folder)).identity)
}

/** Throws `not-initialised`, `bad-passphrase`, `bad-config`. */
export async function loadKeys(folder: string, passphrase: string | undefined): Promise<NodeKeys> {
  const { certificate, identity, deviceKey, devicesItem } = await readIdentityFile(folder)
  const path = devicePath(folder)
  const text = await readIfPresent(path)
  if (text === undefined) throw new MeshError('bad-config', `${path} is missing: restore it from a backup.`, { path })
  await requirePrivate(path)
  const device = keyPairFromSeed(openSecret(text, passphrase, path))
  if (toHex(device.publicKey) !== toHex(deviceKey)) {
    throw new MeshError(
      'bad-config',
      `${path} is not the device key that this identity certified: restore it from a backup.`,
      { path },
    )
  }
  return { author: { identity, device, certificate }, identity: identityToText(identity), devicesItem }
}

async function readIdentityFile(folder: string) {
  const path = identityPath(folder)
  const text = await readIfPresent(path)
  if (text === undefined) {
    throw new MeshError('not-initialised', 'This data folder has no identity yet: run `lora-mesh init` first.', {
      path,
    })
  }
  try {
    const stored = identitySchema.parse(JSON.parse(text))
    const certificate = fromHex(stored.certificate)
    const { identity, device } = verifyDeviceCertificate(certificate)
    const devicesItem: MutableItem = {
      publicKey: identity,
      seq: stored.devices.seq,
      salt: fromHex(stored.devices.salt),
      value: fromHex(stored.devices.value),
      signature: fromHex(stored.devices.signature),
    }
    readDevicesItem(devicesItem)
    return { certificate, identity, deviceKey: device, devicesItem }
  } catch (cause) {
    throw new MeshError('bad-config', `${path} is damaged: restore it from a backup.`, { path }, { cause })
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw unusable(error, path)
  }
}

const rootPath = (folder: string): string => join(folder, 'root')
const devicePath = (folder: string): string => join(folder, 'device')
const identityPath = (folder: string): string => join(folder, 'identity.json')
