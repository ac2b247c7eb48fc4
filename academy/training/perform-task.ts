// What a worker does with a task of each phase.
import type { Kernels } from '../kernels/kernels.ts'
import type { MemoryPlan, NetworkJob } from '../network/memory-plan.ts'
import type { Network } from '../network/network.ts'
import type { Phase } from './task-board.ts'

/** Parameters are summed and updated in pieces of so many floats. */
export const pieceFloats = 16_384

export function pieceCount(plan: MemoryPlan): number {
  return Math.ceil(plan.parameters.count / pieceFloats)
}

/** Adam as Kingma & Ba describe it, with the averages that suit short trainings. */
const adam = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 }

/** 1 / (1 - beta^t) for the steps t, counted from 1, that are asked for in rising order: the averages start from zero. */
export function adamCorrections(): (step: number) => readonly [number, number] {
  let [power1, power2] = [1, 1]
  let reached = 0
  return (step) => {
    for (; reached < step; reached++) {
      power1 *= adam.beta1
      power2 *= adam.beta2
    }
    return [1 / (1 - power1), 1 / (1 - power2)]
  }
}

export function createTaskPerformer(
  kernels: Kernels,
  memory: WebAssembly.Memory,
  job: NetworkJob,
  plan: MemoryPlan,
  network: Network,
): (phase: Phase, task: number, settings: Float64Array) => number {
  const floats = new Float32Array(memory.buffer)
  const pairs = [...plan.parameters.lora.values()]
  const gradientsOf = (shard: number): number => plan.gradients.address + shard * plan.gradients.strideBytes

  return (phase, task, settings) => {
    switch (phase) {
      case 'applyFactors':
        return applyFactors(task)
      case 'train':
        return train(task, settings[0]!)
      case 'evaluate': {
        const shard = plan.shards[task]!
        network.forward(shard)
        return network.loss(shard, 0)
      }
      case 'sumGradients': {
        const { at, count } = piece(task)
        return kernels.sumShards(
          count,
          plan.gradients.address + at,
          job.shards,
          plan.gradients.strideBytes,
          plan.gradientSum + at,
        )
      }
      case 'updateParameters':
        return update(task, settings)
      case 'stop':
        return 0
    }
  }

  function train(task: number, share: number): number {
    const shard = plan.shards[task]!
    const gradients = gradientsOf(task)
    floats.fill(0, gradients >>> 2, (gradients >>> 2) + plan.parameters.count)
    network.forward(shard)
    const loss = network.loss(shard, share)
    network.backward(shard, gradients)
    return loss
  }

  /** W = frozen + alpha / rank * B A */
  function applyFactors(task: number): number {
    if (job.trainable.kind !== 'lora') return 0
    const { rank, alpha } = job.trainable
    const { target, a, b } = pairs[task]!
    const { name, rows, columns } = target
    const [to, from] = [plan.weights.get(name)!, plan.frozen.get(name)!]
    floats.copyWithin(to >>> 2, from >>> 2, (from >>> 2) + rows * columns)
    const [left, right] = [plan.parameters.address + b * 4, plan.parameters.address + a * 4]
    kernels.gemm(
      rows,
      columns,
      rank,
      left,
      rank,
      1,
      right,
      columns,
      1,
      to,
      columns,
      alpha / rank,
      true,
      network.scratch,
    )
    return 0
  }

  function update(task: number, [scale, rate, correction1, correction2, decay]: Float64Array): number {
    const { at, count } = piece(task)
    const parameters = plan.parameters.address + at
    const { beta1, beta2, epsilon } = adam
    const [mean, square] = [plan.mean + at, plan.square + at]
    kernels.adam(
      count,
      parameters,
      plan.gradientSum + at,
      mean,
      square,
      scale!,
      rate!,
      beta1,
      beta2,
      epsilon,
      correction1!,
      correction2!,
      decay!,
    )
    return 0
  }

  function piece(task: number): { at: number; count: number } {
    const first = task * pieceFloats
    return { at: first * 4, count: Math.min(pieceFloats, plan.parameters.count - first) }
  }
}
