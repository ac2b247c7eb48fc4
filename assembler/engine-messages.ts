// What the node process and the engine child say to each other. The child is a process of this same version, so there is no version in it.

/** Strength of an adapter at run time, as a plain number (1 = as published). `path` is named by content and never overwritten. */
export interface ScaledFile {
  readonly path: string
  readonly scale: number
}

export interface LoadRequest {
  readonly path: string
  /** Of the file, as the caller knows it. */
  readonly sha256: string
  /** Tokens; the base's training length, at most 4096, if absent. */
  readonly contextSize?: number
  /** Cores - 1 if absent: all cores ruin generation on a small machine. */
  readonly threads?: number
}

export interface EngineBase {
  readonly architecture: string
  /** Number of tokens of the vocabulary: token ids are below it. */
  readonly vocabulary: number
  /** Tokens a request may hold, prompt and answer together. */
  readonly contextSize: number
  /** What has to stand in front of every text, if this base wants that. */
  readonly bos?: number
  /** Whether the file brings a chat template that works; otherwise a conversation is continued as plain text. */
  readonly chatTemplate: boolean
}

export interface ScoreRequest {
  readonly adapters: readonly ScaledFile[]
  /** Token ids, BOS included. */
  readonly sequences: readonly (readonly number[])[]
  /** How many tokens at the end of each sequence are predicted; all but the first if absent. */
  readonly predicted?: readonly number[]
}

/** Mean negative log-likelihood (natural log) of each sequence over its predicted tokens. */
export interface SequenceScore {
  readonly tokens: number
  readonly meanNll: number
}

export interface Score {
  /** Predicted tokens of all sequences together, and the mean over all of them. */
  readonly tokens: number
  readonly meanNll: number
  readonly sequences: readonly SequenceScore[]
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

export type Prompt =
  | { readonly kind: 'tokens'; readonly tokens: readonly number[] }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'messages'; readonly messages: readonly ChatMessage[] }

export interface Sampling {
  /** 0 = always the most probable token. */
  readonly temperature?: number
  /** The same seed, prompt and temperature give the same answer. */
  readonly rngSeed?: number
  /** 0 = all tokens. */
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  /** Above 1 makes the last 64 tokens less likely to come again. */
  readonly repeatPenalty?: number
}

export interface GenerateRequest {
  readonly adapters: readonly ScaledFile[]
  readonly prompt: Prompt
  readonly maxTokens: number
  readonly sampling?: Sampling
  /** The answer ends before the first of these. */
  readonly stopTexts?: readonly string[]
}

/** end: the model said so; repetition: it went round in a circle. */
export type StopReason = 'end' | 'stop-text' | 'max-tokens' | 'context-full' | 'repetition'

export interface Generated {
  readonly text: string
  readonly tokens: readonly number[]
  readonly promptTokens: number
  /** Prompt tokens whose state was still there from this persona's previous turn. */
  readonly reusedTokens: number
  readonly stop: StopReason
}

/** Request type -> what is sent and what comes back. `score` emits {done} after each sequence, `generate` {text} as it is written. */
export interface EngineRequests {
  load: { ask: LoadRequest; answer: EngineBase }
  /** Loads one adapter and evaluates two tokens with it, so that a file that kills the engine does it here, with nothing else in flight. */
  try: { ask: { path: string }; answer: null }
  tokenize: { ask: { text: string }; answer: number[] }
  detokenize: { ask: { tokens: readonly number[] }; answer: string }
  score: { ask: ScoreRequest; answer: Score }
  /** One Float32Array of log-probabilities (index = token id) per token of the sequence: the distribution of the token after it. */
  logProbabilities: { ask: { adapters: readonly ScaledFile[]; tokens: readonly number[] }; answer: Float32Array[] }
  generate: { ask: GenerateRequest; answer: Generated }
}
