// One training from its first step to its last, whatever is trained: batches, learning rate, checkpoints, progress.
import { createHash } from 'node:crypto'
import { isMeshError, MeshError } from '../../protocol/index.ts'
import { kernelBytes } from '../kernels/kernels.ts'
import type { Arithmetic, Kernels } from '../kernels/kernels.ts'
import type { NetworkJob } from '../network/memory-plan.ts'
import { readCheckpoint, removeCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { batches, tokensRead } from './examples.ts'
import type { Example } from './examples.ts'
import { openSession } from './session.ts'
import type { Session } from './session.ts'

/** What decides the result, besides the network and the data. */
export interface Recipe {
  readonly steps: number
  /** Most tokens of a step. */
  readonly batchTokens: number
  /** The highest; it rises over the first `warmUpShare` of the steps and falls to zero along half a cosine. */
  readonly learningRate: number
  readonly warmUpShare: number
  readonly clip: number
  readonly weightDecay: number
  /** Part of each step's tokens, 0 to 1, that comes from the replay where there is one. */
  readonly replayShare: number
  readonly rngSeed: number
}

export interface TrainingData {
  readonly train: readonly Example[]
  readonly replay: readonly Example[]
  readonly heldOut: readonly Example[]
}

export interface TrainingProgress {
  readonly step: number
  readonly steps: number
  /** Mean -ln p per predicted token of this step's examples, before it. */
  readonly loss: number
  /** Since this process began. */
  readonly tokensPerSecond: number
  readonly etaMs: number
}

export interface TrainingControl {
  readonly signal?: AbortSignal | undefined
  /** Called once if a checkpoint is continued, with the steps it has done. */
  readonly onResume?: ((step: number) => void) | undefined
  readonly onProgress?: ((progress: TrainingProgress) => void) | undefined
  /** Where an interrupted training is kept; without it nothing is. */
  readonly checkpointPath?: string | undefined
  /** Called if there is a checkpoint that can't be read: the training starts again. */
  readonly onDamaged?: (() => void) | undefined
  /** Called when an unfinished training could not be kept; it goes on all the same. */
  readonly onKeepFailed?: ((reason: MeshError) => void) | undefined
  /** Default 30,000. */
  readonly checkpointEveryMs?: number | undefined
  /** Milliseconds from any fixed moment. */
  readonly clock: () => number
}

export interface TrainingJob {
  readonly network: NetworkJob
  readonly arithmetic: Arithmetic
  readonly recipe: Recipe
  readonly data: TrainingData
  /** Sets the weights and the parameters to what they are before the first step. */
  prepare(session: Session): void
  /** Whatever else the result depends on, such as the digest of a base. */
  readonly identity: readonly string[]
}

export interface TrainingOutcome {
  readonly steps: number
  /** Mean -ln p per predicted token after the last step; of at most `measuredMax` training examples. */
  readonly trainNll: number
  /** null if nothing was held out. */
  readonly heldOutNll: number | null
  /** Tokens read per second of training in this process, measuring apart; 0 if there was nothing left to do. */
  readonly tokensPerSecond: number
}

const measuredMax = 2_000
/** To be raised with every change of the trainer that changes its results. */
const trainerVersion = 1
const defaultCheckpointEveryMs = 30_000

/**
 * Trains, and hands the finished session to `finish` to take out what was learnt. Rejects with `aborted` when the signal comes, after
 * writing a checkpoint; the same call then goes on from there and ends with the same numbers as without the pause.
 */
export async function train<Result>(
  job: TrainingJob,
  control: TrainingControl,
  finish: (session: Session, outcome: TrainingOutcome) => Promise<Result>,
): Promise<Result> {
  const { recipe, data } = job
  const { checkpointPath, clock, signal } = control
  for (const part of [data.train, data.replay, data.heldOut]) requireReadable(part, job.network.shape.vocabulary)
  await using session = await openSession(job.network, job.arithmetic)
  job.prepare(session)
  const state = stateOf(session)
  const identity = identityOf(job)
  const kept = checkpointPath === undefined ? undefined : await readCheckpoint(checkpointPath, identity, state.length)
  if (kept === 'damaged') control.onDamaged?.()
  else if (kept !== undefined) {
    state.set(kept.state)
    control.onResume?.(kept.step)
  }
  let step = kept === undefined || kept === 'damaged' ? 0 : kept.step
  const keep = async (): Promise<void> => {
    if (checkpointPath !== undefined && step > 0)
      await writeCheckpoint(checkpointPath, identity, { step, state: state.take() })
  }
  const tryToKeep = async (): Promise<void> => {
    await keep().catch((error: unknown) => {
      if (!isMeshError(error)) throw error
      control.onKeepFailed?.(error)
    })
  }
  const stopped = async (): Promise<never> => {
    await keep()
    throw interrupted(step, recipe.steps, checkpointPath)
  }
  const source = batches({ data: data.train, replay: data.replay, ...recipe })
  for (let done = 0; done < step; done++) source.next()
  const startedAt = clock()
  let keptAt = startedAt
  let [tokens, firstStep] = [0, step]
  while (step < recipe.steps) {
    if (signal?.aborted) return await stopped()
    const examples = source.next().value
    const learningRate = rateAt(step, recipe, session.kernels)
    const { loss } = await session.step(examples, { ...recipe, step: step + 1, learningRate })
    step++
    tokens += examples.reduce((sum, example) => sum + tokensRead(example), 0)
    const ms = Math.max(1, clock() - startedAt)
    const etaMs = (ms / (step - firstStep)) * (recipe.steps - step)
    control.onProgress?.({ step, steps: recipe.steps, loss, tokensPerSecond: (tokens / ms) * 1_000, etaMs })
    if (clock() - keptAt >= (control.checkpointEveryMs ?? defaultCheckpointEveryMs)) {
      await tryToKeep()
      keptAt = clock()
    }
  }
  const tokensPerSecond = tokens === 0 ? 0 : (tokens / Math.max(1, clock() - startedAt)) * 1_000
  // From here on only the last words are missing: whatever goes wrong with them, the training itself is not lost.
  await tryToKeep()
  const measure = async (examples: readonly Example[]): Promise<number> =>
    (await session.evaluate(examples, signal)) ?? (await stopped())
  const trainNll = await measure(data.train.slice(0, measuredMax))
  const heldOutNll = data.heldOut.length === 0 ? null : await measure(data.heldOut)
  if (signal?.aborted) return await stopped()
  const result = await finish(session, { steps: step, trainNll, heldOutNll, tokensPerSecond })
  if (checkpointPath !== undefined) await removeCheckpoint(checkpointPath)
  return result
}

/** The kernels check no bounds. */
function requireReadable(examples: readonly Example[], vocabulary: number): void {
  for (const { tokens, predictFrom } of examples) {
    if (predictFrom < 1 || predictFrom >= tokens.length) throw new Error('an example has nothing to predict')
    if (tokens.some((id) => id < 0 || id >= vocabulary))
      throw new Error('an example has a token that the network lacks')
  }
}

/** Learning rate of a step, counted from 0. */
export function rateAt(
  step: number,
  { steps, learningRate, warmUpShare }: Recipe,
  kernels: Pick<Kernels, 'cos'>,
): number {
  const warmUp = Math.max(1, Math.round(steps * warmUpShare))
  if (step < warmUp) return (learningRate * (step + 1)) / warmUp
  const progress = (step - warmUp) / Math.max(1, steps - warmUp)
  return learningRate * 0.5 * (1 + kernels.cos(Math.PI * progress))
}

interface State {
  readonly length: number
  take(): Float32Array
  set(state: Float32Array): void
}

function stateOf({ plan, floats }: Session): State {
  const { address, count } = plan.parameters
  const parts = [address, plan.mean, plan.square].map((at) => floats.subarray(at >>> 2, (at >>> 2) + count))
  return {
    length: count * parts.length,
    take() {
      const whole = new Float32Array(count * parts.length)
      for (const [i, part] of parts.entries()) whole.set(part, i * count)
      return whole
    },
    set(state) {
      for (const [i, part] of parts.entries()) part.set(state.subarray(i * count, (i + 1) * count))
    },
  }
}

/** Neither the number of workers nor how much room was planned is part of it: they change nothing. */
function identityOf({ network, arithmetic, recipe, data, identity }: TrainingJob): Uint8Array {
  const { shape, trainable, shards } = network
  const hash = createHash('sha256')
  hash.update(JSON.stringify([trainerVersion, identity, shape, trainable, shards, arithmetic, recipe]))
  hash.update(kernelBytes(arithmetic))
  for (const part of [data.train, data.replay]) {
    hash.update(`\n${part.length}\n`)
    for (const { tokens, predictFrom } of part) {
      hash.update(`${predictFrom} ${tokens.length} `)
      hash.update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
    }
  }
  return new Uint8Array(hash.digest())
}

function interrupted(step: number, steps: number, checkpointPath: string | undefined): MeshError {
  const kept =
    checkpointPath === undefined || step === 0
      ? 'Nothing was kept.'
      : `It is kept in ${checkpointPath}: the same command goes on from there.`
  return new MeshError('aborted', `The training was stopped after step ${step} of ${steps}. ${kept}`, { step, steps })
}
