// The academy turns data into adapters: a trainer for the llama architecture (TypeScript and WebAssembly on worker threads), the byte-level
// tokenizer that goes with bases made here, and the reading of training data.
// Called by node/ (the command `train`), fixtures/ (which makes a whole small world with it) and bench/.
// Equal inputs and seed give equal bytes, whatever the number of workers; with plain arithmetic on every machine. So no transcendental
// function of the engine may be used here (the kernels have their own), no clock, and no randomness but the seed's.
// Must never run native code on a model file, touch the network, or write anything but its output and its checkpoint.
export { readBase } from './base/read-base.ts'
export type { TrainableBase } from './base/read-base.ts'
export { examplesOf, parseTrainingData } from './data/training-text.ts'
export type { ReadingBase, TrainingDocument } from './data/training-text.ts'
export { fastestArithmetic } from './kernels/kernels.ts'
export type { Arithmetic } from './kernels/kernels.ts'
export { matrixKinds, parameterCount } from './network/shape.ts'
export type { MatrixKind, ModelShape } from './network/shape.ts'
export type { TextTokenizer } from './ports.ts'
export { createByteLevelBpe } from './tokenizer/byte-level-bpe.ts'
export type { ByteLevelBpe } from './tokenizer/byte-level-bpe.ts'
export { vocabularyMetadata, vocabularyOf } from './tokenizer/gguf-vocabulary.ts'
export { trainBpe } from './tokenizer/train-bpe.ts'
export type { ByteLevelVocabulary } from './tokenizer/vocabulary.ts'
export { trainAdapter } from './train-adapter.ts'
export type { AdapterRecipe, AdapterTraining } from './train-adapter.ts'
export { trainBase } from './train-base.ts'
export type { BaseTraining } from './train-base.ts'
export { stepsOfRounds } from './training/examples.ts'
export type { Example } from './training/examples.ts'
export { trainingWorkersMax } from './training/parts.ts'
export type { Recipe, TrainingControl, TrainingData, TrainingOutcome, TrainingProgress } from './training/train.ts'
