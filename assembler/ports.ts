// What the assembler needs from others (wired in node/), and the engine as others see it.
import type { ChildState } from '../supervisor/index.ts'
import type { EngineBase, ChatMessage, Generated, Prompt, Sampling, Score } from './engine-messages.ts'

/** A file whose content somebody has already checked. The digest names it when it kills the engine. */
export interface ModelFile {
  /** Absolute. For adapters the name is derived from the content: llama.cpp caches them by path. */
  readonly path: string
  /** Lower-case hex SHA-256. */
  readonly sha256: string
}

export interface ScaledAdapter extends ModelFile {
  /** Strength at run time; 1 = as published. */
  readonly scale: number
}

export type BakedDtype = 'f32' | 'f16' | 'q8_0'

/**
 * Folds several adapters into one file, exactly: concatenated ranks, scale * alpha / rank folded into B (model-files).
 * Writes `out` in full or not at all; the same job gives the same bytes. Throws `rank-limit` above rank 512.
 */
export type Bake = (job: {
  readonly base: string
  readonly adapters: readonly { readonly path: string; readonly scale: number }[]
  readonly dtype: BakedDtype
  readonly out: string
  readonly signal?: AbortSignal
}) => Promise<{ readonly sha256: string; readonly rank: number; readonly bytes: number }>

export type EngineState = ChildState | { readonly kind: 'not-started' }

export interface AskOptions {
  readonly signal?: AbortSignal
  /** The base this request is meant for; default: the one loaded last. Whoever shares the engine with others names it. */
  readonly forBase?: ModelFile
}

export interface GenerateOptions extends AskOptions {
  /** Default 256. */
  readonly maxTokens?: number
  readonly sampling?: Sampling
  readonly stopTexts?: readonly string[]
  onToken?(text: string): void
}

/** What a persona is to the engine. Adapters in the order and with the scales of its lockfile, or one baked file. */
export interface EnginePersona {
  readonly adapters: readonly ScaledAdapter[]
  /** Stands before the conversation as a system message. */
  readonly systemPrompt?: string
}

/**
 * llama.cpp in a process of its own. Requests are answered one after the other. When that process dies, the request in hand is
 * rejected with `child-crashed`, and the next one finds a fresh process with the same base. A file that killed it three times
 * while it was being loaded is `quarantined`; a file it refuses is `gguf-refused`, `not-found` or `not-finite`.
 */
export interface Engine extends AsyncDisposable {
  readonly state: EngineState
  /** Makes `base` the one that requests use which name none. Loading the same one again costs nothing. */
  load(base: ModelFile, options?: Pick<AskOptions, 'signal'>): Promise<EngineBase>
  /** Token ids without BOS; text that looks like a special token is text. */
  tokenize(text: string, options?: AskOptions): Promise<number[]>
  /** Mean negative log-likelihoods with an F32 cache. `predicted[i]`: how many tokens at the end of sequence i count; default all but the first. */
  nll(
    adapters: readonly ScaledAdapter[],
    sequences: readonly (readonly number[])[],
    options?: AskOptions & { readonly predicted?: readonly number[]; onProgress?(progress: { done: number }): void },
  ): Promise<Score>
  /** For each token of the sequence, the log-probabilities (index = token id) of the token after it; F32 cache. */
  logProbabilities(
    adapters: readonly ScaledAdapter[],
    tokens: readonly number[],
    options?: AskOptions,
  ): Promise<Float32Array[]>
  generate(adapters: readonly ScaledAdapter[], prompt: Prompt, options?: GenerateOptions): Promise<Generated>
  chat(persona: EnginePersona, messages: readonly ChatMessage[], options?: GenerateOptions): Promise<Generated>
}
