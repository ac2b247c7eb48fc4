// Baking: several adapters at given scales become one LoRA file that adds exactly the sum of their updates. Ranks are concatenated per
// tensor, scale * alpha / rank goes into B and alpha is 0 ("scaled already"). A stack of adapters costs two multiplications per adapter
// and layer at run time, a baked one two in all.
// The same set of adapters and scales gives the same bytes, whatever the order it is given in.
import { limits, MeshError, toHex } from '../protocol/index.ts'
import { validateAdapter, type AdapterBase, type AdapterInfo } from './adapter-validator.ts'
import { bakedPair, isFlipped, type PairPart } from './bake-matrices.ts'
import { openFileSource } from './byte-source.ts'
import { sha256File } from './file-digest.ts'
import type { GgufFile } from './gguf-format.ts'
import { readGguf } from './gguf-reader.ts'
import type { TensorDtype } from './tensor-dtypes.ts'
import { writeLora, type LoraPair, type WriteOptions } from './write-lora.ts'

export type BakeDtype = 'f32' | 'f16' | 'q8_0'

export interface BakeRequest extends WriteOptions {
  readonly base: AdapterBase
  /** Scales may be negative; an adapter given twice counts with the sum of its scales, at scale 0 it is left out. */
  readonly adapters: readonly { readonly path: string; readonly scale: number }[]
  /** Default f32. */
  readonly dtype?: BakeDtype | undefined
  /** Path of the GGUF to write. */
  readonly out: string
}

export interface BakedAdapter {
  readonly out: string
  /** SHA-256 of the file, 32 bytes. */
  readonly sha256: Uint8Array
  readonly bytes: number
  /** The largest stored rank of any pair, zeros that fill up Q8_0 blocks included. */
  readonly rank: number
  /** With dtype q8_0: names of the tensors that stayed F16 because their rows are not whole Q8_0 blocks. */
  readonly keptF16?: readonly string[]
}

const q8BlockElements = 32

/**
 * Throws `bad-input` for scales that can't be used or that leave nothing, `rank-limit`, what `validateAdapter` throws for one of the
 * adapters (with `details.path`), `not-finite` for numbers that leave the dtype's range once scaled, or what `writeLora` throws.
 */
export async function bakeAdapters(request: BakeRequest): Promise<BakedAdapter> {
  const { base, out, dtype = 'f32' } = request
  using files = new DisposableStack()
  const ingredients = await openIngredients(request, files)
  const parts = partsByTarget(ingredients)
  const keptF16: string[] = []
  const pairs = [...parts].map(([target, ofTarget]): LoraPair => {
    const dtypes = storageOf(target, ofTarget, dtype)
    for (const side of ['a', 'b'] as const)
      if (dtype === 'q8_0' && dtypes[side] === 'F16') keptF16.push(`${target}.lora_${side}`)
    return { target, ...bakedPair(ofTarget, storedRank(ofTarget, dtype), dtypes) }
  })
  const rank = Math.max(...[...parts.values()].map((ofTarget) => storedRank(ofTarget, dtype)))
  if (rank > limits.rankMax) throw rankLimit(rank, ingredients)
  const written = await writeLora(out, { architecture: base.architecture, alpha: 0, pairs }, request)
  return { out, ...written, rank, ...(dtype === 'q8_0' ? { keptF16: keptF16.toSorted() } : {}) }
}

interface Ingredient {
  readonly path: string
  readonly digest: string
  readonly scale: number
  readonly file: GgufFile
  readonly info: AdapterInfo
}

/** The distinct adapters with a scale other than 0, in the order of their digests: sums of floats must not depend on the user's order. */
async function openIngredients(request: BakeRequest, files: DisposableStack): Promise<Ingredient[]> {
  const byDigest = new Map<string, { path: string; scales: number[] }>()
  for (const { path, scale } of request.adapters) {
    const digest = toHex(await sha256File(path, request.signal ? { signal: request.signal } : {}))
    const entry = byDigest.get(digest) ?? { path, scales: [] }
    entry.scales.push(scale)
    byDigest.set(digest, entry)
  }
  const scaleMax = limits.scaleMaxMillionths / 1e6
  const ingredients: Ingredient[] = []
  for (const [digest, { path, scales }] of [...byDigest].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    const scale = scales.toSorted((one, other) => one - other).reduce((sum, value) => sum + value, 0)
    if (!(Math.abs(scale) <= scaleMax)) {
      throw new MeshError(
        'bad-input',
        `The scale ${scale} of ${path} is not a number between -${scaleMax} and ${scaleMax}.`,
        { path, scale },
      )
    }
    if (scale === 0) continue
    const source = files.use(openFileSource(path))
    const info = await validated(path, () => validateAdapter(source, request.base, request))
    ingredients.push({ path, digest, scale, file: readGguf(source, 'adapter'), info })
  }
  if (ingredients.length > 0) return ingredients
  throw new MeshError(
    'bad-input',
    'There is nothing to bake: no adapter has a scale other than 0. Use the base without adapters.',
  )
}

async function validated(path: string, validate: () => Promise<AdapterInfo>): Promise<AdapterInfo> {
  try {
    return await validate()
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    throw new MeshError(error.code, error.message, { ...error.details, path }, { cause: error })
  }
}

function partsByTarget(ingredients: readonly Ingredient[]): Map<string, PairPart[]> {
  const parts = new Map<string, PairPart[]>()
  for (const { file, info, scale } of ingredients) {
    for (const pair of info.pairs) {
      const factor = info.alpha === 0 ? scale : (scale * info.alpha) / pair.rank
      const ofTarget = parts.get(pair.target) ?? []
      ofTarget.push({ file, pair, factor })
      parts.set(pair.target, ofTarget)
    }
  }
  return parts
}

function storedRank(parts: readonly PairPart[], dtype: BakeDtype): number {
  const rank = parts.reduce((sum, { pair }) => sum + pair.rank, 0)
  return dtype === 'q8_0' ? Math.ceil(rank / q8BlockElements) * q8BlockElements : rank
}

/** Rows of B, and of a flipped A, are `rank` long and padded to whole blocks; the other A's rows are as long as the base's. */
function storageOf(target: string, parts: readonly PairPart[], dtype: BakeDtype): { a: TensorDtype; b: TensorDtype } {
  if (dtype === 'f32') return { a: 'F32', b: 'F32' }
  if (dtype === 'f16') return { a: 'F16', b: 'F16' }
  const fits = isFlipped(target) || parts[0]!.pair.a.shape[0]! % q8BlockElements === 0
  return { a: fits ? 'Q8_0' : 'F16', b: 'Q8_0' }
}

function rankLimit(rank: number, ingredients: readonly Ingredient[]): MeshError {
  const details = {
    rank,
    limit: limits.rankMax,
    adapters: ingredients.map(({ path, info }) => ({ path, rank: info.rank })),
  }
  return new MeshError(
    'rank-limit',
    `Baked together these adapters have rank ${rank}, above the limit of ${limits.rankMax}. Use fewer adapters.`,
    details,
  )
}
