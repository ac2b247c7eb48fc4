// The gate in front of llama.cpp: a LoRA GGUF from a stranger reaches native code only after everything here was found right.
// llama.cpp aborts the whole process on some malformed adapters, and loads others that turn every logit into NaN.
import { limits, MeshError } from '../protocol/index.ts'
import { checkAdapterMetadata } from './adapter-metadata.ts'
import type { Report } from './adapter-metadata.ts'
import { checkAdapterPairs } from './adapter-pairs.ts'
import type { AdapterPair } from './adapter-pairs.ts'
import { checkAdapterWeights, checkPadding } from './adapter-weights.ts'
import type { BaseInfo } from './base-info.ts'
import { bytesEqualAt } from './byte-source.ts'
import type { ByteSource } from './byte-source.ts'
import { letOthersRun } from './event-loop.ts'
import type { Cancellable } from './event-loop.ts'
import type { GgufFile } from './gguf-format.ts'
import { readGguf } from './gguf-reader.ts'
import { encodeGgufHeader } from './gguf-writer.ts'
import type { TensorDtype } from './tensor-dtypes.ts'

export interface AdapterInfo {
  readonly architecture: string
  /** The largest rank of any pair. */
  readonly rank: number
  /** llama.cpp scales each pair by alpha / rank of the pair; 0 means a scale of 1. */
  readonly alpha: number
  /** Names of the changed modules such as `attn_q`, sorted. */
  readonly targets: readonly string[]
  /** The type that most bytes are stored as. */
  readonly dtype: TensorDtype
  /** Number of tensors, two per pair. */
  readonly tensors: number
  /** Size of the file. */
  readonly bytes: number
  /** In the order of their first tensors in the file. */
  readonly pairs: readonly AdapterPair[]
}

/** What an adapter's base must offer: what `inspectBase` returns has it all. */
export type AdapterBase = Pick<BaseInfo, 'architecture' | 'tensors' | 'tied'>

/**
 * Checks everything that can be checked without running the adapter: container, metadata, names, pairs, shapes (against `base` if one is
 * given), every weight, and that the file has the one canonical form. Throws the first problem: `gguf-malformed`, `gguf-refused`,
 * `architecture-mismatch`, `architecture-not-supported`, `shape-mismatch`, `not-finite`, or `aborted`.
 */
export async function validateAdapter(
  source: ByteSource,
  base?: AdapterBase,
  options: Cancellable = {},
): Promise<AdapterInfo> {
  const found = await examine(source, base, options, (problem) => {
    throw problem
  })
  if (found.info === undefined) throw new Error('an adapter without problems has an info')
  return found.info
}

export interface AdapterFindings {
  /** What the file says of itself as far as that could be read; complete if there are no problems. */
  readonly stated: Partial<Omit<AdapterInfo, 'pairs'>>
  readonly info: AdapterInfo | undefined
  /** In the order found, at most 32; empty for an adapter that may be used. */
  readonly problems: readonly MeshError[]
}

const problemsMax = 32

/** The same checks as `validateAdapter`, but it goes on after a problem where that makes sense. Throws only `aborted`. */
export async function adapterProblems(
  source: ByteSource,
  base?: AdapterBase,
  options: Cancellable = {},
): Promise<AdapterFindings> {
  const problems: MeshError[] = []
  const report: Report = (problem) => {
    if (problems.length < problemsMax) problems.push(problem)
  }
  try {
    const { info, stated } = await examine(source, base, options, report)
    return { info: problems.length === 0 ? info : undefined, stated, problems }
  } catch (error) {
    if (!(error instanceof MeshError) || error.code === 'aborted') throw error
    return { info: undefined, stated: { bytes: source.size }, problems: [...problems, error] }
  }
}

async function examine(
  source: ByteSource,
  base: AdapterBase | undefined,
  options: Cancellable,
  report: Report,
): Promise<Omit<AdapterFindings, 'problems'>> {
  if (source.size > limits.adapterMaxBytes) {
    const message = `This adapter can't be used: it has ${source.size} bytes, at most ${limits.adapterMaxBytes} are allowed.`
    throw new MeshError('gguf-refused', message)
  }
  const file = readGguf(source, 'adapter')
  await letOthersRun(options)
  const { architecture, alpha } = checkAdapterMetadata(file, base?.architecture, report)
  const pairs = checkAdapterPairs(file.tensors, base, report)
  const targets = [...new Set(pairs.map(({ module }) => module))].toSorted()
  if (targets.length > limits.targetsMax) {
    report(new MeshError('gguf-refused', `This adapter can't be used: it changes ${targets.length} kinds of matrices.`))
  }
  checkCanonical(file, report)
  checkPadding(file, report)
  await checkAdapterWeights(file, pairs, alpha ?? 0, report, options)
  const stated = {
    ...(architecture === undefined ? {} : { architecture }),
    ...(alpha === undefined ? {} : { alpha }),
    ...(pairs.length === 0
      ? {}
      : { rank: Math.max(...pairs.map(({ rank }) => rank)), targets, dtype: mainDtype(pairs) }),
    tensors: file.tensors.length,
    bytes: source.size,
  }
  return { stated, info: isComplete(stated) ? { ...stated, pairs } : undefined }
}

function isComplete(stated: AdapterFindings['stated']): stated is Omit<AdapterInfo, 'pairs'> {
  return stated.architecture !== undefined && stated.alpha !== undefined && stated.rank !== undefined
}

/** One adapter, one file: header and metadata must be the bytes that our writer writes for them. */
function checkCanonical(file: GgufFile, report: Report): void {
  const header = encodeGgufHeader(file)
  if (header.length === file.dataOffset && bytesEqualAt(file.source, 0, header)) return
  const message =
    'This is not a valid GGUF file: its header has bytes that mean nothing, such as padding that is not zero.'
  report(new MeshError('gguf-malformed', message))
}

function mainDtype(pairs: readonly AdapterPair[]): TensorDtype {
  const bytes = new Map<string, number>()
  for (const tensor of pairs.flatMap(({ a, b }) => [a, b])) {
    bytes.set(tensor.type.name, (bytes.get(tensor.type.name) ?? 0) + tensor.bytes)
  }
  const [largest] = [...bytes].toSorted(([, one], [, other]) => other - one)
  return (largest?.[0] ?? 'F32') as TensorDtype
}
