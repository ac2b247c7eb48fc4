// Entry of a worker thread: binds the kernels to the shared memory and does tasks until it is told to stop.
import { workerData } from 'node:worker_threads'
import { bindKernels } from '../kernels/kernels.ts'
import { planMemory } from '../network/memory-plan.ts'
import type { NetworkJob } from '../network/memory-plan.ts'
import { createNetwork, workspaceBytes } from '../network/network.ts'
import { createTaskPerformer } from './perform-task.ts'
import { TaskBoard } from './task-board.ts'

export interface WorkerInput {
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly board: SharedArrayBuffer
  readonly job: NetworkJob
  readonly worker: number
}

const { module, memory, board, job, worker } = workerData as WorkerInput
const kernels = bindKernels(module, memory)
const plan = planMemory(job, workspaceBytes(kernels, job))
const network = createNetwork(kernels, memory, job, plan, worker)
new TaskBoard(0, board).work(createTaskPerformer(kernels, memory, job, plan, network))
