// A network without workers, whose memory a test can look into and change.
import { bindKernels, compileKernels, sharedMemory } from '../kernels/kernels.ts'
import type { Arithmetic, Kernels } from '../kernels/kernels.ts'
import { planMemory } from '../network/memory-plan.ts'
import type { MemoryPlan, NetworkJob } from '../network/memory-plan.ts'
import { createNetwork, workspaceBytes } from '../network/network.ts'
import type { Network } from '../network/network.ts'
import { tensorsOf } from '../network/shape.ts'
import { fillAngles } from '../training/angles.ts'
import type { Example } from '../training/examples.ts'
import { loadExamples } from '../training/load-examples.ts'
import { createTaskPerformer } from '../training/perform-task.ts'
import type { Phase } from '../training/task-board.ts'

export interface OneThread {
  readonly kernels: Kernels
  readonly plan: MemoryPlan
  readonly network: Network
  readonly floats: Float32Array
  /** Sum of -ln p over all predictions. */
  loss(examples: readonly Example[]): number
  /** The gradient of the mean -ln p per prediction, all shards summed. */
  gradient(examples: readonly Example[]): Float32Array
  /** Log-probabilities of every token after each predicted row of one example: (predictions, vocabulary). */
  logProbabilities(example: Example): Float64Array
}

/** `weights` gives the numbers of each tensor, `parameters` those of a LoRA pair ('...lora_a', '...lora_b'). */
export function oneThread(
  options: Omit<NetworkJob, 'workers' | 'shardTokens'>,
  weights: (tensor: string, count: number) => Float32Array,
  arithmetic: Arithmetic = 'plain',
): OneThread {
  const job: NetworkJob = { ...options, workers: 1, shardTokens: 8 * options.exampleTokens }
  const module = compileKernels(arithmetic)
  const workspace = workspaceBytes(bindKernels(module, sharedMemory(1)), job)
  const plan = planMemory(job, workspace)
  const memory = sharedMemory(plan.bytes)
  const kernels = bindKernels(module, memory)
  const floats = new Float32Array(memory.buffer)
  const integers = new Int32Array(memory.buffer)
  fillAngles(kernels, job, plan, floats)
  const network = createNetwork(kernels, memory, job, plan, 0)
  const perform = createTaskPerformer(kernels, memory, job, plan, network)
  for (const { name, rows, columns } of tensorsOf(job.shape)) {
    floats.set(weights(name, rows * columns), (plan.frozen.get(name) ?? plan.weights.get(name)!) >>> 2)
  }
  const rank = job.trainable.kind === 'lora' ? job.trainable.rank : 0
  for (const { target, a, b } of plan.parameters.lora.values()) {
    const start = plan.parameters.address >>> 2
    floats.set(weights(`${target.name}.lora_a`, rank * target.columns), start + a)
    floats.set(weights(`${target.name}.lora_b`, rank * target.rows), start + b)
  }
  const all = (phase: Phase, tasks: number, ...settings: number[]): number => {
    let sum = 0
    for (let task = 0; task < tasks; task++) sum += perform(phase, task, Float64Array.from(settings))
    return sum
  }
  return {
    kernels,
    plan,
    network,
    floats,
    loss(examples) {
      all('applyFactors', plan.parameters.lora.size)
      loadExamples(integers, plan, examples)
      return all('evaluate', job.shards)
    },
    gradient(examples) {
      all('applyFactors', plan.parameters.lora.size)
      const predicted = loadExamples(integers, plan, examples)
      all('train', job.shards, 1 / predicted)
      const { address, strideBytes } = plan.gradients
      kernels.sumShards(plan.parameters.count, address, job.shards, strideBytes, plan.gradientSum)
      return floats.slice(plan.gradientSum >>> 2, (plan.gradientSum >>> 2) + plan.parameters.count)
    },
    logProbabilities(example) {
      all('applyFactors', plan.parameters.lora.size)
      loadExamples(integers, plan, [example])
      network.forward(plan.shards[0]!)
      const rows = example.tokens.length - example.predictFrom
      const { vocabulary } = job.shape
      const logits = floats.slice(network.logits >>> 2, (network.logits >>> 2) + rows * vocabulary)
      return Float64Array.from(logits, (logit, i) => logit - logSum(logits, Math.floor(i / vocabulary), vocabulary))
    },
  }
}

const sums = new WeakMap<Float32Array, Map<number, number>>()

/** ln of the sum of e^logit of a row. */
function logSum(logits: Float32Array, row: number, vocabulary: number): number {
  const known = sums.get(logits) ?? new Map<number, number>()
  sums.set(logits, known)
  const present = known.get(row)
  if (present !== undefined) return present
  const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
  const most = Math.max(...own)
  const sum = most + Math.log(own.reduce((total, logit) => total + Math.exp(logit - most), 0))
  known.set(row, sum)
  return sum
}
