// What a PEFT folder of F32 matrices holds and what updates it stands for, read the way PEFT reads it and apart from the product's own
// reader, for tests and measurements of what is written.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface ReadPeftFolder {
  readonly config: Readonly<Record<string, unknown>>
  /** Name -> type and shape. */
  readonly tensors: ReadonlyMap<string, readonly [dtype: string, shape: readonly number[]]>
  /** scale * B * A by module, in float64, row-major (out, in). */
  readonly updates: ReadonlyMap<string, Float64Array>
}

interface Entry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

export function readPeftFolder(dir: string): ReadPeftFolder {
  const config = JSON.parse(readFileSync(join(dir, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  const bytes = readFileSync(join(dir, 'adapter_model.safetensors'))
  const start = 8 + Number(bytes.readBigUInt64LE())
  const { __metadata__, ...header } = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, Entry>
  const valuesOf = (name: string): Float32Array => {
    const entry = header[name]
    if (entry?.dtype !== 'F32') throw new Error(`${name} is ${entry?.dtype ?? 'not there'}, not F32`)
    const [from, to] = entry.data_offsets
    return new Float32Array(new Uint8Array(bytes.subarray(start + from, start + to)).buffer)
  }
  const updates = new Map<string, Float64Array>()
  for (const [name, { shape }] of Object.entries(header)) {
    const module = /^base_model\.model\.(.+)\.lora_(?:embedding_)?A(?:\.weight)?$/.exec(name)?.[1]
    if (module === undefined) continue
    const b = valuesOf(name.replace(/lora_(embedding_)?A/, 'lora_$1B'))
    updates.set(module, product(valuesOf(name), b, shape[0]!, scaleOf(config, module, shape[0]!)))
  }
  const tensors = new Map(Object.entries(header).map(([name, { dtype, shape }]) => [name, [dtype, shape] as const]))
  return { config, tensors, updates }
}

/** `rank * out` numbers of B, `rank * in` of A. */
export function product(a: Float32Array, b: Float32Array, rank: number, scale: number): Float64Array {
  const inputs = a.length / rank
  const update = new Float64Array((b.length / rank) * inputs)
  for (let at = 0; at < update.length; at++) {
    const [row, column] = [Math.floor(at / inputs), at % inputs]
    for (let i = 0; i < rank; i++) update[at]! += scale * b[row * rank + i]! * a[i * inputs + column]!
  }
  return update
}

/** The largest difference of one number, as a part of the largest number of the expected update. */
export function largestRelativeDifference(actual: Float64Array | undefined, expected: Float64Array): number {
  if (actual?.length !== expected.length) return Infinity
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return expected.reduce((most, value, at) => Math.max(most, Math.abs(value - actual[at]!)), 0) / largest
}

function scaleOf(config: Readonly<Record<string, unknown>>, module: string, storedRank: number): number {
  const lookUp = (field: string): number | undefined => {
    const entries = Object.entries((config[field] ?? {}) as Record<string, number>)
    return entries.find(([key]) => new RegExp(`^(?:.*\\.)?(?:${key})$`).test(module))?.[1]
  }
  const rank = lookUp('rank_pattern') ?? Number(config['r'])
  if (rank !== storedRank) throw new Error(`${module} has rank ${storedRank}, by the config ${rank}`)
  const alpha = lookUp('alpha_pattern') ?? Number(config['lora_alpha'])
  return alpha / (config['use_rslora'] === true ? Math.sqrt(rank) : rank)
}
