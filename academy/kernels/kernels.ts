// The compiled kernels as typed functions. Their source, with what each computes, is in source/.
import { readFileSync } from 'node:fs'

/**
 * `plain` gives the same bits on every machine; `relaxed` is faster where the processor fuses multiply and add, and may differ in the
 * last bits from one kind of processor to another. On one machine both repeat themselves.
 */
export type Arithmetic = 'plain' | 'relaxed'

/** Addresses are byte offsets into the memory; strides and counts are in floats. */
export interface Kernels {
  gemm(
    m: number,
    n: number,
    k: number,
    a: number,
    aRow: number,
    aColumn: number,
    b: number,
    bRow: number,
    bColumn: number,
    c: number,
    cRow: number,
    alpha: number,
    accumulate: boolean,
    scratch: number,
  ): void
  gemmScratchBytes(): number
  rmsNorm(rows: number, width: number, x: number, weight: number, out: number, inverse: number, epsilon: number): void
  rmsNormBackward(
    rows: number,
    width: number,
    x: number,
    weight: number,
    inverse: number,
    dOut: number,
    dX: number,
    dWeight: number,
  ): void
  rotate(
    rows: number,
    heads: number,
    headSize: number,
    turned: number,
    x: number,
    positions: number,
    table: number,
    direction: number,
  ): void
  causalSoftmax(rows: number, first: number, stride: number, scores: number): void
  causalSoftmaxBackward(rows: number, first: number, stride: number, probabilities: number, d: number): void
  swiglu(n: number, gate: number, up: number, out: number): void
  swigluBackward(n: number, gate: number, up: number, dOut: number, dGate: number, dUp: number): void
  add(n: number, x: number, y: number): void
  gatherRows(rows: number, width: number, table: number, ids: number, out: number): void
  scatterAddRows(rows: number, width: number, x: number, ids: number, table: number): void
  crossEntropy(rows: number, vocabulary: number, logits: number, targets: number, share: number): number
  sumShards(n: number, shards: number, count: number, strideBytes: number, out: number): number
  adam(
    n: number,
    parameters: number,
    gradients: number,
    mean: number,
    square: number,
    scale: number,
    rate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    correction1: number,
    correction2: number,
    decay: number,
  ): void
  exp(x: number): number
  log(x: number): number
  sin(x: number): number
  cos(x: number): number
}

export function compileKernels(arithmetic: Arithmetic): WebAssembly.Module {
  return new WebAssembly.Module(kernelBytes(arithmetic))
}

export function bindKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels
}

/** What this machine does fastest. */
export function fastestArithmetic(): Arithmetic {
  return WebAssembly.validate(kernelBytes('relaxed')) ? 'relaxed' : 'plain'
}

/** The compiled module. */
export function kernelBytes(arithmetic: Arithmetic): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`${arithmetic}.wasm`, import.meta.url)))
}

const pageBytes = 65_536
/** What 32-bit addresses reach. */
export const memoryMaxBytes = 65_536 * pageBytes

/** A memory that threads share, all zero, of at least `bytes`. */
export function sharedMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / pageBytes)
  return new WebAssembly.Memory({ initial: pages, maximum: 65_536, shared: true })
}
