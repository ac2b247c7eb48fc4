// Writes the two files of a PEFT folder. The config comes last: a folder that has one is complete.
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '../protocol/index.ts'
import { peftTensorName } from './peft-names.ts'
import { encodeFinite, type StackedMatrix } from './stacked-pairs.ts'
import { writeFailure, writeWholeFile } from './whole-file.ts'
import type { WriteOptions } from './write-lora.ts'
import { writeSafetensors, type SafetensorsSource } from './write-safetensors.ts'

export interface PeftFolderModule {
  /** Inside the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly name: string
  readonly embedding: boolean
  readonly a: StackedMatrix
  readonly b: StackedMatrix
}

const configName = 'adapter_config.json'
const weightsName = 'adapter_model.safetensors'

/** Throws `already-exists` for a folder that holds an adapter: it may be the only copy of a training. */
export function refuseOverwriting(dir: string): void {
  const taken = [configName, weightsName].find((name) => existsSync(join(dir, name)))
  if (taken === undefined) return
  throw new MeshError('already-exists', `${dir} already holds ${taken}. Give a new folder.`, { dir, file: taken })
}

/** Makes the folder if it is absent; returns the size of both files. Throws `aborted`, `disk-full`, `storage-failed` or `not-finite`. */
export async function writePeftFolder(
  dir: string,
  modules: readonly PeftFolderModule[],
  config: string,
  { signal, onProgress }: WriteOptions,
): Promise<number> {
  const options = signal === undefined ? {} : { signal }
  const total = modules.length * 2
  let done = 0
  const tensors = modules.flatMap((module) => tensorsOf(module, () => onProgress?.({ done: ++done, total })))
  try {
    await mkdir(dir, { recursive: true })
    const weights = await writeSafetensors(join(dir, weightsName), tensors, options)
    const written = await writeWholeFile(join(dir, configName), [new TextEncoder().encode(config)], options)
    return weights.bytes + written.bytes
  } catch (error) {
    await rm(join(dir, weightsName), { force: true })
    throw writeFailure(error, dir, signal)
  }
}

function tensorsOf({ name: module, embedding, a, b }: PeftFolderModule, onWritten: () => void): SafetensorsSource[] {
  const tensorOf = (part: 'a' | 'b', matrix: StackedMatrix): SafetensorsSource => ({
    name: peftTensorName({ module, part, embedding }),
    dtype: matrix.dtype,
    shape: [matrix.rows, matrix.columns],
    bytes() {
      onWritten()
      return encodeFinite(matrix, module)
    },
  })
  return [tensorOf('a', a), tensorOf('b', b)]
}
