// Valid defaults for tests: authors, releases, records, and whole meshes of registries in one process.
import { createHash } from 'node:crypto'
import {
  createRecord,
  encodeBody,
  issueDeviceCertificate,
  keyPairFromSeed,
  noPrevious,
  sha256,
  signManifest,
  utf8,
} from '../../protocol/index.ts'
import type { Author, KeyPair, SignedManifest, VerifiedRecord } from '../../protocol/index.ts'
import { aManifest, someTimeMs } from '../../testing/objects.ts'
import { systemClock } from '../clock.ts'
import type { MemoryMesh, MemoryNode } from '../memory-exchange.ts'
import { openRegistry } from '../open-registry.ts'
import type { Registry } from '../open-registry.ts'
import type { RegistryOptions } from '../registry-types.ts'
import type { RandomBytes } from '../ports.ts'

export const baseA: Uint8Array = sha256(utf8('base A'))
export const baseB: Uint8Array = sha256(utf8('base B'))

function rootOf(name: string): KeyPair {
  return keyPairFromSeed(sha256(utf8(`root of ${name}`)))
}

/** `anAuthor`'s identity, for who signs no record. */
export function identityOf(name: string): Uint8Array {
  return rootOf(name).publicKey
}

/** The same name gives the same keys. */
export function anAuthor(name: string, device = 'laptop'): Author {
  const root = rootOf(name)
  const deviceKeys = keyPairFromSeed(sha256(utf8(`${device} of ${name}`)))
  return {
    identity: root.publicKey,
    device: deviceKeys,
    certificate: issueDeviceCertificate(root, deviceKeys.publicKey, someTimeMs),
  }
}

export interface ReleaseFacts {
  readonly name?: string
  readonly version?: string
  readonly baseId?: Uint8Array
  readonly summary?: string
  readonly capability?: string
}

export function aRelease(author: Author, facts: ReleaseFacts = {}): SignedManifest {
  const name = facts.name ?? 'recipes'
  const manifest = aManifest({}, author)
  return signManifest(
    {
      ...manifest,
      name,
      version: facts.version ?? '1.0.0',
      base: { ...manifest.base, id: facts.baseId ?? baseA },
      summary: facts.summary ?? 'writes cooking recipes',
      capabilities: [{ name: facts.capability ?? name, description: 'what it is for' }],
    },
    author,
  )
}

/** 20 bytes that follow from the release. */
export function infohashOf(release: SignedManifest): Uint8Array {
  return release.releaseId.slice(0, 20)
}

export interface Said {
  readonly type: string
  readonly body: Uint8Array
}

export function saysRelease(release: SignedManifest): Said {
  const body = encodeBody('release/1', { sealedManifest: release.sealed, infohash: infohashOf(release) })
  return { type: 'release/1', body }
}

export function saysWithdrawal(release: SignedManifest, reason = 'broken'): Said {
  return { type: 'withdrawal/1', body: encodeBody('withdrawal/1', { release: release.releaseId, reason }) }
}

export function saysJob(capability: string, nonce = capability): Said {
  const body = {
    capability,
    description: 'somebody wants it',
    base: { id: baseA, label: 'tiny base' },
    nonce: sha256(utf8(nonce)).slice(0, 16),
  }
  return { type: 'job/1', body: encodeBody('job/1', body) }
}

export function saysUnknown(text: string): Said {
  return { type: 'poem/7', body: utf8(text) }
}

/** A whole log: its opening, then what was said. */
export function aLog(author: Author, scope: string, said: readonly Said[]): VerifiedRecord[] {
  const opening = { type: 'log/1', body: encodeBody('log/1', { certificate: author.certificate }) }
  return continueLog(author, scope, [], [opening, ...said])
}

/** The records that follow `log`. */
export function continueLog(
  author: Author,
  scope: string,
  log: readonly VerifiedRecord[],
  said: readonly Said[],
): VerifiedRecord[] {
  let previous = log.at(-1)?.id ?? noPrevious
  return said.map(({ type, body }, i) => {
    const record = createRecord({ scope, index: log.length + i, previous, type, time: someTimeMs + i, body }, author)
    previous = record.id
    return record
  })
}

/** Bytes that look random and are the same in every run. */
export function countedRandom(seed: string): RandomBytes {
  let count = 0
  return (length) => {
    const digest = createHash('sha512').update(`${seed} ${count++}`).digest()
    return new Uint8Array(digest.subarray(0, length))
  }
}

export interface TestNode extends AsyncDisposable {
  readonly name: string
  readonly author: Author
  readonly network: MemoryNode
  readonly registry: Registry
}

export interface TestNodeOptions extends Partial<Omit<RegistryOptions, 'author' | 'network'>> {
  readonly transferKey?: Uint8Array
  readonly author?: Author
}

/** A node with its own database and network membership, started. */
export async function aNode(mesh: MemoryMesh, name: string, options: TestNodeOptions = {}): Promise<TestNode> {
  const { transferKey = sha256(utf8(`transfer key of ${name}`)), ...rest } = options
  const author = options.author ?? anAuthor(name)
  const network = mesh.node({ id: `${name} ${nodeCount++}`, transferKey })
  const registry = openRegistry({
    path: ':memory:',
    clock: systemClock,
    random: countedRandom(name),
    ...rest,
    author,
    network,
  })
  await registry.start()
  return {
    name,
    author,
    network,
    registry,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]()
      await network[Symbol.asyncDispose]()
    },
  }
}

let nodeCount = 0
