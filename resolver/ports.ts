// What the resolver needs from outside: something that turns short texts into vectors. Nothing else; cards and text are arguments.

/**
 * Texts to vectors of one fixed length whose dot product is their similarity. The same text gives the same vector in
 * one process, whatever it is embedded together with.
 */
export interface Embedder extends AsyncDisposable {
  /** Names the model and its parameters: vectors of embedders with different ids are never compared. */
  readonly id: string
  readonly dimensions: number
  /** How far cosines of this embedder can be trusted next to word matches: the figures are measured by bench/resolver-recall.ts. */
  readonly trust: EmbedderTrust
  /**
   * One vector per text, in order, each of length 1, or all zeros for a text that has nothing to embed. Texts longer than the
   * model reads are cut. Rejects with `aborted` once `signal` is aborted and with `bad-input` after disposal.
   */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>
}

export interface EmbedOptions {
  readonly signal?: AbortSignal
}

export interface EmbedderTrust {
  /** Cosine that two unrelated short texts reach: counts as similarity 0. */
  readonly unrelatedCosine: number
  /** Cosine from which two texts count as saying the same: similarity 1. */
  readonly sameCosine: number
  /** Weight of that similarity in ranking; the words' weight is 1. */
  readonly rankWeight: number
  /** Whether a high similarity without a single shared word makes a card adequate (true of models that know meaning). */
  readonly bridgesMeaning: boolean
}
