// Trains an adapter from files that lie anywhere on the disk: what `train` does. Needs no data folder and no network.
import { access } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, extname, resolve } from 'node:path'
import {
  createByteLevelBpe,
  examplesOf,
  fastestArithmetic,
  parseTrainingData,
  readBase,
  trainAdapter,
  vocabularyOf,
} from '../academy/index.ts'
import type {
  AdapterRecipe,
  Arithmetic,
  Example,
  ReadingBase,
  TextTokenizer,
  TrainableBase,
  TrainingProgress,
} from '../academy/index.ts'
import { createEngine } from '../assembler/index.ts'
import { MeshError } from '../protocol/index.ts'
import { readTextFile } from './read-text-file.ts'

export interface TrainJob {
  readonly base: string
  readonly data: string
  readonly replay: string | undefined
  readonly heldOut: string | undefined
  readonly out: string
  readonly dtype: 'F32' | 'F16'
  /** What isn't said follows from the data. */
  readonly recipe: Omit<AdapterRecipe, 'steps'> & { readonly steps: number | undefined }
  readonly arithmetic: Arithmetic | undefined
  readonly workers: number | undefined
  readonly signal: AbortSignal
}

export interface TrainReport {
  start(facts: {
    examples: number
    heldOut: number
    replay: number
    steps: number
    workers: number
    arithmetic: Arithmetic
  }): void
  resume(step: number): void
  keepFailed(reason: Error): void
  progress(progress: TrainingProgress): void
}

export interface TrainResult {
  readonly out: string
  readonly steps: number
  readonly trainNll: number
  readonly heldOutNll: number | null
  readonly tokensPerSecond: number
}

/** Of the data, where no held-out file is given and there is enough of it. */
const heldOutEvery = 10
const heldOutLeast = 50
/** How often a training goes through its data where nobody says how many steps. */
const defaultRounds = 15
const leastSteps = 60
const mostSteps = 5_000

export async function trainFiles(job: TrainJob, report: TrainReport): Promise<TrainResult> {
  const { signal } = job
  const out = resolve(job.out)
  await requireFolder(out)
  using base = await readBase(job.base, { signal })
  await using tokenizer = openTokenizer(base)
  const reading = { tokenizer, bos: base.bos, eos: base.eos, contextLength: readableTokens(base) }
  const all = await readExamples(job.data, reading, signal)
  const replay = job.replay === undefined ? [] : await readExamples(job.replay, reading, signal)
  const given = job.heldOut === undefined ? undefined : await readExamples(job.heldOut, reading, signal)
  const { train, heldOut } = given === undefined ? split(all) : { train: all, heldOut: given }
  const steps = job.recipe.steps ?? defaultSteps(train, job.recipe)
  const workers = job.workers ?? availableParallelism()
  const arithmetic = job.arithmetic ?? fastestArithmetic()
  report.start({ examples: train.length, heldOut: heldOut.length, replay: replay.length, steps, workers, arithmetic })
  const { written: _, ...outcome } = await trainAdapter(
    {
      base,
      data: { train, replay, heldOut },
      recipe: { ...job.recipe, steps },
      arithmetic,
      workers,
      dtype: job.dtype,
      out,
    },
    {
      signal,
      checkpointPath: `${out}.checkpoint`,
      onResume: (step) => report.resume(step),
      onKeepFailed: (reason) => report.keepFailed(reason),
      onProgress: (progress) => report.progress(progress),
      clock: () => performance.now(),
    },
  )
  return { out: job.out, ...outcome }
}

/** Longer examples cost memory by their length; what people train adapters on is shorter. */
const exampleTokensMax = 2_048

function readableTokens({ shape }: TrainableBase): number {
  return Math.min(shape.contextLength, exampleTokensMax)
}

async function readExamples(path: string, reading: ReadingBase, signal: AbortSignal): Promise<Example[]> {
  const form = extname(path).toLowerCase() === '.jsonl' ? 'jsonl' : 'txt'
  return await examplesOf(parseTrainingData(await readTextFile(path), form, path), reading, path, { signal })
}

/** Every tenth example is kept back, to show whether what was learnt reaches further than the data. */
function split(examples: readonly Example[]): { train: readonly Example[]; heldOut: readonly Example[] } {
  if (examples.length < heldOutLeast) return { train: examples, heldOut: [] }
  const isHeldOut = (index: number): boolean => index % heldOutEvery === heldOutEvery - 1
  return {
    train: examples.filter((_, index) => !isHeldOut(index)),
    heldOut: examples.filter((_, index) => isHeldOut(index)),
  }
}

function defaultSteps(train: readonly Example[], { batchTokens, replayShare }: Omit<AdapterRecipe, 'steps'>): number {
  const tokens = train.reduce((sum, example) => sum + example.tokens.length - 1, 0)
  const steps = Math.ceil((tokens * defaultRounds) / (batchTokens * (1 - replayShare)))
  return Math.min(mostSteps, Math.max(leastSteps, steps))
}

/** The trainer's own tokenizer where the base has that kind, else llama.cpp's in a process of its own. */
function openTokenizer(base: TrainableBase): TextTokenizer & AsyncDisposable {
  const vocabulary = vocabularyOf(base.metadata)
  if (vocabulary !== undefined) {
    const own = createByteLevelBpe(vocabulary)
    return { encode: (text) => own.encode(text), [Symbol.asyncDispose]: async () => {} }
  }
  const engine = createEngine()
  const model = { path: resolve(base.path), sha256: base.sha256 }
  let loaded: Promise<unknown> | undefined
  return {
    async encode(text, options = {}) {
      loaded ??= engine.load(model, options)
      await loaded
      return await engine.tokenize(text, options)
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  }
}

/** Hours of training must not end in a folder that isn't there. */
async function requireFolder(out: string): Promise<void> {
  const folder = dirname(out)
  try {
    await access(folder)
  } catch (cause) {
    throw new MeshError('not-found', `There is no folder ${folder} to write into.`, { path: folder }, { cause })
  }
}
