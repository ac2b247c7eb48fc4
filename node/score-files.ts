// Measures model files that lie anywhere on the disk: what `nll` and `eval` do. Needs no data folder and no network, but an engine process
// for its life. The files are checked as strictly as those of strangers: a crash of the engine would be a poor error message.
import { resolve } from 'node:path'
import { createEngine, evaluateSuite, nllOfPassages, nllOfText, parsePassages } from '../assembler/index.ts'
import type { Engine, EngineBase, Score, ScaledAdapter, SuiteItem, SuiteResult } from '../assembler/index.ts'
import { inspectBase, openFileSource, sha256File, validateAdapter } from '../model-files/index.ts'
import { toHex } from '../protocol/index.ts'
import { readTextFile } from './read-text-file.ts'
import type { ScaledFile } from './scaled-file.ts'

export interface ScoreJob {
  readonly base: string
  readonly adapters: readonly ScaledFile[]
  readonly signal: AbortSignal
}

export async function scorePassages(job: ScoreJob, path: string): Promise<Score> {
  const passages = parsePassages(await readTextFile(path))
  return withEngine(job, (engine, adapters) => nllOfPassages(engine, adapters, passages, { signal: job.signal }))
}

export async function scoreText(job: ScoreJob, path: string): Promise<Score> {
  const text = await readTextFile(path)
  return withEngine(job, (engine, adapters, base) => nllOfText(engine, base, adapters, text, { signal: job.signal }))
}

export async function scoreSuite(
  job: ScoreJob,
  items: readonly SuiteItem[],
  onProgress: (progress: { done: number; total: number }) => void,
): Promise<SuiteResult> {
  return withEngine(job, (engine, adapters, base) =>
    evaluateSuite(engine, base, adapters, items, { signal: job.signal, onProgress }),
  )
}

async function withEngine<T>(
  { base, adapters, signal }: ScoreJob,
  work: (engine: Engine, adapters: readonly ScaledAdapter[], info: EngineBase) => Promise<T>,
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
