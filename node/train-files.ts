// Trains an adapter from files that lie anywhere on the disk: what `train` does. Needs no data folder and no network.
import { access, constants, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, extname, resolve } from 'node:path'
import {
  createByteLevelBpe,
  examplesOf,
  fastestArithmetic,
  parseTrainingData,
  readBase,
  stepsOfRounds,
  trainAdapter,
  trainingWorkersMax,
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
import { errorCode } from './private-file.ts'
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
  /** What was kept can't be read: it starts again. */
  damaged(): void
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
  const { signal, recipe } = job
  const out = resolve(job.out)
  await requirePlace(out, [job.base, job.data, job.replay, job.heldOut])
  using base = await readBase(job.base, { signal })
  const { train, replay, heldOut } = await readData(job, base)
  const steps =
    recipe.steps ??
    Math.min(mostSteps, Math.max(leastSteps, stepsOfRounds({ data: train, replay, ...recipe }, defaultRounds)))
  const workers = Math.min(job.workers ?? availableParallelism(), trainingWorkersMax)
  const arithmetic = job.arithmetic ?? fastestArithmetic()
  report.start({ examples: train.length, heldOut: heldOut.length, replay: replay.length, steps, workers, arithmetic })
  const { written: _, ...outcome } = await trainAdapter(
    {
      base,
      data: { train, replay, heldOut },
      recipe: { ...recipe, steps },
      arithmetic,
      workers,
      dtype: job.dtype,
      out,
    },
    {
      signal,
      checkpointPath: `${out}.checkpoint`,
      onResume: (step) => report.resume(step),
      onDamaged: () => report.damaged(),
      onKeepFailed: (reason) => report.keepFailed(reason),
      onProgress: (progress) => report.progress(progress),
      clock: () => performance.now(),
    },
  )
  return { out: job.out, ...outcome }
}

/** Longer questions cost memory by their length; what people train adapters on is shorter. */
const exampleTokensMax = 2_048
/** So that a step takes several pieces of a text, one for each worker at least. */
const piecesPerStep = 4

/** The tokenizer is needed only here; where it is llama.cpp's, its process ends before the training begins. */
async function readData(
  { data, replay, heldOut, recipe, signal }: TrainJob,
  base: TrainableBase,
): Promise<{ train: readonly Example[]; replay: readonly Example[]; heldOut: readonly Example[] }> {
  await using tokenizer = await openTokenizer(base, signal)
  const contextLength = Math.min(base.shape.contextLength, exampleTokensMax)
  const textTokens = Math.min(contextLength, Math.max(16, Math.floor(recipe.batchTokens / piecesPerStep)))
  const reading = { tokenizer, bos: tokenizer.bos, eos: base.eos, contextLength, textTokens }
  const all = await readExamples(data, reading, signal)
  const own = heldOut === undefined ? split(all) : { train: all, heldOut: await readExamples(heldOut, reading, signal) }
  const replayed = replay === undefined || recipe.replayShare === 0 ? [] : await readExamples(replay, reading, signal)
  return { ...own, replay: replayed }
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

/** The trainer's own tokenizer where the base has that kind, else llama.cpp's in a process of its own. */
async function openTokenizer(
  base: TrainableBase,
  signal: AbortSignal,
): Promise<TextTokenizer & AsyncDisposable & { readonly bos: number | undefined }> {
  const vocabulary = vocabularyOf(base.metadata)
  if (vocabulary !== undefined) {
    const own = createByteLevelBpe(vocabulary)
    return { bos: base.bos, encode: (text) => own.encode(text), [Symbol.asyncDispose]: async () => {} }
  }
  await using stack = new AsyncDisposableStack()
  const engine = stack.use(createEngine())
  const { bos } = await engine.load({ path: resolve(base.path), sha256: base.sha256 }, { signal })
  const held = stack.move()
  return {
    bos,
    encode: (text, options = {}) => engine.tokenize(text, options),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  }
}

/** Hours of training must not end in a place where nothing can be written, or in one of the files they came from. */
async function requirePlace(out: string, inputs: readonly (string | undefined)[]): Promise<void> {
  const same = await Promise.all(inputs.map((input) => input !== undefined && isSameFile(out, input)))
  const input = inputs[same.indexOf(true)]
  if (input !== undefined) {
    const message = `The adapter would take the place of ${input}: choose another output.`
    throw new MeshError('already-exists', message, { path: out })
  }
  const folder = dirname(out)
  try {
    if ((await stat(folder)).isDirectory() && !(await isFolder(out))) {
      await access(folder, constants.W_OK)
      return
    }
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT')
      throw new MeshError('not-found', `There is no folder ${folder} to write into.`, { path: folder }, { cause })
    throw new MeshError('storage-failed', `Nothing can be written into ${folder}.`, { path: folder }, { cause })
  }
  throw new MeshError('already-exists', `${out} can't be written: a folder, or a part of its path, is in the way.`, {
    path: out,
  })
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  if (resolve(one) === resolve(other)) return true
  const [a, b] = await Promise.all([one, other].map((path) => stat(path).catch(() => undefined)))
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino
}
