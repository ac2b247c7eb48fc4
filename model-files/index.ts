// Model files: GGUF containers, safetensors and PEFT folders, base identity, adapter validation, LoRA algebra, baking, patches.
// Called by node/ (import, inspect, bake, base, publish, the door check of a fetch), assembler/ and academy/.
// Everything read here may come from a stranger: nothing is allocated by a size that a file only claims, and whatever is wrong with a
// file is a MeshError with a precise sentence, never a crash.
// Must never run native code on a model file, touch the network, or decide by a file's name.
// It is a leaf beside protocol/ and imports nothing else of ours.
export * from './adapter-pairs.ts'
export * from './adapter-validator.ts'
export * from './bake-adapters.ts'
export * from './base-info.ts'
export * from './byte-source.ts'
export * from './file-digest.ts'
export * from './gguf-format.ts'
export * from './gguf-reader.ts'
export * from './gguf-writer.ts'
export * from './inspect.ts'
export * from './patch/index.ts'
export * from './peft-export.ts'
export * from './peft-import.ts'
export * from './random-model.ts'
export * from './random-numbers.ts'
export { decodeTensor, dtypeOf, encodeTensor, indexOfNonFinite, type TensorDtype } from './tensor-dtypes.ts'
export { writeLora, type WriteProgress } from './write-lora.ts'
export { syncFolder } from './whole-file.ts'
