// A network in memory with its workers: one step of training after the other, or a measurement. Knows nothing of files.
import { Worker } from 'node:worker_threads'
import { MeshError } from '../../protocol/index.ts'
import type { ErrorDetails } from '../../protocol/index.ts'
import { siblingEntry } from '../../supervisor/index.ts'
import { bindKernels, compileKernels, memoryMaxBytes, sharedMemory } from '../kernels/kernels.ts'
import type { Arithmetic, Kernels } from '../kernels/kernels.ts'
import { planMemory } from '../network/memory-plan.ts'
import type { MemoryPlan, NetworkJob } from '../network/memory-plan.ts'
import { workspaceBytes } from '../network/network.ts'
import { tokensRead } from './examples.ts'
import type { Example } from './examples.ts'
import { fillAngles } from './angles.ts'
import { loadExamples } from './load-examples.ts'
import { adamCorrections, pieceCount } from './perform-task.ts'
import { TaskBoard } from './task-board.ts'
import type { Phase } from './task-board.ts'
import type { WorkerInput } from './worker.ts'

export interface StepOptions {
  /** Number of the step, counted from 1. */
  readonly step: number
  readonly learningRate: number
  /** Gradients longer than this are shortened to it. */
  readonly clip: number
  readonly weightDecay: number
}

export interface Session extends AsyncDisposable {
  readonly plan: MemoryPlan
  readonly kernels: Kernels
  /** All of the memory as floats: index = address / 4. */
  readonly floats: Float32Array
  /** Mean -ln p per prediction before the step, and the length of the gradient. */
  step(examples: readonly Example[], options: StepOptions): Promise<{ loss: number; gradientNorm: number }>
  /** Mean -ln p per prediction. Any number of examples; undefined if the signal came before the last. Throws `not-finite`. */
  evaluate(examples: readonly Example[], signal?: AbortSignal): Promise<number | undefined>
}

/** Throws `too-large` if the network and its training don't fit into 4 GiB, or into this machine. */
export async function openSession(job: NetworkJob, arithmetic: Arithmetic): Promise<Session> {
  const module = compileKernels(arithmetic)
  const probe = bindKernels(module, allocate(1))
  const workspace = workspaceBytes(probe, job)
  const plan = planMemory(job, workspace)
  if (plan.bytes > memoryMaxBytes) {
    throw new MeshError(
      'too-large',
      `Training this base takes ${gibibytes(plan.bytes)} of memory here, and 4 GiB can be used. Take a smaller base, fewer tokens per step or fewer workers, or train on a GPU with PEFT and import the result.`,
      { bytes: plan.bytes },
    )
  }
  const memory = allocate(plan.bytes)
  const kernels = bindKernels(module, memory)
  const floats = new Float32Array(memory.buffer)
  fillAngles(kernels, job, plan, floats)
  const pieces = pieceCount(plan)
  const pairs = plan.parameters.lora.size
  const board = new TaskBoard(Math.max(pieces, pairs, job.shards))
  const crew = startWorkers(
    Array.from({ length: job.workers }, (_, worker) => ({ module, memory, board: board.buffer, job, worker })),
  )
  const run = (phase: Phase, tasks: number, settings: readonly number[] = []): Promise<void> =>
    crew.orFailure(board.run(phase, tasks, settings, job.workers))
  // Nothing to do: resolves when all workers have started.
  await run('evaluate', 0).catch(async (error: unknown) => {
    await crew.stop(() => board.run('stop', 0, [], 0))
    throw error
  })
  const results = (tasks: number): number => board.results.subarray(0, tasks).reduce((sum, value) => sum + value, 0)
  const integers = new Int32Array(memory.buffer)
  const corrections = adamCorrections()

  return {
    plan,
    kernels,
    floats,
    async step(examples, { step, learningRate, clip, weightDecay }) {
      const predicted = loadExamples(integers, plan, examples)
      if (pairs > 0) await run('applyFactors', pairs)
      await run('train', job.shards, [1 / predicted])
      const loss = results(job.shards) / predicted
      await run('sumGradients', pieces)
      const gradientNorm = Math.sqrt(results(pieces))
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
        throw notFinite(`The training left the range of numbers at step ${step}. Take a smaller learning rate.`, {
          step,
        })
      }
      const scale = gradientNorm > clip ? clip / gradientNorm : 1
      await run('updateParameters', pieces, [scale, learningRate, ...corrections(step), weightDecay])
      return { loss, gradientNorm }
    },
    async evaluate(examples, signal) {
      if (pairs > 0) await run('applyFactors', pairs)
      let [sum, predicted] = [0, 0]
      for (const some of inBatches(examples, job)) {
        if (signal?.aborted) return undefined
        predicted += loadExamples(integers, plan, some)
        await run('evaluate', job.shards)
        sum += results(job.shards)
      }
      if (!Number.isFinite(sum)) throw notFinite('The trained network computes no numbers (NaN).', {})
      return sum / predicted
    },
    async [Symbol.asyncDispose]() {
      await crew.stop(() => board.run('stop', 0, [], 0))
    },
  }
}

function notFinite(sentence: string, details: ErrorDetails): MeshError {
  return new MeshError('not-finite', sentence, details)
}

function allocate(bytes: number): WebAssembly.Memory {
  try {
    return sharedMemory(bytes)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    const message = `This machine does not give the ${gibibytes(bytes)} of memory that this training takes. Close other programs, or take fewer tokens per step or fewer workers.`
    throw new MeshError('too-large', message, { bytes }, { cause })
  }
}

function gibibytes(bytes: number): string {
  return `${(bytes / (1 << 30)).toFixed(1)} GiB`
}

/** As many examples at a time as the shards have room for. */
function* inBatches(
  examples: readonly Example[],
  { shards, shardTokens, exampleTokens }: NetworkJob,
): Generator<Example[]> {
  const room = (shardTokens - exampleTokens) * shards
  let [some, tokens] = [[] as Example[], 0]
  for (const example of examples) {
    if (some.length > 0 && tokens + tokensRead(example) > room) {
      yield some
      ;[some, tokens] = [[], 0]
    }
    some.push(example)
    tokens += tokensRead(example)
  }
  if (some.length > 0) yield some
}

interface Crew {
  /** `work`, unless a worker fails first. */
  orFailure(work: Promise<void>): Promise<void>
  stop(tell: () => Promise<void>): Promise<void>
}

function startWorkers(inputs: readonly WorkerInput[]): Crew {
  const entry = siblingEntry('./worker', import.meta.url)
  const workers = inputs.map((workerData) => new Worker(entry, { workerData }))
  let stopping = false
  const failure = Promise.race(
    workers.map(
      (worker) =>
        new Promise<never>((_, reject) => {
          worker.once('error', reject)
          worker.once('exit', () => {
            if (!stopping) reject(new Error('A worker of the training has ended.'))
          })
        }),
    ),
  )
  failure.catch(() => undefined)
  return {
    orFailure: (work) => Promise.race([work, failure]),
    async stop(tell) {
      stopping = true
      await tell()
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}
