// Measures model files that lie anywhere on the disk: what `nll` and `eval` do. Needs no data folder and no network, but an engine process
// for its life. The files are checked as strictly as those of strangers: a crash of the engine would be a poor error message.
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createEngine, evaluateSuite, nllOfPassages, nllOfText, parsePassages, parseSuite } from '../assembler/index.ts'
import type { BaseInfo, Engine, Score, ScaledAdapter, SuiteResult } from '../assembler/index.ts'
import { inspectBase, openFileSource, sha256File, validateAdapter } from '../model-files/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import { errorCode } from './private-file.ts'
import type { ScaledFile } from './scaled-file.ts'

const MAX_TEXT_BYTES = 64 * 1024 * 1024

export interface ScoreJob {
  readonly base: string
  readonly adapters: readonly ScaledFile[]
  readonly signal: AbortSignal
}

export async function scorePassages(job: ScoreJob, path: string): Promise<Score> {
  const passages = parsePassages(await readTextFile(path))
  return withEngine(job, (engine, adapters) => nllOfPassages(engine, adapters, passages, job))
}

export async function scoreText(job: ScoreJob, path: string): Promise<Score> {
  const text = await readTextFile(path)
  return withEngine(job, (engine, adapters, base) => nllOfText(engine, base, adapters, text, job))
}

export async function scoreSuite(
  job: ScoreJob,
  path: string,
  onProgress: (progress: { done: number; total: number }) => void,
): Promise<SuiteResult> {
  const items = parseSuite(await readTextFile(path))
  return withEngine(job, (engine, adapters, base) =>
    evaluateSuite(engine, base, adapters, items, { signal: job.signal, onProgress }),
  )
}

/** Throws `not-found`, `bad-input`. */
export async function readTextFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > MAX_TEXT_BYTES)
      throw new MeshError('bad-input', `${path} has ${size} bytes; at most ${MAX_TEXT_BYTES} are read.`, { path })
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (error) {
    if (error instanceof MeshError) throw error
    if (errorCode(error) === 'ENOENT')
      throw new MeshError('not-found', `There is no file ${path}.`, { path }, { cause: error })
    if (error instanceof TypeError)
      throw new MeshError('bad-input', `${path} is not a text in UTF-8.`, { path }, { cause: error })
    throw new MeshError(
      'bad-input',
      `The file ${path} cannot be read (${errorCode(error) ?? 'unknown reason'}).`,
      { path },
      { cause: error },
    )
  }
}

async function withEngine<T>(
  { base, adapters, signal }: ScoreJob,
  work: (engine: Engine, adapters: readonly ScaledAdapter[], info: BaseInfo) => Promise<T>,
): Promise<T> {
  const description = await inspectBase(base, { signal })
  const checked: ScaledAdapter[] = []
  for (const { path, scale } of adapters) {
    using source = openFileSource(path)
    await validateAdapter(source, description, { signal })
    checked.push({ path: resolve(path), sha256: await digestOf(path, signal), scale })
  }
  await using engine = createEngine()
  const info = await engine.load({ path: resolve(base), sha256: await digestOf(base, signal) }, { signal })
  return await work(engine, checked, info)
}

async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  return toHex(await sha256File(path, { signal }))
}
