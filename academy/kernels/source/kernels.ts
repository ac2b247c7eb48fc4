// What the trainer computes with. AssemblyScript, compiled by `npm run kernels` to ../plain.wasm and ../relaxed.wasm; a test compiles it
// again and compares the bytes. Works on memory that its threads share, allocates nothing and has no state.
export { gemm, gemmScratchBytes } from './gemm'
export {
  add,
  causalSoftmax,
  causalSoftmaxBackward,
  crossEntropy,
  gatherRows,
  rmsNorm,
  rmsNormBackward,
  rotate,
  scatterAddRows,
  swiglu,
  swigluBackward,
} from './layers'
export { adam, sumShards } from './optimiser'
export { cos, exp, log, sin } from './transcendental'
