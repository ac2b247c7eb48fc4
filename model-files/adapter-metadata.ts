// The metadata of a LoRA GGUF: what llama.cpp reads of it must have the exact type (it aborts the process otherwise), and nothing in it may
// change how a base is prompted or tokenised. Unknown keys are harmless and stay.
import { isSupportedArchitecture, MeshError, supportedArchitectures } from '../protocol/index.ts'
import type { GgufFile, GgufValue, GgufValueType } from './gguf-format.ts'

export interface AdapterMetadata {
  /** As stated; undefined if the file has no usable one. */
  readonly architecture: string | undefined
  /** llama.cpp scales each pair by alpha / rank; 0 means a scale of 1. */
  readonly alpha: number | undefined
}

/** Larger ones only serve to overflow: real adapters have an alpha of some tens. */
export const alphaMax = 1e6

const knownTypes: Readonly<Record<string, GgufValueType>> = {
  'general.type': 'string',
  'general.architecture': 'string',
  'general.name': 'string',
  'general.author': 'string',
  'general.version': 'string',
  'general.description': 'string',
  'general.license': 'string',
  'general.alignment': 'uint32',
  'general.file_type': 'uint32',
  'general.quantization_version': 'uint32',
  'adapter.type': 'string',
  'adapter.lora.alpha': 'float32',
}

const refusedKeys: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^tokenizer\./, 'an adapter must not bring a tokenizer'],
  [/template/, 'an adapter must not bring a chat template'],
  [
    /^adapter\.alora\./,
    'it works only after certain tokens (activated LoRA), which stacks and merged files would ignore',
  ],
  [/^split\./, 'it is a part of a split file'],
]

export type Report = (problem: MeshError) => void

/** Reports every problem of the metadata; `baseArchitecture` is that of the base it is meant for, if one was given. */
export function checkAdapterMetadata(
  file: GgufFile,
  baseArchitecture: string | undefined,
  report: Report,
): AdapterMetadata {
  for (const [key, entry] of file.metadata) checkEntry(key, entry, report)
  checkConstant(file, 'general.type', 'adapter', report)
  checkConstant(file, 'adapter.type', 'lora', report)
  return { architecture: checkArchitecture(file, baseArchitecture, report), alpha: checkAlpha(file, report) }
}

function checkEntry(key: string, entry: GgufValue, report: Report): void {
  const expected = Object.hasOwn(knownTypes, key) ? knownTypes[key] : undefined
  if (expected !== undefined && entry.type !== expected) {
    report(refused(`${key} is of type ${entry.type} instead of ${expected}`, { key }))
  }
  // NaN has many bit patterns, and which of them survives reading is the engine's business: a file with one has no one form.
  const items: readonly unknown[] = entry.type === 'array' ? entry.value : [entry.value]
  if (items.some(Number.isNaN)) report(refused(`${key} is not a number (NaN)`, { key }))
  const reason = refusedKeys.find(([pattern]) => pattern.test(key))?.[1]
  if (reason !== undefined) report(refused(`it has the metadata key ${key}: ${reason}`, { key }))
}

function checkConstant(file: GgufFile, key: string, expected: string, report: Report): void {
  const entry = file.metadata.get(key)
  if (entry === undefined) report(refused(`${key} is missing, it must be "${expected}"`, { key }))
  else if (entry.type === 'string' && entry.value !== expected) {
    report(refused(`${key} is ${JSON.stringify(entry.value)}, it must be "${expected}"`, { key }))
  }
}

function checkArchitecture(file: GgufFile, base: string | undefined, report: Report): string | undefined {
  const entry = file.metadata.get('general.architecture')
  if (entry?.type !== 'string' || entry.value === '') {
    if (entry === undefined || entry.type === 'string') {
      report(refused(`general.architecture is ${entry === undefined ? 'missing' : 'empty'}`))
    }
    return undefined
  }
  const architecture = entry.value
  if (base !== undefined && architecture !== base) {
    const message = `This adapter is made for the architecture ${JSON.stringify(architecture)}, the base is "${base}".`
    report(new MeshError('architecture-mismatch', message, { adapter: architecture, base }))
  } else if (!isSupportedArchitecture(architecture)) {
    const supported = supportedArchitectures.join(', ')
    const message = `Adapters for the architecture ${JSON.stringify(architecture)} are not supported, only for ${supported}.`
    report(new MeshError('architecture-not-supported', message, { architecture }))
  }
  return architecture
}

function checkAlpha(file: GgufFile, report: Report): number | undefined {
  const entry = file.metadata.get('adapter.lora.alpha')
  if (entry === undefined) {
    report(refused('adapter.lora.alpha is missing. Without it the strength of the adapter is unknown'))
    return undefined
  }
  if (entry.type !== 'float32' || Number.isNaN(entry.value)) return undefined
  const alpha = entry.value
  if (alpha >= 0 && alpha <= alphaMax) return alpha
  report(refused(`adapter.lora.alpha is ${alpha}, it must lie between 0 and ${alphaMax}`, { alpha: String(alpha) }))
  return undefined
}

export function refused(problem: string, details: Record<string, unknown> = {}): MeshError {
  return new MeshError('gguf-refused', `This adapter can't be used: ${problem}.`, details)
}
