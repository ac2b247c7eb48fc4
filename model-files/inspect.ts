// What a model file is, judged by its content: `lora-mesh inspect`. A file that is bad is an answer, not an exception.
import { isMeshError } from '../protocol/index.ts'
import type { MeshError, MeshErrorCode } from '../protocol/index.ts'
import { adapterProblems } from './adapter-validator.ts'
import { baseInfoOf, inspectBase, summariseBase } from './base-info.ts'
import type { BaseInfo } from './base-info.ts'
import { openFileSource } from './byte-source.ts'
import type { ByteSource } from './byte-source.ts'
import type { Cancellable } from './event-loop.ts'
import type { GgufValue } from './gguf-format.ts'
import { readGguf } from './gguf-reader.ts'
import type { TensorDtype } from './tensor-dtypes.ts'

export interface Inspection {
  /** What it was judged as. A file that is broken before it says what it is counts as an adapter: that is what strangers send. */
  readonly kind: 'base' | 'adapter'
  readonly architecture?: string
  readonly baseId?: string
  readonly tokenizerId?: string
  readonly label?: string
  readonly contextLength?: number
  readonly parameters?: number
  readonly tied?: boolean
  readonly rank?: number
  readonly alpha?: number
  readonly targets?: readonly string[]
  readonly dtype?: TensorDtype
  /** Number of tensors; 0 if the file is broken before they are known. */
  readonly tensors: number
  readonly bytes: number
  /** Whether the mesh can use the file. */
  readonly ok: boolean
  readonly problems: readonly { readonly code: MeshErrorCode; readonly message: string }[]
}

/**
 * Inspects a base or an adapter; an adapter is compared with the base at `basePath` if one is given. Throws only for files that can't be
 * read at all (`not-found`, `bad-input`), for a `basePath` that is no usable base, and `aborted`.
 */
export async function inspectFile(path: string, basePath?: string, options: Cancellable = {}): Promise<Inspection> {
  using source = openFileSource(path)
  const base = basePath === undefined ? undefined : await inspectBase(basePath, options)
  return await inspectSource(source, base, options)
}

export async function inspectSource(
  source: ByteSource,
  base: BaseInfo | undefined,
  options: Cancellable = {},
): Promise<Inspection> {
  const kind = kindOf(source)
  return kind === 'adapter'
    ? await inspectAdapter(source, base, options)
    : { kind, ...(await inspectModel(source, options)) }
}

async function inspectAdapter(
  source: ByteSource,
  base: BaseInfo | undefined,
  options: Cancellable,
): Promise<Inspection> {
  const { stated, problems } = await adapterProblems(source, base, options)
  return {
    kind: 'adapter',
    tensors: 0,
    ...stated,
    bytes: source.size,
    ok: problems.length === 0,
    problems: problems.map(plain),
  }
}

async function inspectModel(source: ByteSource, options: Cancellable): Promise<Omit<Inspection, 'kind'>> {
  let known: Partial<Inspection> & Pick<Inspection, 'tensors'> = { tensors: 0 }
  try {
    const file = readGguf(source, 'base')
    known = { tensors: file.tensors.length }
    const { architecture, label, contextLength, parameters } = summariseBase(file)
    known = { architecture, label, parameters, ...known, ...(contextLength === undefined ? {} : { contextLength }) }
    const base = await baseInfoOf(file, options)
    const { baseId, tokenizerId, tied } = base
    return {
      ...known,
      baseId,
      tokenizerId,
      tied,
      parameters: base.parameters,
      bytes: source.size,
      ok: true,
      problems: [],
    }
  } catch (error) {
    if (!isMeshError(error) || error.code === 'aborted') throw error
    return { ...known, bytes: source.size, ok: false, problems: [plain(error)] }
  }
}

/** By what the file says of itself, as far as it can be read: the type, or metadata and tensors that only adapters have. */
function kindOf(source: ByteSource): Inspection['kind'] {
  const seen = new Map<string, GgufValue>()
  let tensorNames: readonly string[] = []
  try {
    tensorNames = readGguf(source, 'base', seen).tensors.map(({ name }) => name)
  } catch (error) {
    if (!isMeshError(error, 'gguf-malformed')) throw error
  }
  const type = seen.get('general.type')
  if (type?.type === 'string') return type.value === 'adapter' ? 'adapter' : 'base'
  const hasAdapterKey = [...seen.keys()].some((key) => key.startsWith('adapter.'))
  if (hasAdapterKey || tensorNames.some((name) => /\.lora_[ab]$/.test(name))) return 'adapter'
  return tensorNames.length > 0 || seen.has('general.architecture') ? 'base' : 'adapter'
}

function plain(problem: MeshError): { code: MeshErrorCode; message: string } {
  return { code: problem.code, message: problem.message }
}
