// Valid signed objects for tests: every builder takes what the test cares about and fills in the rest. All deterministic.
import {
  createGenesis,
  createRecord,
  defaultRules,
  encodeBody,
  issueDeviceCertificate,
  keyPairFromSeed,
  noPrevious,
} from '../protocol/index.ts'
import type {
  Author,
  Genesis,
  KeyPair,
  Manifest,
  OpenedGenesis,
  RecordBody,
  RecordType,
  Scope,
  VerifiedRecord,
} from '../protocol/index.ts'

/** A fixed date for signed objects: 2026-01-02T03:04:05Z. */
export const someTimeMs = 1_767_323_045_000

/** 32 bytes that differ per number. */
export function aHash(n: number): Uint8Array {
  return new Uint8Array(32).fill(n)
}

export function aRootKey(n: number): KeyPair {
  return keyPairFromSeed(aHash(n))
}

/** The author whose root seed is 32 bytes of `n` and whose device seed is 32 bytes of `n + 128`. */
export function anAuthor(n = 1): Author {
  const root = aRootKey(n)
  const device = keyPairFromSeed(aHash(n + 128))
  return {
    identity: root.publicKey,
    device,
    certificate: issueDeviceCertificate(root, device.publicKey, someTimeMs),
  }
}

export function aManifest(overrides: Partial<Manifest> = {}, author: Author = anAuthor()): Manifest {
  return {
    schema: 1,
    name: 'biology',
    version: '1.0.0',
    publisher: author.identity,
    base: { id: aHash(11), tokenizer: aHash(12), label: 'tiny llama', evaluatedOn: [aHash(13)] },
    summary: 'answers questions about cells',
    capabilities: [{ name: 'biology', description: 'cells, plants and animals' }],
    tags: ['science'],
    licence: 'CC0-1.0',
    requires: [],
    adapter: {
      bytes: 4096,
      sha256: aHash(14),
      rank: 8,
      alpha: 16_000_000,
      targets: ['attn_k', 'attn_q'],
      dtype: 'F32',
    },
    use: { scale: 1_000_000, scaleRange: [0, 2_000_000] },
    probe: Array.from({ length: 8 }, (_, i) => ({
      tokens: [1, 2 + i, 3],
      baseNll: 5_000_000 + i,
      adapterNll: 2_000_000 + i,
    })),
    evaluations: [],
    lineage: { method: 'trained', parents: [] },
    createdAt: someTimeMs,
    ...overrides,
  }
}

export function aGenesis(overrides: Partial<Genesis> = {}, author: Author = anAuthor()): OpenedGenesis {
  return createGenesis(
    {
      format: 1,
      name: 'kitchen',
      rules: defaultRules,
      members: [{ identity: author.identity, role: 'admin' }],
      createdAt: someTimeMs,
      nonce: new Uint8Array(16).fill(7),
      ...overrides,
    },
    author,
  )
}

/** What follows the opening record in `aLog`: a known body, or raw bytes under any type. */
export type LogEntry =
  | { [T in RecordType]: { readonly type: T; readonly body: RecordBody<T> } }[RecordType]
  | { readonly type: string; readonly bytes: Uint8Array }

/** A whole valid log: the opening record and one record per entry. */
export function aLog(
  entries: readonly LogEntry[],
  scope: Scope = 'public',
  author: Author = anAuthor(),
): VerifiedRecord[] {
  const bodies = [
    { type: 'log/1', body: encodeBody('log/1', { certificate: author.certificate }) },
    ...entries.map((entry) => ({
      type: entry.type,
      body: 'bytes' in entry ? entry.bytes : encodeBody(entry.type as 'log/1', entry.body as RecordBody<'log/1'>),
    })),
  ]
  const log: VerifiedRecord[] = []
  for (const [index, { type, body }] of bodies.entries()) {
    const previous = log.at(-1)?.id ?? noPrevious
    log.push(createRecord({ scope, index, previous, type, time: someTimeMs + index, body }, author))
  }
  return log
}
