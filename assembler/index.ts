// Turns a base and adapters into a persona that answers: composes (bakes) adapters, runs llama.cpp in a child process, probes and scores.
// Called by node/, with files that are already checked and named by content; baking itself is a function handed in from model-files.
// Must never: accept a file that did not come through the door (a VerifiedRelease or the user's own base), overwrite an adapter file,
// share state of the model between personas, run llama.cpp in this process, or log prompts, answers or folders.
// engine.ts talks to engine-child/ (the only code that imports node-llama-cpp); compose.ts, probe.ts and score-text.ts only use the engine.
export { createEngine } from './engine.ts'
export type { EngineOptions } from './engine.ts'
export { bakedDtype, createComposer } from './compose.ts'
export type { ComposedPersona, ComposeJob, Composer, StackMember } from './compose.ts'
export { evaluateSuite, parseSuite, rightAnswers, suiteText } from './evaluate-suite.ts'
export type { SuiteItem, SuiteResult } from './evaluate-suite.ts'
export { checkProbe, makeProbe } from './probe.ts'
export type { Probe, ProbeResult } from './probe.ts'
export { nllOfPassages, nllOfText, parsePassages } from './score-text.ts'
export type { Passage } from './score-text.ts'
export type * from './ports.ts'
export type {
  EngineBase,
  ChatMessage,
  Generated,
  Prompt,
  Sampling,
  Score,
  SequenceScore,
  StopReason,
} from './engine-messages.ts'
