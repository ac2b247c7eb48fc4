// How few bits a new version may be made of before it is worse than as it was trained.
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../../protocol/index.ts'
import { defineByDelta } from './define-by-delta.ts'
import type { DefinedFile } from './define-by-delta.ts'
import type { PatchOptions } from './patch-chunks.ts'
import { deltaBitsMax, deltaBitsMin } from './patch-format.ts'

export interface DeltaBitsJob {
  readonly oldPath: string
  readonly newPath: string
  /** Where the candidates are made; the one that is chosen is left there. */
  readonly folder: string
  /** How good an adapter file is, in whatever unit: more is better. */
  evaluate(path: string): Promise<number>
  /** How much less than the file as it was trained a candidate may be worth, in the same unit. */
  readonly tolerance: number
  /** Tried in this order, until one is good enough. Absent: 2 to 8. */
  readonly bits?: readonly number[] | undefined
}

export interface DeltaBitsTrial {
  readonly bits: number
  readonly score: number
  /** What is lost; negative where the candidate is better. */
  readonly loss: number
  readonly patchBytes: number
}

export interface DeltaBitsChoice {
  /** Of the file as it was trained. */
  readonly score: number
  readonly trials: readonly DeltaBitsTrial[]
  /** Undefined if each of those tried loses more than the tolerance. */
  readonly chosen: DefinedFile | undefined
}

/** Throws what `defineByDelta` and `evaluate` throw. */
export async function chooseDeltaBits(job: DeltaBitsJob, options: PatchOptions = {}): Promise<DeltaBitsChoice> {
  const { newPath, evaluate, tolerance } = job
  const score = await evaluate(newPath)
  const trials: DeltaBitsTrial[] = []
  for (const bits of job.bits ?? everyBits) {
    const defined = await candidate(job, bits, options)
    const reached = await evaluate(defined.file.path)
    const loss = score - reached
    trials.push({ bits, score: reached, loss, patchBytes: defined.patch.bytes })
    if (loss <= tolerance) return { score, trials, chosen: defined }
    await Promise.all([defined.file, defined.patch].map(({ path }) => rm(path, { force: true })))
  }
  return { score, trials, chosen: undefined }
}

/** Named by its content: llama.cpp keeps what it read under a path, and would go on answering from the candidate before. */
async function candidate(
  { oldPath, newPath, folder }: DeltaBitsJob,
  bits: number,
  options: PatchOptions,
): Promise<DefinedFile> {
  const [out, patchOut] = [join(folder, `${bits}-bits.gguf`), join(folder, `${bits}-bits.patch`)]
  const { file, patch } = await defineByDelta({ oldPath, newPath, bits, out, patchOut }, options)
  const path = join(folder, `${toHex(file.sha256)}.gguf`)
  await rename(out, path)
  return { bits, file: { ...file, path }, patch }
}

const everyBits = Array.from({ length: deltaBitsMax - deltaBitsMin + 1 }, (_, i) => deltaBitsMin + i)
