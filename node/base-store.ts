// The base models this node knows: files of the user's, used where they lie. One of them is in use. Kept in bases.json.
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { z } from 'zod'
import { inspectBase, sha256File } from '../model-files/index.ts'
import type { BaseInfo, DigestProgress } from '../model-files/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import { errorCode, unusable, writePrivateFile } from './private-file.ts'
import { waitFor } from './wait-for.ts'

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const baseSchema = z.strictObject({
  /** Base id: equal for all quantisations of one model. */
  id: hash,
  tokenizer: hash,
  label: z.string(),
  architecture: z.string(),
  /** SHA-256 of the file. */
  file: hash,
  path: z.string(),
  bytes: z.int().min(1),
  /** As the digest was taken: a file with other ones is read again. */
  modifiedMs: z.number(),
})
const storeSchema = z.strictObject({
  format: z.literal(1),
  /** Digest of the file in use. */
  use: hash.optional(),
  bases: z.array(baseSchema),
})

export type KnownBase = z.infer<typeof baseSchema>
type Stored = z.infer<typeof storeSchema>

export interface BaseStore {
  list(): readonly KnownBase[]
  /** The one in use; undefined while there is none. */
  current(): KnownBase | undefined
  /** Reads, names and keeps a file; the first one is used. Throws what `inspectBase` throws. */
  add(path: string, options: AddOptions): Promise<KnownBase>
  /** By label, path, or the first digits of base id or file digest. Throws `not-found`, `bad-input` if it fits several. */
  find(name: string): KnownBase
  use(name: string): Promise<KnownBase>
  remove(name: string): Promise<KnownBase>
  /** What adapters are checked against; read once per file. Throws `hash-mismatch` when the file is no longer the one that was added. */
  info(base: KnownBase, signal?: AbortSignal): Promise<BaseInfo>
  /** Number of additions so far. */
  additions(): number
  /** Waits until there were more additions than `seen`; false after `atMostMs`. Rejects with the signal's reason. */
  addedSince(seen: number, atMostMs: number, signal: AbortSignal): Promise<boolean>
}

export interface AddOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: DigestProgress) => void
}

export async function openBaseStore(path: string): Promise<BaseStore> {
  let stored = await read(path)
  const infos = new Map<string, Promise<BaseInfo>>()
  const waiting = new Set<() => void>()
  let additions = 0
  const write = async (next: Stored): Promise<void> => {
    await writePrivateFile(path, `${JSON.stringify(next, null, 2)}\n`)
    stored = next
  }
  const store: BaseStore = {
    list: () => stored.bases,
    current: () => stored.bases.find(({ file }) => file === stored.use),
    async add(file, options) {
      const base = await describe(resolve(file), options)
      const others = stored.bases.filter((other) => other.file !== base.file)
      await write({ ...stored, use: stored.use ?? base.file, bases: [...others, base] })
      infos.delete(base.file)
      additions += 1
      for (const wake of waiting) wake()
      return base
    },
    find: (name) => findBase(stored.bases, name),
    async use(name) {
      const base = store.find(name)
      await write({ ...stored, use: base.file })
      return base
    },
    async remove(name) {
      const base = store.find(name)
      const bases = stored.bases.filter(({ file }) => file !== base.file)
      const use = stored.use === base.file ? bases[0]?.file : stored.use
      await write({ format: 1, bases, ...(use === undefined ? {} : { use }) })
      return base
    },
    async info(base, signal) {
      await requireUnchanged(base)
      const known = infos.get(base.file) ?? inspectBase(base.path, { signal })
      infos.set(base.file, known)
      return known.catch((error: unknown) => {
        infos.delete(base.file)
        throw error
      })
    },
    additions: () => additions,
    addedSince(seen, atMostMs, signal) {
      const subscribe = (wake: () => void): (() => void) => {
        waiting.add(wake)
        return () => waiting.delete(wake)
      }
      return waitFor(subscribe, () => additions > seen, atMostMs, signal)
    },
  }
  return store
}

async function describe(path: string, { signal, onProgress }: AddOptions): Promise<KnownBase> {
  const info = await inspectBase(path, { signal })
  const digest = await sha256File(path, { signal, onProgress })
  const { size, mtimeMs } = await stat(path)
  const { baseId: id, tokenizerId: tokenizer, label, architecture } = info
  return { id, tokenizer, label, architecture, file: toHex(digest), path, bytes: size, modifiedMs: mtimeMs }
}

async function requireUnchanged(base: KnownBase): Promise<void> {
  const facts = await stat(base.path).catch((cause: unknown) => {
    throw new MeshError(
      'not-found',
      `The base ${base.label} is no longer at ${base.path}: add it again with \`lora-mesh base add FILE\`.`,
      { path: base.path },
      { cause },
    )
  })
  if (facts.size === base.bytes && facts.mtimeMs === base.modifiedMs) return
  if (facts.size === base.bytes && toHex(await sha256File(base.path)) === base.file) return
  throw new MeshError(
    'hash-mismatch',
    `${base.path} is no longer the file that was added as ${base.label}: add it again with \`lora-mesh base add ${base.path}\`.`,
    { path: base.path, expected: base.file },
  )
}

function findBase(bases: readonly KnownBase[], name: string): KnownBase {
  const fits = (base: KnownBase): boolean =>
    base.label === name ||
    base.path === resolve(name) ||
    (/^[0-9a-f]{6,64}$/.test(name) && (base.file.startsWith(name) || base.id.startsWith(name)))
  const found = bases.filter(fits)
  const [base] = found
  if (base === undefined)
    throw new MeshError('not-found', `No base is called ${name}: \`lora-mesh base list\` shows them.`, { name })
  if (found.length > 1) {
    const files = found.map(({ file, path }) => `${file.slice(0, 12)} (${path})`)
    throw new MeshError(
      'bad-input',
      `Several bases are called ${name}. Say which by its digest: ${files.join(', ')}.`,
      { name },
    )
  }
  return base
}

async function read(path: string): Promise<Stored> {
  try {
    return storeSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT') return { format: 1, bases: [] }
    if (code !== undefined) throw unusable(error, path)
    throw new MeshError(
      'bad-config',
      `${path} is damaged: delete it and add the bases again.`,
      { path },
      { cause: error },
    )
  }
}
