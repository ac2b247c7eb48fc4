// Stack mode: the adapters of a persona become one file, because every adapter in use costs two multiplications per layer and token.
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { sha256File } from '../model-files/index.ts'
import { encodeCanonical, fromHex, isMeshError, taggedId, toHex } from '../protocol/index.ts'
import type { AskOptions, Bake, BakedDtype, ScaledAdapter } from './ports.ts'

export interface StackMember extends ScaledAdapter {
  readonly rank: number
}

export interface ComposeJob {
  /** `baseId` in lower-case hex. */
  readonly base: { readonly path: string; readonly baseId: string }
  readonly members: readonly StackMember[]
  /** Default: by rank, see `bakedDtype`. */
  readonly dtype?: BakedDtype
}

/** What the engine is given. Route mode, where each turn goes to one adapter, will be the other member of this union. */
export interface ComposedPersona {
  readonly mode: 'stack'
  /** None, one as published, or one baked file at scale 1. */
  readonly adapters: readonly ScaledAdapter[]
  /** Lower-case hex: equal for equal base id, adapters, scales and dtype, in whatever order they were named. */
  readonly stackHash: string
  readonly source: 'as-published' | 'cache' | 'baked'
}

export interface Composer {
  /** Throws what `bake` throws, and `aborted`. */
  compose(job: ComposeJob, options?: AskOptions): Promise<ComposedPersona>
}

interface Member {
  readonly adapter: ScaledAdapter
  readonly millionths: number
  readonly rank: number
}

/** Beside each baked file: what it must be. A file without it, or unlike it, is baked again. */
const cacheEntry = z.strictObject({ sha256: z.string(), rank: z.int(), bytes: z.int() })
type CacheEntry = z.infer<typeof cacheEntry>

export function createComposer({ bake, cacheFolder }: { bake: Bake; cacheFolder: string }): Composer {
  /** Two requests for one stack bake it once. */
  const underWay = new Map<string, Promise<CacheEntry>>()

  async function baked(stackHash: string, job: Parameters<Bake>[0]): Promise<CacheEntry> {
    await mkdir(cacheFolder, { recursive: true })
    const { sha256, rank, bytes } = await bake(job)
    const entry = { sha256, rank, bytes }
    await writeEntry(join(cacheFolder, `${stackHash}.json`), entry)
    return entry
  }

  async function shared(stackHash: string, job: Parameters<Bake>[0]): Promise<CacheEntry> {
    const other = underWay.get(stackHash)
    if (other !== undefined) {
      // Whoever began may give up; that is no reason for the others to.
      const entry = await other.catch((error: unknown) => {
        if (!isMeshError(error, 'aborted') || job.signal?.aborted) throw error
      })
      return entry ?? shared(stackHash, job)
    }
    const work = baked(stackHash, job).finally(() => underWay.delete(stackHash))
    underWay.set(stackHash, work)
    return work
  }

  return {
    async compose({ base, members, dtype }, ask = {}) {
      const { signal } = ask
      const stack = merged(members)
      const rank = stack.reduce((sum, member) => sum + member.rank, 0)
      const useDtype = dtype ?? bakedDtype(rank)
      const stackHash = stackHashOf(base.baseId, stack, useDtype)
      const [first, ...others] = stack
      if (first === undefined || others.length === 0) {
        const adapters = stack.map(({ adapter, millionths }) => ({ ...adapter, scale: millionths / 1e6 }))
        return { mode: 'stack', adapters, stackHash, source: 'as-published' }
      }
      const out = join(cacheFolder, `${stackHash}.gguf`)
      const cached = await readEntry(join(cacheFolder, `${stackHash}.json`), out, ask)
      if (cached !== undefined) {
        return { mode: 'stack', adapters: [{ path: out, sha256: cached.sha256, scale: 1 }], stackHash, source: 'cache' }
      }
      const adapters = stack.map(({ adapter, millionths }) => ({ path: adapter.path, scale: millionths / 1e6 }))
      const job = { base: base.path, adapters, dtype: useDtype, out, ...(signal !== undefined && { signal }) }
      const { sha256 } = await shared(stackHash, job)
      return { mode: 'stack', adapters: [{ path: out, sha256, scale: 1 }], stackHash, source: 'baked' }
    },
  }
}

/**
 * F32 is exact and as fast as any up to rank 16; from rank 64 on half the bytes are faster, and Q8_0 is fastest where its blocks
 * of 32 divide the rank. In between exactness wins.
 */
export function bakedDtype(rank: number): BakedDtype {
  if (rank < 64) return 'f32'
  return rank % 32 === 0 ? 'q8_0' : 'f16'
}

/** Sorted by content; the same file named twice counts with the sum of its scales, and scale 0 is absent. */
function merged(members: readonly StackMember[]): Member[] {
  const byContent = new Map<string, Member>()
  for (const { path, sha256, scale, rank } of members) {
    const millionths = Math.round(scale * 1e6) + (byContent.get(sha256)?.millionths ?? 0)
    byContent.set(sha256, { adapter: { path, sha256, scale }, millionths, rank })
  }
  return [...byContent.values()]
    .filter(({ millionths }) => millionths !== 0)
    .toSorted((a, b) => (a.adapter.sha256 < b.adapter.sha256 ? -1 : 1))
}

function stackHashOf(baseId: string, stack: readonly Member[], dtype: BakedDtype): string {
  const adapters = stack.map(({ adapter, millionths }) => [fromHex(adapter.sha256, 32), millionths])
  return toHex(taggedId('stack', encodeCanonical({ adapters, base: fromHex(baseId, 32), dtype })))
}

/** The entry, if the file beside it is still what it says. Reading it costs less than loading it will. */
async function readEntry(entryPath: string, filePath: string, ask: AskOptions): Promise<CacheEntry | undefined> {
  const text = await readFile(entryPath, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const entry = cacheEntry.safeParse(parsed(text))
  if (!entry.success) return undefined
  const sha256 = await sha256File(filePath, ask).catch((error: unknown) => {
    if (isMeshError(error, 'aborted')) throw error
    return undefined
  })
  return sha256 !== undefined && toHex(sha256) === entry.data.sha256 ? entry.data : undefined
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

async function writeEntry(path: string, entry: CacheEntry): Promise<void> {
  const file = await open(`${path}.part`, 'w')
  try {
    await file.writeFile(JSON.stringify(entry))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.part`, path)
}
